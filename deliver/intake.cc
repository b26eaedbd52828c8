// deliver/intake.cc - bytes from the MTA

#include "deliver/intake.h"

#include <algorithm>
#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

namespace rims::deliver {

Result<std::string> read_to_end(int in, uint64_t max) {
  constexpr size_t kStep = 64 * 1024;
  std::string bytes;
  struct stat st{};
  // The size of a file is only a hint.
  if (fstat(in, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
    bytes.reserve(std::min(static_cast<uint64_t>(st.st_size), max) + kStep);
  while (true) {
    const size_t had = bytes.size();
    bytes.resize(had + kStep);
    const ssize_t got = read(in, bytes.data() + had, kStep);
    const int error = errno;
    bytes.resize(had + (got > 0 ? static_cast<size_t>(got) : 0));
    if (got == 0) return bytes;
    if (got < 0 && error != EINTR) return fail_errno("reading standard input", error);
    if (bytes.size() > max)
      return fail(Fault::limit,
                  "message too large: the limit is " + std::to_string(max) + " bytes");
  }
}

std::string stored_form(std::string raw) {
  if (raw.starts_with("From ")) {
    const size_t end = raw.find('\n');
    raw.erase(0, end == std::string::npos ? raw.size() : end + 1);
  }
  return wire_lines(std::move(raw));
}

std::string wire_lines(std::string raw) {
  if (raw.contains("\r\n")) return raw;
  const auto lines = static_cast<size_t>(std::ranges::count(raw, '\n'));
  if (lines == 0) return raw;
  // Backwards, so that every byte moves once and no second buffer is needed.
  size_t from = raw.size(), to = raw.size() + lines;
  raw.resize(to);
  while (from < to) {
    const char c = raw[--from];
    raw[--to] = c;
    if (c == '\n') raw[--to] = '\r';
  }
  return raw;
}

}  // namespace rims::deliver
