// tests/support/log_lines.h - what the log is told while this lives
#pragma once

#include <string>
#include <string_view>

#include "common/base/log.h"

namespace rims::test {

class LogLines final : public log::Sink {
 public:
  LogLines() { log::set_sink(this); }
  LogLines(const LogLines&) = delete;
  ~LogLines() override { log::set_sink(nullptr); }
  void write(log::Level level, std::string_view line) override {
    ((text_ += log::name(level)) += ' ').append(line) += '\n';
  }

  [[nodiscard]] const std::string& text() const { return text_; }  // lines "LEVEL text"
  [[nodiscard]] bool has(std::string_view part) const { return text_.contains(part); }

 private:
  std::string text_;
};

}  // namespace rims::test
