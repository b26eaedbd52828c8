// cli/progress.h - a line on the terminal that shows progress; nothing without a terminal
#pragma once

#include <chrono>
#include <string>

namespace rims::cli {

class Progress {
 public:
  // Shows on standard error when that is a terminal, and `wanted`.
  explicit Progress(bool wanted = true);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }
  // Repeated calls are shown at most ten times a second.
  void show(const std::string& text);
  // Removes the line. Call it before anything else is printed.
  void clear();

 private:
  bool on_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_{};
};

// "12 bytes", "3.4 MiB"
[[nodiscard]] std::string size_text(unsigned long long bytes);

}  // namespace rims::cli
