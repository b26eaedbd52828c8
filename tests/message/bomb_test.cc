// tests/message/bomb_test.cc - hostile mail costs linear time and bounded memory
//
// Each bomb is made at two sizes. Time is this thread's CPU time, the least of several runs, and
// may grow 8 times for four times the bytes: what is quadratic grows 16 times, and neighbours on
// the machine make up the difference. Memory is what operator new hands out, over what was held
// before.

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <malloc.h>
#include <new>
#include <string>

#include <gtest/gtest.h>

#include "common/message/structure.h"
#include "common/message/text.h"
#include "tests/message/check.h"

namespace {

std::atomic<size_t> held{0};
std::atomic<size_t> most{0};

void* counted(size_t size) {
  void* block = std::malloc(size);
  if (block == nullptr) throw std::bad_alloc();
  const size_t now = held += malloc_usable_size(block);
  if (now > most) most = now;
  return block;
}

void release(void* block) {
  if (block == nullptr) return;
  held -= malloc_usable_size(block);
  std::free(block);
}

}  // namespace

void* operator new(size_t size) { return counted(size); }
void* operator new[](size_t size) { return counted(size); }
void operator delete(void* block) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete(void* block, size_t) noexcept { release(block); }
void operator delete[](void* block, size_t) noexcept { release(block); }

namespace rims::message {
namespace {

constexpr size_t kMaxMemory = 64 << 20;
constexpr size_t kLarger = 4;
constexpr double kMaxGrowth = 8;
constexpr double kTooShort = 0.002;  // seconds: below, the ratio says nothing
// Seconds per byte of what only waits for memory: such work doubles its time once more where
// the message outgrows the cache.
constexpr double kMemorySpeed = 2e-9;
#ifdef RIMS_SANITIZED
constexpr double kMaxSeconds = 5;
constexpr size_t kBombSize = 2 << 20;
#else
constexpr double kMaxSeconds = 1;
constexpr size_t kBombSize = 16 << 20;
#endif

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double seconds_of(const std::function<void()>& work) {
  double best = 1e9;
  for (int run = 0; run < 3; run++) {
    const double start = cpu_seconds();
    work();
    best = std::min(best, cpu_seconds() - start);
  }
  return best;
}

std::string repeat(std::string_view text, size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (size_t i = 0; i < times; i++) out += text;
  return out;
}

// About `size` bytes of trouble.
struct Bomb {
  const char* name;
  std::function<std::string(size_t size)> make;
};

const std::string kMixed = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";

std::string nested(size_t size, std::string_view part) {
  return "MIME-Version: 1.0\r\n" + repeat(part, size / part.size());
}

std::string nested_multiparts(size_t size) {
  std::string out = "MIME-Version: 1.0\r\n";
  for (size_t i = 0; out.size() < size; i++) {
    const std::string b = "b" + std::to_string(i) + ".";
    out += "Content-Type: multipart/mixed; boundary=\"" + b + "\"\r\n\r\n--" + b + "\r\n";
  }
  return out;
}

// Many open boundaries, then lines that begin like all of them.
std::string near_boundaries(size_t size) {
  std::string out = "MIME-Version: 1.0\r\n";
  const std::string stem(180, '-');
  for (size_t i = 0; i < 90; i++) {
    const std::string b = stem + std::to_string(100 + i);
    out += "Content-Type: multipart/mixed; boundary=\"" + b + "\"\r\n\r\n--" + b + "\r\n";
  }
  return out + "\r\n" + repeat("--" + stem + "99\r\n", size / 186);
}

const Bomb kBombs[] = {
    {"nested multiparts", nested_multiparts},
    {"nested messages", [](size_t n) { return nested(n, "Content-Type: message/rfc822\r\n\r\n"); }},
    {"nested digests",
     [](size_t n) {
       return nested(n, "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n");
     }},
    {"many parts", [](size_t n) { return kMixed + repeat("--b\r\n\r\nx\r\n", n / 10); }},
    {"many empty parts", [](size_t n) { return kMixed + repeat("--b\n", n / 4); }},
    {"many near boundaries", near_boundaries},
    {"dashes", [](size_t n) { return kMixed + repeat("--\r\n", n / 4); }},
    {"a long boundary",
     [](size_t n) {
       const std::string b(n / 2, 'x');
       return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=" + b + "\r\n\r\n--" +
              b;
     }},
    {"one huge header", [](size_t n) { return "Subject: " + std::string(n, 'x') + "\r\n\r\n"; }},
    {"folded header", [](size_t n) { return "Subject:" + repeat("\r\n x", n / 4) + "\r\n\r\n"; }},
    {"many headers", [](size_t n) { return repeat("X: y\r\n", n / 6) + "\r\n"; }},
    {"many Content-Types", [](size_t n) { return repeat("Content-Type: a/b\r\n", n / 19); }},
    {"many addresses", [](size_t n) { return "To: " + repeat("a@b,", n / 4) + "\r\n\r\n"; }},
    {"many authors", [](size_t n) { return "From: " + repeat("a,", n / 2) + "\r\n\r\n"; }},
    {"many To fields", [](size_t n) { return repeat("To: a@b\r\n", n / 9) + "\r\n"; }},
    {"nested comments", [](size_t n) { return "To: " + repeat("(", n) + "\r\n\r\n"; }},
    {"closed comments", [](size_t n) { return "To: " + repeat("()", n / 2) + "a@b\r\n\r\n"; }},
    {"open quotes", [](size_t n) { return "To: " + repeat("\"\\", n / 2) + "\r\n\r\n"; }},
    {"quote after quote", [](size_t n) { return "To: " + repeat("\"a\" ", n / 4) + "\r\n\r\n"; }},
    {"open angles", [](size_t n) { return "To: " + repeat("<", n) + "\r\n\r\n"; }},
    {"open groups", [](size_t n) { return "To: " + repeat("a:", n / 2) + "\r\n\r\n"; }},
    {"routes", [](size_t n) { return "To: <" + repeat("@a,", n / 3) + ":b@c>\r\n\r\n"; }},
    {"dots", [](size_t n) { return "To: " + repeat("a . ", n / 4) + "@b\r\n\r\n"; }},
    {"half encoded words", [](size_t n) { return "To: " + repeat("=?a?q?", n / 6) + "\r\n\r\n"; }},
    {"encoded words",
     [](size_t n) { return "Subject: " + repeat("=?utf-8?q?=C3=A4?= ", n / 19) + "\r\n\r\n"; }},
    {"continuations",
     [](size_t n) {
       std::string out = "MIME-Version: 1.0\r\nContent-Type: text/plain";
       for (size_t i = 0; out.size() < n; i++) out += "; a*" + std::to_string(i) + "*=x";
       return out + "\r\n\r\n";
     }},
    {"parameters",
     [](size_t n) {
       return "MIME-Version: 1.0\r\nContent-Type: text/plain" + repeat("; a=b", n / 5) + "\r\n\r\n";
     }},
    {"open parameter quotes",
     [](size_t n) {
       return "MIME-Version: 1.0\r\nContent-Type: text/plain" + repeat("; a=\"\\", n / 6) +
              "\r\n\r\n";
     }},
    {"parts with big types",
     [](size_t n) {
       return kMixed +
              repeat("--b\r\nContent-Type: a/b; c=\"" + std::string(900, '\\') + "\"\r\n\r\n",
                     n / 930);
     }},
    {"digest parts without a type",
     [](size_t n) {
       return "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=b; x=" +
              std::string(n / 2, 'x') + "\r\n\r\n" + repeat("--b\r\n\r\n", n / 14);
     }},
    {"a line without end", [](size_t n) { return "Subject: x\r\n\r\n" + std::string(n, 'x'); }},
    {"empty lines", [](size_t n) { return std::string(n, '\n'); }},
    {"NULs", [](size_t n) { return std::string(n, '\0'); }},
    {"references",
     [](size_t n) { return "In-Reply-To: " + repeat("<a@b>\r\n ", n / 8) + "\r\n\r\n"; }},
    {"base64 text",
     [](size_t n) {
       return "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
              repeat("QUJDw6Q=\r\n", n / 10);
     }},
    {"quoted-printable text",
     [](size_t n) {
       return "Content-Type: text/plain; charset=shift_jis\r\nContent-Transfer-Encoding: "
              "quoted-printable\r\n\r\n" +
              repeat("=82=B1=\r\n", n / 9);
     }},
    {"one character for ever",
     [](size_t n) { return "Subject: x\r\n\r\n" + repeat("\xcc\x81", n / 2); }},
};

// With limits so wide that nothing is cut off: the algorithms themselves must be linear. Depth
// keeps its default, as each level may cost one comparison per line.
constexpr Limits kWide = {.depth = 100,
                          .parts = 50'000'000,
                          .header_bytes = 1 << 30,
                          .all_header_bytes = 1 << 30,
                          .addresses = 50'000'000,
                          .params = 50'000'000};

// Doubles the size until the work can be timed, then compares with four times that. The least of
// many runs is what the work takes when nobody disturbs it.
void expect_linear(const char* name, const std::function<std::function<void()>(size_t)>& work_of) {
  size_t size = 64 << 10;
  double once = seconds_of(work_of(size));
  while (once < kTooShort && size < (2 << 20)) {
    size *= 2;
    once = seconds_of(work_of(size));
  }
  const std::function<void()> small = work_of(size);
  const std::function<void()> large = work_of(size * kLarger);
  double more = seconds_of(large);
  for (int attempt = 0; attempt < 8; attempt++) {
    if (more <= once * kMaxGrowth || more < kTooShort) return;
    if (more < static_cast<double>(kLarger * size) * kMemorySpeed) return;
    once = std::min(once, seconds_of(small));
    more = std::min(more, seconds_of(large));
  }
  ADD_FAILURE() << name << " grows " << more / once << " times";
}

TEST(Bomb, ParsingIsLinear) {
  for (const Bomb& bomb : kBombs) {
    expect_linear(bomb.name, [&](size_t size) {
      return [message = bomb.make(size)] { static_cast<void>(make_structure(message, kWide)); };
    });
  }
}

TEST(Bomb, SearchingIsLinear) {
  const auto needle = Needle::make("\xcc\x81\xcc\x81x\xc3\xa4y");
  ASSERT_TRUE(needle);
  for (const Bomb& bomb : kBombs) {
    expect_linear(bomb.name, [&](size_t size) {
      return [message = bomb.make(size), &needle] {
        const std::string blob = make_structure(message);
        const auto view = StructureView::open(blob);
        static_cast<void>(text_contains(message, *view, *needle));
      };
    });
  }
}

TEST(Bomb, StaysWithinMemoryAndTime) {
  const auto needle = Needle::make("nowhere \xc3\xa4");
  ASSERT_TRUE(needle);
  for (const Bomb& bomb : kBombs) {
    const std::string message = bomb.make(kBombSize);
    const size_t before = held;
    most = before;
    const double start = cpu_seconds();
    const std::string blob = make_structure(message);
    EXPECT_LE(cpu_seconds() - start, kMaxSeconds) << bomb.name;
    EXPECT_LE(most - before, kMaxMemory) << bomb.name;
    EXPECT_LE(blob.size(), kMaxMemory / 4) << bomb.name;

    most = held.load();
    const size_t parsed = held;
    const auto view = StructureView::open(blob);
    ASSERT_TRUE(view) << bomb.name;
    EXPECT_TRUE(is_balanced_list(view->bodystructure())) << bomb.name;
    EXPECT_FALSE(text_contains(message, *view, *needle)) << bomb.name;
    EXPECT_LE(most - parsed, kMaxMemory) << bomb.name << " searched";
  }
}

}  // namespace
}  // namespace rims::message
