// cli/server_commands.cc - rims server: the whole suite, in the foreground or as a daemon

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/server_options.h"

namespace rims::cli {

int server(std::span<char*> args) {
  ServerOptions options;
  OptionParser parser("rims server [options]");
  add_server_options(parser, options);
  const auto operands = parser.parse(args);
  if (!operands) return complain("server", operands.error().reply(), kUsage);
  if (options.help) {
    std::fputs(parser.help().c_str(), stdout);
    return kDone;
  }
  if (!operands->empty())
    return complain("server", "needless argument: " + operands->front(), kUsage);
  const auto config = make_server_config(options);
  if (!config) return complain("server", config.error().reply(), kFailed);
  const auto controller = program_path("rims-controller");
  if (!controller) return complain("server", controller.error().detail(), kFailed);
  // This process becomes the controller: ^C and signals go to the one who has to stop the rest.
  std::vector<std::string> words = config->controller_arguments();
  words.insert(words.begin(), "rims-controller");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(controller->c_str(), argv.data());
  return complain("server", *controller + ": " + std::strerror(errno), kFailed);
}

}  // namespace rims::cli
