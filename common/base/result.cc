// common/base/result.cc - failures that end the process, failures of system calls

#include "common/base/result.h"

#include <cstdlib>

#include "common/base/errno_text.h"
#include "common/base/log.h"

namespace rims {

std::unexpected<Error> fail_errno(std::string_view what, int error_number) {
  std::string detail = std::string(what) + ": " + errno_text(error_number);
  if (const std::string_view remedy = errno_remedy(error_number); !remedy.empty())
    detail.append(" (").append(remedy).append(")");
  // RFC 5530 §3
  const char* code = "UNAVAILABLE";
  if (error_number == EDQUOT) code = "OVERQUOTA";
  if (error_number == EMFILE || error_number == ENFILE) code = "LIMIT";
  return std::unexpected(
      Error(Fault::storage, "temporary failure", std::move(detail), code, error_number));
}

void fatal(std::string_view why) {
  log::line(log::Level::fatal, {}, why);
  log::flush();
  std::_Exit(70);
}

}  // namespace rims
