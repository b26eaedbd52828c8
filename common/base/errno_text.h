// common/base/errno_text.h - what an error number of the system means; for any thread
#pragma once

#include <cstring>

namespace rims {

// "Permission denied". In English, and valid for ever.
[[nodiscard]] inline const char* errno_text(int error_number) {
  const char* text = strerrordesc_np(error_number);
  return text ? text : "unknown error";
}

}  // namespace rims
