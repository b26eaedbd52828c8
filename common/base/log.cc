// common/base/log.cc - making lines safe, and the sink of last resort

#include "common/base/log.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <unistd.h>

#include "common/base/utf8.h"

namespace rims::log {
namespace {

struct StderrSink final : Sink {
  void write(Level level, std::string_view text) override;
};

StderrSink stderr_sink;
Sink* current = &stderr_sink;
Level least = Level::info;
std::string program = "rims";

void StderrSink::write(Level level, std::string_view text) {
  const std::string out = stderr_line(level, text);
  // Nobody is left to tell when stderr fails.
  [[maybe_unused]] auto ignored = ::write(STDERR_FILENO, out.data(), out.size());
}

// Length of the UTF-8 sequence of a character that may be printed, which `text` begins with; or 0.
size_t printable_length(std::string_view text) {
  const auto first = utf8::first(text);
  return utf8::is_invisible(first.point) ? 0 : first.bytes;
}

// At most `max_bytes`; the characters of `marked` have a backslash before them.
std::string escaped(std::string_view text, size_t max_bytes, std::string_view marked) {
  std::string out;
  out.reserve(std::min(text.size(), max_bytes));
  for (size_t at = 0; at < text.size();) {
    const size_t length = printable_length(text.substr(at));
    std::string piece = length > 0 ? std::string(text.substr(at, length))
                                   : fmt::format("\\x{:02x}", static_cast<uint8_t>(text[at]));
    if (length > 0 && marked.contains(text[at])) piece.insert(0, 1, '\\');
    if (out.size() + piece.size() + 3 > max_bytes) return out + "...";
    out += piece;
    at += length > 0 ? length : 1;
  }
  return out;
}

}  // namespace

void set_sink(Sink* sink) { current = sink ? sink : &stderr_sink; }
void set_level(Level value) { least = value; }
Level level() { return least; }
void set_program(std::string_view value) { program = value; }

const char* name(Level level) {
  static constexpr std::array names{"DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
  return names[static_cast<size_t>(level)];
}

std::string stderr_line(Level level, std::string_view text) {
  return fmt::format("{}: {} {}\n", program, name(level), text);
}

std::string printable(std::string_view text, size_t max_bytes) {
  return escaped(text, max_bytes, {});
}

std::string quoted(std::string_view text) { return '"' + escaped(text, kMaxField, "\"\\") + '"'; }

void line(Level level, std::string_view session, std::string_view text) {
  if (level < least) return;
  std::string whole;
  if (!session.empty()) whole.append(session).append(": ");
  whole += text;
  current->write(level, printable(whole));
}

void flush() { current->flush(); }

}  // namespace rims::log
