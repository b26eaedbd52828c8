// cli/store_commands.cc - commands that look at accounts on the disk

#include <cstdio>
#include <memory>
#include <optional>
#include <regex.h>
#include <string>

#include "cli/command.h"
#include "cli/options.h"
#include "common/base/encoding.h"
#include "common/config/config.h"
#include "common/journal/account_dir.h"
#include "common/maintenance/inspect.h"
#include "common/names/names.h"

namespace rims::cli {
namespace {

// A string as Ruby shows it: quoted, with all but printable ASCII escaped.
std::string inspect(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte < 0x20 || byte >= 0x7f) {
          char hex[5];
          std::snprintf(hex, sizeof hex, "\\x%02X", byte);
          out += hex;
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

int fail_with(const char* command, const Error& error) {
  return complain(command,
                  error.code() == "INUSE" ? "the server has this mailbox open: " + error.detail()
                                          : error.detail(),
                  kFailed);
}

struct FreeRegex {
  void operator()(regex_t* r) const {
    regfree(r);
    delete r;
  }
};
using Regex = std::unique_ptr<regex_t, FreeRegex>;

Result<Regex> compile(const std::string& pattern) {
  auto fresh = std::make_unique<regex_t>();
  if (const int rc = regcomp(fresh.get(), pattern.c_str(), REG_EXTENDED | REG_NOSUB); rc != 0) {
    char text[200];
    regerror(rc, fresh.get(), text, sizeof text);
    return fail(Fault::syntax, pattern + ": " + text);
  }
  return Regex(fresh.release());
}

}  // namespace

int mbox_dirty_flag(std::span<char*> args) {
  bool verbose = true, quiet = false, checksum = true, exit_code = true;
  std::string type;
  std::optional<bool> wanted;
  OptionParser parser("rims mbox-dirty-flag [options] [mailbox directory]");
  parser.add_choice(0, "kvs-type", "TYPE", "Key-value store type. only GDBM can be chosen.",
                    {"gdbm"}, type);
  parser.add_negatable(0, "use-kvs-cksum",
                       "No effect: the file says whether values carry a checksum.", checksum);
  parser.add_negatable('v', "verbose", "Enable verbose messages. default is verbose.", verbose);
  parser.add_negatable('q', "quiet", "Disable verbose messages. default is verbose.", quiet);
  parser.add_negatable(0, "return-flag-exit-code",
                       "Dirty flag value is returned to exit code. default is true.", exit_code);
  for (const bool value : {true, false})
    parser.add({0, value ? "enable-dirty-flag" : "disable-dirty-flag", OptionKind::flag, "",
                value ? "Enable mailbox dirty flag." : "Disable mailbox dirty flag.",
                [&wanted, value](std::string_view) -> Status {
                  wanted = value;
                  return {};
                }});
  const auto operands = parser.parse(args);
  if (!operands) return complain("mbox-dirty-flag", operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->size() != 1)
    return complain("mbox-dirty-flag", "need for mailbox directory.", kUsage);
  const std::string& directory = operands->front();
  if (wanted)
    if (const Status marked = store::set_dirty_flag(directory, *wanted); !marked)
      return fail_with("mbox-dirty-flag", marked.error());
  const auto dirty = store::dirty_flag(directory);
  if (!dirty) return fail_with("mbox-dirty-flag", dirty.error());
  if (verbose && !quiet) std::printf("dirty flag is %s.\n", *dirty ? "true" : "false");
  return exit_code && *dirty ? 1 : kDone;
}

int debug_dump_kvs(std::span<char*> args) {
  bool size = true, value = true, restore = true, checksum = true;
  std::string type, pattern;
  OptionParser parser("rims debug-dump-kvs [options] [DB_NAME]");
  parser.add_choice(0, "kvs-type", "TYPE", "Key-value store type. only GDBM can be chosen.",
                    {"gdbm"}, type);
  parser.add_negatable(0, "use-kvs-cksum",
                       "No effect: the file says whether values carry a checksum.", checksum);
  parser.add_value(0, "match-key", "REGEXP", "Show keys matching regular expression.", pattern);
  parser.add_negatable(0, "dump-size", "Dump size of value with key.", size);
  parser.add_negatable(0, "dump-value", "Dump value with key.", value);
  parser.add_negatable(0, "marshal-restore", "No effect: values are not Ruby objects.", restore);
  const auto operands = parser.parse(args);
  if (!operands) return complain("debug-dump-kvs", operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->size() != 1) return complain("debug-dump-kvs", "need for DB name.", kUsage);
  const auto regex = compile(pattern);  // "" matches every key
  if (!regex) return complain("debug-dump-kvs", regex.error().reply(), kUsage);
  std::string path = operands->front();
  if (!path.ends_with(".gdbm")) path += ".gdbm";
  const Status done = store::read_index_file(path, [&](const store::IndexLine& said) {
    if (regexec(regex->get(), said.key.c_str(), 0, nullptr, 0) != 0) return;
    std::string line = inspect(said.key);
    if (size) line += ": " + std::to_string(said.bytes) + " bytes";
    if (value) line += ": " + inspect(said.value);
    std::printf("%s\n", line.c_str());
  });
  return done ? kDone : fail_with("debug-dump-kvs", done.error());
}

int unique_user_id(std::span<char*> args) {
  OptionParser parser("rims unique-user-id [username]");
  const auto operands = parser.parse(args);
  if (!operands) return complain("unique-user-id", operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->size() != 1) return complain("unique-user-id", "need for a username.", kUsage);
  std::printf("%s\n", rims::unique_user_id(operands->front()).c_str());
  return kDone;
}

int show_user_mbox(std::span<char*> args) {
  std::string file;
  OptionParser parser(
      "rims show-user-mbox [base directory] [username] OR -f [config.yml path] [username]");
  parser.add_value('f', "config-yaml", "CONFIG_FILE", "Load base_dir from CONFIG_FILE.", file);
  parser.add_value('c', "config", "CONFIG_FILE", "The same.", file);
  const auto operands = parser.parse(args);
  if (!operands) return complain("show-user-mbox", operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  std::string base, user;
  if (!file.empty()) {
    if (operands->size() != 1) return complain("show-user-mbox", "need for a username.", kUsage);
    const auto config = config::load(file, {.need_users = false});
    if (!config) return complain("show-user-mbox", config.error().reply(), kFailed);
    base = config->base_dir;
    user = names::account_of(*config, operands->front()).value_or(operands->front());
  } else {
    if (operands->size() != 2)
      return complain("show-user-mbox",
                      operands->empty() ? "need for base directory." : "need for a username.",
                      kUsage);
    base = operands->front();
    user = operands->back();
  }
  std::printf("%s/%s\n", base.c_str(), store::account_path(user).c_str());
  return kDone;
}

}  // namespace rims::cli
