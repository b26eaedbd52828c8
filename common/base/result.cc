// common/base/result.cc - failures that end the process, failures of system calls

#include "common/base/result.h"

#include <cstdlib>
#include <cstring>

#include "common/base/log.h"

namespace rims {

std::unexpected<Error> fail_errno(std::string_view what, int error_number) {
  char buffer[128];
  // GNU strerror_r: the text may or may not be in `buffer`.
  const char* text = strerror_r(error_number, buffer, sizeof buffer);
  return fail(Fault::storage, "temporary failure", std::string(what) + ": " + text, "UNAVAILABLE");
}

void fatal(std::string_view why) {
  log::line(log::Level::fatal, {}, why);
  log::flush();
  std::_Exit(70);
}

}  // namespace rims
