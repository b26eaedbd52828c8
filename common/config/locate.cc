// common/config/locate.cc - option, environment, installation

#include "common/config/locate.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <unistd.h>

#include "common/base/errno_text.h"

namespace rims::config {
namespace {

namespace fs = std::filesystem;

Result<std::string> named(const std::string& path, const std::string& by) {
  if (access(path.c_str(), F_OK) != 0)
    return fail(Fault::not_found, path + ": " + errno_text(errno) + " (named by " + by + ")");
  return path;
}

}  // namespace

Result<std::string> locate(const std::string& option) {
  if (!option.empty()) return named(option, "the command line");
  if (const char* environment = secure_getenv("RIMS_CONFIG"); environment && *environment)
    return named(environment, "RIMS_CONFIG");

  std::string looked;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  fs::path prefix = program.parent_path();                         // <prefix>/bin
  if (prefix.filename() == "rims") prefix = prefix.parent_path();  // <prefix>/libexec/rims
  prefix = prefix.parent_path();
  const fs::path beside = prefix / "etc" / "rims" / "config.yml";
  const fs::path compiled = fs::path(RIMS_SYSCONFDIR) / "rims" / "config.yml";
  for (const fs::path& candidate : {beside, compiled}) {
    if (fs::exists(candidate, error)) return candidate.string();
    if (looked != candidate.string()) looked += (looked.empty() ? "" : ", ") + candidate.string();
  }
  return fail(Fault::not_found,
              "no configuration: looked for " + looked + "; name one by -c FILE or in RIMS_CONFIG");
}

}  // namespace rims::config
