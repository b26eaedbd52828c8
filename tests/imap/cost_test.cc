// tests/imap/cost_test.cc - what reading and parsing costs, counted in allocations and bytes
//
// A count does not depend on the machine: a message copied twice, or a buffer that is moved for
// every byte, shows as bytes allocated.

#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "common/imap/reader.h"
#include "tests/imap/support.h"

namespace {
size_t allocations = 0, allocated = 0;
}

void* operator new(size_t size) {
  allocations++;
  allocated += size;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace rims::imap {
namespace {

struct Cost {
  size_t allocations, bytes;
};

// Of feeding `input` in pieces of `piece` and parsing what comes out.
Cost cost_of(std::string_view input, size_t piece, size_t commands) {
  Reader reader(ReaderLimits{.line_bytes = 8 << 20, .message_bytes = 64 << 20},
                ParserLimits{.sequence_ranges = 2'000'000});
  const Cost before{allocations, allocated};
  size_t seen = 0;
  while (!input.empty()) {
    std::string_view part = input.substr(0, piece);
    input.remove_prefix(part.size());
    for (;;) {
      const Reader::Event event = reader.next(part);
      if (event == Reader::Event::need_more) break;
      if (event != Reader::Event::command) continue;
      const Result<Command> c = reader.take();
      if (c) seen++;
    }
  }
  const Cost cost{allocations - before.allocations, allocated - before.bytes};
  EXPECT_EQ(seen, commands);
  return cost;
}

TEST(Cost, FrequentCommandsHardlyAllocate) {
  EXPECT_EQ(cost_of("a1 NOOP\r\n", 100, 1).allocations, 0U);
  EXPECT_EQ(cost_of("a1 IDLE\r\n", 100, 1).allocations, 0U);
  EXPECT_LE(cost_of("a1 SELECT INBOX\r\n", 100, 1).allocations, 0U);
  EXPECT_LE(cost_of("a1 UID FETCH 1:* (FLAGS UID)\r\n", 100, 1).allocations, 1U);
  EXPECT_LE(cost_of("a1 STORE 17 +FLAGS.SILENT (\\Seen)\r\n", 100, 1).allocations, 1U);
  EXPECT_LE(cost_of("a1 FETCH 5 BODY.PEEK[]\r\n", 100, 1).allocations, 2U);
}

TEST(Cost, AMessageIsCopiedOnce) {
  constexpr size_t kSize = 8 << 20;
  const std::string append =
      "a APPEND x {" + std::to_string(kSize) + "+}\r\n" + std::string(kSize, 'm') + "\r\n";
  for (const size_t piece : {append.size(), size_t{16384}, size_t{1000}})
    EXPECT_LT(cost_of(append, piece, 1).bytes, kSize + 128 * 1024) << piece;
}

// Twice the input costs at most two and a half times as much, also byte by byte.
TEST(Cost, IsLinear) {
  const auto commands = [](size_t n) {
    std::string s;
    for (size_t i = 0; i < n; i++) s += "a FETCH 1:5 (FLAGS BODY[HEADER.FIELDS (A B)])\r\n";
    return s;
  };
  const auto long_set = [](size_t n) {
    std::string s = "a COPY 1";
    for (size_t i = 0; i < n; i++) s += ",3:4";
    return s + " x\r\n";
  };
  const auto quoted = [](size_t n) {
    std::string s = "a LOGIN x \"";
    for (size_t i = 0; i < n; i++) s += "\\\"";
    return s + "\"\r\n";
  };
  const auto linear = [](size_t n, size_t twice) { return 2 * twice <= 5 * n; };
  for (const size_t piece : {size_t{1}, size_t{4096}}) {
    EXPECT_TRUE(linear(cost_of(commands(1000), piece, 1000).bytes,
                       cost_of(commands(2000), piece, 2000).bytes));
    EXPECT_TRUE(linear(cost_of(long_set(50'000), piece, 1).bytes,
                       cost_of(long_set(100'000), piece, 1).bytes));
    EXPECT_TRUE(
        linear(cost_of(quoted(50'000), piece, 1).bytes, cost_of(quoted(100'000), piece, 1).bytes));
  }
}

}  // namespace
}  // namespace rims::imap
