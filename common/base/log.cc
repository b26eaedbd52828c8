// common/base/log.cc - making lines safe, and the sink of last resort

#include "common/base/log.h"

#include <array>
#include <cstdint>
#include <unistd.h>

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
  const std::string out = fmt::format("{}: {} {}\n", program, name(level), text);
  // Nobody is left to tell when stderr fails.
  [[maybe_unused]] auto ignored = ::write(STDERR_FILENO, out.data(), out.size());
}

// Length of the valid UTF-8 sequence at `at` that is printable, or 0. Rejects overlong forms,
// surrogates and C1 controls (RFC 3629 §4).
size_t utf8_length(std::string_view s, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[at + i]); };
  const uint8_t lead = byte(0);
  const size_t length = lead < 0x80   ? 1
                        : lead < 0xc2 ? 0
                        : lead < 0xe0 ? 2
                        : lead < 0xf0 ? 3
                        : lead < 0xf5 ? 4
                                      : 0;
  if (length == 0 || at + length > s.size()) return 0;
  if (length == 1) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  for (size_t i = 1; i < length; i++)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (lead == 0xc2 && byte(1) < 0xa0) return 0;
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) >= 0xa0) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) >= 0x90) return 0;
  return length;
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

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  out.reserve(text.size() < max_bytes ? text.size() : max_bytes);
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    const std::string piece = length > 0 ? std::string(text.substr(at, length))
                                         : fmt::format("\\x{:02x}", static_cast<uint8_t>(text[at]));
    if (out.size() + piece.size() + 3 > max_bytes) return out + "...";
    out += piece;
    at += length > 0 ? length : 1;
  }
  return out;
}

void line(Level level, std::string_view session, std::string_view text) {
  if (level < least) return;
  std::string whole;
  if (!session.empty()) whole.append(session).append(": ");
  whole += text;
  current->write(level, printable(whole));
}

void flush() { current->flush(); }

}  // namespace rims::log
