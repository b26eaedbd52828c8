// cli/rims_main.cc - rims: the command line of the original
//
// `rims COMMAND options`; each command is a function of its own file (command.h).

#include <array>
#include <cstdio>
#include <cstring>
#include <string>

#include "cli/command.h"
#include "cli/options.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/base/version.h"

namespace rims::cli {
namespace {

constexpr std::array kCommands = {
    Command{"help", "Show this message.", help},
    Command{"version", "Show software version.", version},
    Command{"server", "Run IMAP server.", server},
    Command{"daemon", "Daemon start/stop/status tool.", daemon},
    Command{"environment", "Show rims environment.", environment},
    Command{"post-mail", "Post mail to any user.", post_mail},
    Command{"imap-append", "Append message to IMAP mailbox.", imap_append},
    Command{"mbox-dirty-flag", "Show/enable/disable dirty flag of mailbox database.",
            mbox_dirty_flag},
    Command{"unique-user-id", "Show unique user ID from username.", unique_user_id},
    Command{"show-user-mbox", "Show the path in which user's mailbox data is stored.",
            show_user_mbox},
    Command{"pass-hash", "Make hash password from plain password.", pass_hash},
    Command{"debug-dump-kvs", "Dump key-value store contents.", debug_dump_kvs},
};

void show_commands(std::FILE* out, bool with_debug) {
  std::fputs("usage: rims command options\n\ncommands:\n", out);
  for (const Command& command : kCommands)
    if (with_debug || !std::string_view(command.name).starts_with("debug"))
      std::fprintf(out, "    %-19s%s\n", command.name, command.description);
  std::fputs("\ncommand help options:\n    -h, --help\n", out);
}

}  // namespace

std::span<const Command> commands() { return kCommands; }

int complain(std::string_view command, std::string_view text, int status) {
  // Line ends are kept, as a configuration may have several problems. Other control characters,
  // which could do harm in a terminal, are replaced.
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::fprintf(stderr, "rims %s: %s\n", std::string(command).c_str(),
                 log::printable(text.substr(0, end)).c_str());
    text = end == std::string_view::npos ? "" : text.substr(end + 1);
  }
  return status;
}

int help(std::span<char*> args) {
  bool debug = false;
  OptionParser parser("rims help [options]");
  parser.add_flag(0, "show-debug-command",
                  "Show command for debug in help message. At default, debug command is hidden.",
                  debug);
  const auto operands = parser.parse(args);
  if (!operands) return complain("help", operands.error().reply(), kUsage);
  if (!parser.answer()) show_commands(stdout, debug);
  return kDone;
}

int version(std::span<char*> args) {
  OptionParser parser("rims version");
  const auto operands = parser.parse(args);
  if (!operands) return complain("version", operands.error().reply(), kUsage);
  if (!parser.answer()) std::puts(std::string(program_version()).c_str());
  return kDone;
}

// As the original wrote it, with --format=yaml or json; without Ruby.
int environment(std::span<char*> args) {
  std::string format = "yaml";
  OptionParser parser("rims environment [options]");
  parser.add_choice(0, "format", "FORMAT", "Choose display format (yaml json).", {"yaml", "json"},
                    format);
  const auto operands = parser.parse(args);
  if (!operands) return complain("environment", operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (!operands->empty())
    return complain("environment", "needless argument: " + operands->front(), kUsage);
  const std::string version(program_version());
  if (format == "json")
    std::printf(
        "{\n  \"RIMS Environment\": [\n    {\n      \"RIMS VERSION\": \"%s\"\n    },\n"
        "    {\n      \"AUTHENTICATION PLUG-IN\": [\n        \"plain\",\n        \"hash\"\n"
        "      ]\n    },\n"
        "    {\n      \"KEY-VALUE STORE PLUG-IN\": [\n        \"gdbm\"\n      ]\n    }\n  ]\n}\n",
        version.c_str());
  else
    std::printf(
        "---\nRIMS Environment:\n- RIMS VERSION: %s\n- AUTHENTICATION PLUG-IN:\n  - plain\n"
        "  - hash\n- KEY-VALUE STORE PLUG-IN:\n  - gdbm\n",
        version.c_str());
  return kDone;
}

int run(std::span<char*> args) {
  if (args.empty()) {
    show_commands(stderr, false);
    return kFailed;
  }
  std::string_view name = args.front();
  if (name == "-h" || name == "--help") name = "help";
  if (name == "--version") name = "version";
  for (const Command& command : kCommands)
    if (name == command.name) return command.run(args.subspan(1));
  if (name == "list-user-id") {
    std::fputs(
        "rims: list-user-id is no command of this version: \"rims-ctl account list\" lists the "
        "users "
        "with the names of their directories, and \"rims unique-user-id USER\" shows one.\n",
        stderr);
    return kUsage;
  }
  std::fprintf(stderr, "rims: unknown command: %s. Run `rims help'.\n",
               log::printable(name).c_str());
  return kUsage;
}

}  // namespace rims::cli

int main(int argc, char** argv) {
  using namespace rims;
  log::set_program("rims");
  crypto_init();
  const std::span<char*> args(argv, static_cast<size_t>(argc));
  const int status = cli::run(args.empty() ? args : args.subspan(1));
  // Output that could not be written is a failure, whatever status the command returned.
  if (std::fflush(stdout) != 0 && status == cli::kDone) return cli::kFailed;
  return status;
}
