// cli/store_commands.cc - commands that look at accounts on the disk

#include <cstdio>
#include <string>

#include "cli/command.h"
#include "cli/options.h"
#include "common/base/encoding.h"
#include "common/config/config.h"

namespace rims::cli {

int unique_user_id(std::span<char*> args) {
  bool help = false;
  OptionParser parser("rims unique-user-id [username]");
  parser.add_flag('h', "help", "Show this message.", help);
  const auto operands = parser.parse(args);
  if (!operands) return complain("unique-user-id", operands.error().reply(), kUsage);
  if (help) {
    std::fputs(parser.help().c_str(), stdout);
    return kDone;
  }
  if (operands->size() != 1) return complain("unique-user-id", "need for a username.", kUsage);
  std::printf("%s\n", rims::unique_user_id(operands->front()).c_str());
  return kDone;
}

int show_user_mbox(std::span<char*> args) {
  bool help = false;
  std::string file;
  OptionParser parser(
      "rims show-user-mbox [base directory] [username] OR -f [config.yml path] [username]");
  parser.add_flag('h', "help", "Show this message.", help);
  parser.add_value('f', "config-yaml", "CONFIG_FILE", "Load base_dir from CONFIG_FILE.", file);
  parser.add_value('c', "config", "CONFIG_FILE", "The same.", file);
  const auto operands = parser.parse(args);
  if (!operands) return complain("show-user-mbox", operands.error().reply(), kUsage);
  if (help) {
    std::fputs(parser.help().c_str(), stdout);
    return kDone;
  }
  std::string base, user;
  if (!file.empty()) {
    if (operands->size() != 1) return complain("show-user-mbox", "need for a username.", kUsage);
    const auto config = config::load(file, {.need_users = false});
    if (!config) return complain("show-user-mbox", config.error().reply(), kFailed);
    base = config->base_dir;
    user = operands->front();
  } else {
    if (operands->size() != 2)
      return complain("show-user-mbox",
                      operands->empty() ? "need for base directory." : "need for a username.",
                      kUsage);
    base = operands->front();
    user = operands->back();
  }
  const std::string id = rims::unique_user_id(user);
  std::printf("%s/mailbox.3/%s/%s\n", base.c_str(), id.substr(0, 2).c_str(), id.substr(2).c_str());
  return kDone;
}

}  // namespace rims::cli
