// tests/deliver/intake_test.cc - what a pipe brings and what is stored of it

#include "deliver/intake.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "common/base/fd.h"

namespace rims::deliver {
namespace {

TEST(StoredForm, LocalLineEndsBecomeCrlf) {
  const struct {
    std::string in, out;
  } rows[] = {
      {"", ""},
      {"\n", "\r\n"},
      {"\n\n", "\r\n\r\n"},
      {"A: b\n\nc\n", "A: b\r\n\r\nc\r\n"},
      {"A: b\n\nno end", "A: b\r\n\r\nno end"},
      {"no line end", "no line end"},
      {"bare\rcr\nlf\n", "bare\rcr\r\nlf\r\n"},
      {std::string("nul\0\n\0", 6), std::string("nul\0\r\n\0", 7)},
      // One CRLF anywhere: not an MTA's local form, not touched.
      {"A: b\r\n\r\nc\r\n", "A: b\r\n\r\nc\r\n"},
      {"A: b\n\nc\r\nd\n", "A: b\n\nc\r\nd\n"},
      {"\r\n", "\r\n"},
      {"\r\r\n\n", "\r\r\n\n"},
  };
  for (const auto& row : rows) EXPECT_EQ(stored_form(row.in), row.out) << row.in;
}

TEST(StoredForm, ADotIsALine) {
  EXPECT_EQ(stored_form("a: b\n\n.\n..\nafter\n"), "a: b\r\n\r\n.\r\n..\r\nafter\r\n");
}

TEST(StoredForm, ExactlyOneSeparatorLineIsTakenAway) {
  EXPECT_EQ(stored_form("From a@b Thu Jan  1 00:00:00 1970\nA: b\n\n"), "A: b\r\n\r\n");
  EXPECT_EQ(stored_form("From a\r\nA: b\r\n\r\n"), "A: b\r\n\r\n");
  EXPECT_EQ(stored_form("From a\nFrom b\nA: c\n"), "From b\r\nA: c\r\n");
  EXPECT_EQ(stored_form("From: a\n\nFrom x\n"), "From: a\r\n\r\nFrom x\r\n");
  EXPECT_EQ(stored_form("from a\nA: b\n"), "from a\r\nA: b\r\n");
  EXPECT_EQ(stored_form(">From a\nA: b\n"), ">From a\r\nA: b\r\n");
  EXPECT_EQ(stored_form("From only"), "");
  EXPECT_EQ(stored_form("From"), "From");
}

TEST(StoredForm, ALargeMessageIsRight) {
  std::string in, out;
  for (int i = 0; i < 200'000; i++) {
    in += std::to_string(i) + "\n";
    out += std::to_string(i) + "\r\n";
  }
  EXPECT_EQ(stored_form(in), out);
}

TEST(ReadToEnd, APipeInPiecesAndTheExactLimit) {
  std::string text(300'000, 'x');
  for (size_t i = 0; i < text.size(); i++) text[i] = static_cast<char>(i % 251);
  for (const uint64_t limit : {text.size(), text.size() - 1}) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const Fd out(ends[0]);
    std::thread writer([&text, in = ends[1]] {
      for (size_t at = 0; at < text.size(); at += 777)
        if (write(in, text.data() + at, std::min<size_t>(777, text.size() - at)) < 0) break;
      close(in);
    });
    auto got = read_to_end(out.get(), limit);
    if (limit == text.size()) {
      ASSERT_TRUE(got.has_value());
      EXPECT_EQ(*got, text);
    } else {
      ASSERT_FALSE(got.has_value());
      EXPECT_EQ(got.error().fault(), Fault::limit);
      // Let the writer end.
      char rest[4096];
      while (read(out.get(), rest, sizeof rest) > 0) continue;
    }
    writer.join();
  }
}

TEST(ReadToEnd, AReadErrorIsNotAnEnd) {
  const Fd directory(open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(read_to_end(directory.get(), 100).error().fault(), Fault::storage);
  EXPECT_EQ(read_to_end(-1, 100).error().fault(), Fault::storage);
}

}  // namespace
}  // namespace rims::deliver
