// controller/voice.h - what a process of the suite writes to standard error, line by line
//
//   Why      a process that gives up, or that an administrator must see (level ERROR and above),
//   says
//            so there as well: rims-log may be the one that is in trouble, and nobody reads its
//            file on every day. The controller passes it on to syslog
//   Trust    the text is an attacker's: it is made printable, and kMost lines in kPeriod are passed
//            on; how many were not is told
//   Bytes    nothing is read from it but lines and the level in front of them
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/fd.h"
#include "common/base/log.h"

namespace rims::controller {

class Voice {
 public:
  static constexpr unsigned kMost = 30;
  static constexpr std::chrono::seconds kPeriod{60};

  // `program`: what the process calls itself; `name`: what it is called here. `say` gets each line;
  // `known` is true for one that the process has sent to rims-log as well.
  using Say = std::function<void(log::Level, std::string_view text, bool known)>;
  Voice(Fd fd, std::string program, std::string name, Say say)
      : fd_(std::move(fd)),
        program_(std::move(program)),
        name_(std::move(name)),
        say_(std::move(say)) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  // Passes on all that is there; false when the process has closed its end.
  bool hear(std::chrono::steady_clock::time_point now);

 private:
  void take(std::string_view line, std::chrono::steady_clock::time_point now);

  Fd fd_;
  std::string program_, name_, unfinished_;
  Say say_;
  std::chrono::steady_clock::time_point period_;
  unsigned passed_on_ = kMost;
  unsigned left_out_ = 0;
};

}  // namespace rims::controller
