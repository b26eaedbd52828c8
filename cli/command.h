// cli/command.h - what a command of `rims` is
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace rims::cli {

// Exit statuses that all commands share; a command may document more of its own.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 64;  // EX_USAGE

// `args` without the name of the command. They may be overwritten (options.h).
using Function = int (*)(std::span<char*> args);

struct Command {
  const char* name;
  const char* description;
  Function run;
};

[[nodiscard]] std::span<const Command> commands();

// "rims NAME: TEXT" to standard error; returns `status`.
int complain(std::string_view command, std::string_view text, int status);

// One function per command; each file says which.
int version(std::span<char*> args);          // rims_main.cc
int help(std::span<char*> args);             // rims_main.cc
int environment(std::span<char*> args);      // rims_main.cc
int server(std::span<char*> args);           // server_commands.cc
int daemon(std::span<char*> args);           // server_commands.cc
int post_mail(std::span<char*> args);        // mail_commands.cc
int imap_append(std::span<char*> args);      // mail_commands.cc
int mbox_dirty_flag(std::span<char*> args);  // store_commands.cc
int unique_user_id(std::span<char*> args);   // store_commands.cc
int show_user_mbox(std::span<char*> args);   // store_commands.cc
int debug_dump_kvs(std::span<char*> args);   // store_commands.cc
int pass_hash(std::span<char*> args);        // pass_hash.cc

}  // namespace rims::cli
