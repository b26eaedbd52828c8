// tests/deliver/lmtp/end_of_data_test.cc - only CR LF . CR LF ends a message
//
// The matrix: each of seven neighbours before a dot, each of them behind it, in a message that
// would be two for a reader who takes anything else for the end; cut at every place, and byte by
// byte. What comes out is compared with a reference that knows the whole text.

#include "deliver/lmtp/end_of_data.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace rims::lmtp {
namespace {

struct Read {
  std::string message;
  bool ended = false;
  std::string rest;  // commands
  bool operator==(const Read&) const = default;
};

void take(EndOfData& reader, std::string_view input, Read& read) {
  while (!input.empty()) {
    if (read.ended) {
      read.rest += input;
      return;
    }
    const auto piece = reader.next(input);
    ASSERT_LE(piece.consumed, input.size());
    read.message += piece.bytes;
    read.ended = piece.end;
    input.remove_prefix(piece.consumed);
  }
}

Read read_in(std::string_view text, const std::vector<size_t>& cuts) {
  EndOfData reader;
  Read read;
  size_t from = 0;
  for (const size_t cut : cuts) {
    take(reader, text.substr(from, cut - from), read);
    from = cut;
  }
  take(reader, text.substr(from), read);
  return read;
}

// By lines that end with CR LF, as RFC 5321 §4.5.2 tells it.
Read by_the_rule(std::string_view text) {
  Read read;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find("\r\n", at);
    std::string_view line = text.substr(at, end == text.npos ? text.npos : end + 2 - at);
    at += line.size();
    if (line == ".\r\n") {
      read.ended = true;
      read.rest = text.substr(at);
      return read;
    }
    if (line.starts_with('.')) line.remove_prefix(1);
    read.message += line;
  }
  return read;
}

const std::vector<std::string> kNeighbours{"\r\n", "\n", "\r", "\r\r\n", std::string(1, '\0'),
                                           " ",    "\v"};

TEST(EndOfData, TheMatrixAtEverySegmentation) {
  for (const std::string& before : kNeighbours) {
    for (const std::string& behind : kNeighbours) {
      const std::string text =
          "A: b\r\n\r\none" + before + "." + behind + "MAIL FROM:<x@y>\r\n..two\r\n.\r\nRSET\r\n";
      const Read expected = by_the_rule(text);
      ASSERT_TRUE(expected.ended);
      const bool real = before.ends_with("\r\n") && behind == "\r\n";
      EXPECT_EQ(expected.rest == "RSET\r\n", !real) << "one message unless it is the real end";
      for (size_t cut = 0; cut <= text.size(); cut++)
        ASSERT_EQ(read_in(text, {cut}), expected) << testing::PrintToString(text) << " at " << cut;
      std::vector<size_t> all;
      for (size_t i = 1; i < text.size(); i++) all.push_back(i);
      ASSERT_EQ(read_in(text, all), expected);
    }
  }
}

TEST(EndOfData, EveryShortTextOfTheBytesThatMatter) {
  constexpr std::string_view kBytes = ".\r\nx";
  constexpr size_t kLength = 7;
  for (unsigned n = 0; n < 1u << (2 * kLength); n++) {
    std::string text;
    for (size_t i = 0; i < kLength; i++) text += kBytes[n >> (2 * i) & 3];
    Read expected = by_the_rule(text);
    for (const size_t cut :
         {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{5}, size_t{6}}) {
      Read read = read_in(text, {cut});
      if (!expected.ended) {
        // What may become the end is held back: a dot that begins a line, and the CR behind it.
        ASSERT_TRUE(expected.message.starts_with(read.message));
        ASSERT_LE(expected.message.size() - read.message.size(), 1U);
        ASSERT_FALSE(read.ended);
        continue;
      }
      ASSERT_EQ(read, expected) << testing::PrintToString(text) << " at " << cut;
    }
  }
}

TEST(EndOfData, LinesOfEveryLengthComeOutAsTheyWentIn) {
  for (size_t length = 0; length < 3000; length += length < 1010 ? 1 : 97) {
    std::string message, sent;
    for (const char first : {'x', '.'}) {
      const std::string line = std::string(length, first) + "\r\n";
      message += line;
      sent += (first == '.' && length > 0 ? "." : "") + line;
    }
    sent += ".\r\nQUIT\r\n";
    const Read expected{.message = message, .ended = true, .rest = "QUIT\r\n"};
    ASSERT_EQ(read_in(sent, {}), expected) << length;
    ASSERT_EQ(read_in(sent, {length, length + 1, length + 2, length + 3}), expected) << length;
  }
}

TEST(EndOfData, AnEmptyMessageEndsAtOnce) {
  EXPECT_EQ(read_in(".\r\n", {1, 2}), (Read{.message = "", .ended = true, .rest = ""}));
}

}  // namespace
}  // namespace rims::lmtp
