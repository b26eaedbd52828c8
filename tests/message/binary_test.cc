// tests/message/binary_test.cc - binary parts in base64, and all else as it was

#include "common/message/binary.h"

#include <string>

#include <gtest/gtest.h>

#include "common/message/structure.h"
#include "common/message/transfer.h"

namespace rims::message {
namespace {

using namespace std::string_literals;

// The body of the part that `spec` names, decoded.
std::string decoded(const std::string& message, uint32_t index) {
  const std::string blob = make_structure(message);
  const auto view = StructureView::open(blob);
  const Part part = view->part(index);
  return transfer_decode(part.body.of(message), part.encoding);
}

TEST(EncodeBinaryParts, ChangesNothingWithoutNulInABinaryPart) {
  for (const std::string& message :
       {"Content-Transfer-Encoding: binary\r\n\r\nno nul\xff\r\n"s,
        "Content-Transfer-Encoding: 8bit\r\n\r\na\0b\r\n"s, "Subject: x\r\n\r\na\0b\r\n"s,
        "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: binary\r\n\r\na\0b"s,
        "Subject: \0\r\nContent-Transfer-Encoding: binary\r\n\r\nx"s, ""s})
    EXPECT_EQ(encode_binary_parts(message), std::nullopt) << testing::PrintToString(message);
}

TEST(EncodeBinaryParts, EncodesTheBodyOfAMessage) {
  const auto encoded = encode_binary_parts(
      "MIME-Version: 1.0\r\nContent-transfer-encoding:\r\n BINARY (raw)\r\nTo: x\r\n\r\n\0\1\2"s);
  EXPECT_EQ(encoded,
            "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\nTo: x\r\n\r\nAAEC\r\n");
}

// Without it, the encoding would not count.
TEST(EncodeBinaryParts, AddsMimeVersionWhereNothingSaysMime) {
  EXPECT_EQ(encode_binary_parts("Content-Transfer-Encoding: binary\n\n\0"s),
            "MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\nAA==\n");
}

TEST(EncodeBinaryParts, EncodesPartsAtAnyDepthAndNothingElse) {
  const std::string large(1'000'000, '\0');
  const std::string before =
      "Content-Type: multipart/mixed; boundary=a\r\nContent-Transfer-Encoding: binary\r\n\r\n"
      "preamble \0\r\n--a\r\nContent-Type: message/rfc822\r\n\r\n"
      "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n"
      "Content-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n"s;
  const std::string between =
      "\r\n--c\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xe9\0\r\n--c--\r\n--a\r\n"
      "Content-Transfer-Encoding: binary\r\n\r\n"s;
  const std::string end = "\r\n--a--\r\nepilogue\r\n";
  const std::string message = before + large + between + "x\0"s + end;
  const auto encoded = encode_binary_parts(message);
  ASSERT_TRUE(encoded);
  const auto binary = encoded->find("base64");
  EXPECT_EQ(encoded->substr(0, binary), before.substr(0, before.rfind("binary")));
  EXPECT_TRUE(encoded->contains("caf\xe9\0\r\n"s)) << "8-bit text stays";
  EXPECT_TRUE(encoded->ends_with("base64\r\n\r\neAA=\r\n--a--\r\nepilogue\r\n"));
  // Breadth first: the multipart, its two parts, the embedded message, its two parts.
  EXPECT_EQ(decoded(*encoded, 2), "x\0"s);
  EXPECT_TRUE(decoded(*encoded, 4) == large);
  size_t longest = 0;
  for (size_t at = 0, next = 0; (next = encoded->find('\n', at)) != std::string::npos;
       at = next + 1)
    longest = std::max(longest, next - at);
  EXPECT_EQ(longest, 77U) << "76 and CR";
}

}  // namespace
}  // namespace rims::message
