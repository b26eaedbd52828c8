// cli/mail_commands.cc - rims imap-append and rims post-mail: messages from files or standard
// input into a mailbox, over IMAP
//
// post-mail logs in as the user that may deliver to everybody (mail_delivery_user, #postman) and
// appends to a mailbox whose name carries the real one: "b64user-mbox", the user's name in base64,
// the mailbox.

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/imap_client.h"
#include "cli/mail_date.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/yaml_file.h"
#include "common/base/encoding.h"
#include "common/imap/mailbox_name.h"
#include "deliver/intake.h"

namespace rims::cli {
namespace {

constexpr uint64_t kMessageMax = uint64_t{1} << 30;
constexpr const char* kDeliveryCapability = "X-RIMS-MAIL-DELIVERY-USER";

// A flag of the message: the option's name and the flag's.
struct Flag {
  const char* name;
  const char* flag;
  bool on = false;
};

struct Settings {
  bool verbose = false;
  ImapClient::Endpoint server;
  std::string username;
  Secret password;
  std::string auth_type = "login";
  std::string mailbox = "INBOX";
  Flag flags[5] = {{"answered", "Answered"},
                   {"flagged", "Flagged"},
                   {"deleted", "Deleted"},
                   {"seen", "Seen"},
                   {"draft", "Draft"}};
  std::string look_for_date = "servertime";
  std::string config_file;
};

void add_options(OptionParser& parser, Settings& s) {
  parser.add_value('f', "config-yaml", "CONFIG_FILE", "Load optional parameters from CONFIG_FILE.",
                   s.config_file);
  parser.add_value('c', "config", "CONFIG_FILE", "The same.", s.config_file);
  parser.add_negatable('v', "verbose", "Enable verbose messages. default is no verbose.",
                       s.verbose);
  parser.add_value('n', "host", "HOSTNAME",
                   "Hostname or IP address of the IMAP server. default is `" + s.server.host + "'.",
                   s.server.host);
  parser.add_value(
      'o', "port", "PORT",
      "Port number or service name of the IMAP server. default is " + s.server.port + ".",
      s.server.port);
  parser.add_negatable('s', "use-ssl", "Use TLS from the first byte. default is disabled.",
                       s.server.tls);
  parser.add_value(0, "ca-file", "FILE", "CA certificates, PEM. default is the system's.",
                   s.server.ca_file);
  parser.add_value('u', "username", "NAME",
                   s.username.empty()
                       ? "Username to login IMAP server. required parameter."
                       : "Username to login IMAP server. default is `" + s.username + "'.",
                   s.username);
  parser.add({'w', "password", OptionKind::secret, "PASS",
              "Password to login IMAP server. default is to ask for it. Other users can see it "
              "while the command starts.",
              [&s](std::string_view v) -> Status {
                s.password = Secret(v);
                return {};
              }});
  parser.add_choice(0, "auth-type", "METHOD",
                    "Authentication method (login plain cram-md5). default is `login'.",
                    {"login", "plain", "cram-md5"}, s.auth_type);
  parser.add_value('m', "mailbox", "NAME", "Mailbox to append to. default is `INBOX'.", s.mailbox);
  for (Flag& flag : s.flags)
    parser.add_negatable(0, std::string("store-flag-") + flag.name,
                         std::string("Set the flag \\") + flag.flag + ". default is no flag.",
                         flag.on);
  parser.add_choice(0, "look-for-date", "PLACE",
                    "Where the internal date is taken from (servertime localtime filetime "
                    "mailheader). default is `servertime'.",
                    {"servertime", "localtime", "filetime", "mailheader"}, s.look_for_date);
  parser.add_negatable(0, "imap-debug", "Show the IMAP conversation. default is false.",
                       s.server.debug);
}

// Values of the file, as defaults for what the command line says.
Status take_file(const std::string& path, Settings& s) {
  TRY(std::string text, read_file(path));
  auto file = YamlFile::parse(text, path);
  wipe(text);
  if (!file) return std::unexpected(file.error());
  const auto take = [&](const char* key, std::string& into) {
    if (auto value = file->get(key)) into = *std::move(value);
  };
  const auto take_flag = [&](const std::string& key, bool& into) {
    if (const auto value = file->get(key)) into = is_true(*value);
  };
  take_flag("verbose", s.verbose);
  take("imap_host", s.server.host);
  take("imap_port", s.server.port);
  take_flag("imap_ssl", s.server.tls);
  take("username", s.username);
  if (auto value = file->get("password")) {
    s.password = Secret(*value);
    wipe(*value);
  }
  take("auth_type", s.auth_type);
  take("mailbox", s.mailbox);
  for (Flag& flag : s.flags) take_flag(std::string("store_flag_") + flag.name, flag.on);
  take("look_for_date", s.look_for_date);
  return {};
}

// Finds the file in the options, reads it, then reads all options: they override the file, wherever
// in the command line they are. nullopt: help was shown, there is nothing to do.
Result<std::optional<std::vector<std::string>>> read_settings(const std::string& usage,
                                                              std::span<char*> args, Settings& s) {
  Settings first_look;
  // Secrets are overwritten as they are read, so this look works on copies.
  std::vector<std::string> copies(args.begin(), args.end());
  std::vector<char*> pointers;
  pointers.reserve(copies.size());
  for (std::string& copy : copies) pointers.push_back(copy.data());
  OptionParser early(usage);
  add_options(early, first_look);
  const auto parsed = early.parse(pointers);
  if (!parsed) return std::unexpected(parsed.error());
  if (!early.asked() && !first_look.config_file.empty()) {
    TRY_STATUS(take_file(first_look.config_file, s));
  }
  OptionParser parser(usage);
  add_options(parser, s);
  TRY(auto operands, parser.parse(args));
  if (parser.answer()) return std::nullopt;
  return operands;
}

void show(const Settings& s, const std::string& line) {
  if (s.verbose) std::printf("%s\n", line.c_str());
}

Result<ImapClient> log_in(Settings& s) {
  if (s.username.empty()) return fail(Fault::syntax, "need for username and password.");
  if (s.password.empty()) {
    auto typed = ask_password("Password of " + s.username + ": ");
    if (!typed) return fail(Fault::syntax, "need for username and password.");
    s.password = *std::move(typed);
  }
  TRY(auto client, ImapClient::connect(s.server));
  if (s.verbose) {
    show(s, "server greeting: " + client.greeting().str());
    TRY(const auto capability, client.capability());
    std::string line = "server capability:";
    for (const std::string& word : capability) line += " " + word;
    show(s, line);
  }
  const bool simple = s.auth_type == "login";
  TRY(const auto answer, simple ? client.login(s.username, s.password)
                         : s.auth_type == "plain"
                             ? client.authenticate_plain(s.username, s.password)
                             : client.authenticate_cram_md5(s.username, s.password));
  show(s, (simple ? "login: " : "authenticate: ") + answer.str());
  return client;
}

// The internal date, "" for the server's choice.
Result<std::optional<MailDate>> look_for_date(const Settings& s, std::string_view message,
                                              const std::string& path) {
  if (s.look_for_date == "localtime") return local_date(time(nullptr));
  if (s.look_for_date == "mailheader") return date_of_message(message);
  if (s.look_for_date == "filetime" && !path.empty()) {
    struct stat st{};
    if (stat(path.c_str(), &st) < 0) return fail_errno("stat " + path, errno);
    return local_date(st.st_mtime);
  }
  return std::nullopt;
}

Status append_one(ImapClient& client, const Settings& s, const std::string& mailbox,
                  std::string_view message, const std::string& path) {
  TRY(const auto date, look_for_date(s, message, path));
  if (date) show(s, "message date: " + date->shown());
  std::vector<std::string> flags;
  for (const Flag& flag : s.flags)
    if (flag.on) flags.push_back(std::string("\\") + flag.flag);
  TRY(const auto answer,
      client.append(mailbox, flags, date ? date->imap() : std::string(), message));
  show(s, "append: " + answer.str());
  return {};
}

Result<std::string> read_message(int fd) {
  TRY(std::string raw, deliver::read_to_end(fd, kMessageMax));
  return deliver::wire_lines(std::move(raw));
}

Result<std::string> read_message_file(const std::string& path) {
  TRY(std::string raw, read_file(path));
  return deliver::wire_lines(std::move(raw));
}

// Every file, or standard input; goes on after a file that fails.
int append_all(ImapClient& client, const Settings& s, const std::string& mailbox,
               std::span<const std::string> files, const char* command) {
  if (files.empty()) {
    const auto message = read_message(STDIN_FILENO);
    if (!message) return complain(command, message.error().detail(), kFailed);
    const Status done = append_one(client, s, mailbox, *message, "");
    return done ? kDone : complain(command, done.error().reply(), kFailed);
  }
  size_t errors = 0, number = 0;
  for (const std::string& file : files) {
    number++;
    show(s, "progress: " + std::to_string(number) + "/" + std::to_string(files.size()));
    const auto message = read_message_file(file);
    const Status done = message ? append_one(client, s, mailbox, *message, file)
                                : Status(std::unexpected(message.error()));
    if (done) continue;
    errors++;
    std::printf("failed to append message: %s\nerror: %s\n", file.c_str(),
                done.error().reply().c_str());
  }
  if (errors == 0) return kDone;
  std::printf("%zu errors!\n", errors);
  return kFailed;
}

void show_flags(const Settings& s) {
  std::string list;
  for (const Flag& flag : s.flags)
    if (flag.on) list += (list.empty() ? "" : " ") + std::string(flag.flag);
  show(s, "store flags: (" + list + ")");
}

int fail_with(const char* command, const Error& error) {
  return complain(command, error.reply(), error.fault() == Fault::syntax ? kUsage : kFailed);
}

}  // namespace

int imap_append(std::span<char*> args) {
  Settings s;
  const auto operands = read_settings("rims imap-append [options] [MESSAGE_FILEs]", args, s);
  if (!operands) return fail_with("imap-append", operands.error());
  if (!*operands) return kDone;
  show_flags(s);
  auto client = log_in(s);
  if (!client) return fail_with("imap-append", client.error());
  const int status =
      append_all(*client, s, imap::to_modified_utf7(s.mailbox), **operands, "imap-append");
  client->logout();
  return status;
}

int post_mail(std::span<char*> args) {
  Settings s;
  s.server.port = "1430";
  s.username = "#postman";
  const auto operands =
      read_settings("rims post-mail [options] [POST USER] [MESSAGE_FILEs]", args, s);
  if (!operands) return fail_with("post-mail", operands.error());
  if (!*operands) return kDone;
  const std::vector<std::string>& words = **operands;
  if (words.empty()) return complain("post-mail", "need for post user.", kUsage);
  show_flags(s);
  auto client = log_in(s);
  if (!client) return fail_with("post-mail", client.error());
  const auto capability = client->capability();
  if (!capability) return fail_with("post-mail", capability.error());
  if (std::ranges::find(*capability, kDeliveryCapability) == capability->end())
    std::fputs("warning: This IMAP server might not support RIMS mail delivery protocol.\n",
               stderr);
  const std::string mailbox =
      "b64user-mbox " + to_base64(words.front()) + " " + imap::to_modified_utf7(s.mailbox);
  const int status = append_all(*client, s, mailbox, std::span(words).subspan(1), "post-mail");
  client->logout();
  return status;
}

}  // namespace rims::cli
