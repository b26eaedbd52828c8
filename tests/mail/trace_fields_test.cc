// tests/mail/trace_fields_test.cc - what is put in front of a message, and mapped with it

#include "common/mail/trace_fields.h"

#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "common/mail/types.h"

namespace rims::store {
namespace {

TEST(TraceFields, AreReturnPathThenDeliveredTo) {
  EXPECT_EQ(trace_fields("a@b", "foo"), "Return-Path: <a@b>\r\nDelivered-To: foo\r\n");
  EXPECT_EQ(trace_fields("", "foo"), "Return-Path: <>\r\nDelivered-To: foo\r\n");
}

TEST(TraceFields, ALocalPartGetsTheQuotesItNeeds) {  // RFC 5321 §4.1.2
  EXPECT_EQ(written_address("foo.bar+x@b"), "foo.bar+x@b");
  EXPECT_EQ(written_address("-x y;id@b"), "\"-x y;id\"@b");
  EXPECT_EQ(written_address("a@b@c"), "\"a@b\"@c");
  EXPECT_EQ(written_address("q\"\\@c"), "\"q\\\"\\\\\"@c");
  EXPECT_EQ(written_address("a b"), "\"a b\"");
}

TEST(MessageBytes, WhatIsInFrontAndTheFileAreOnePiece) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (const size_t size : {size_t{1}, page - 1, page, page + 1, 3 * page}) {
    const Fd fd(memfd_create("m", MFD_CLOEXEC));
    const std::string body(size, 'b');
    ASSERT_EQ(write(fd.get(), body.data(), size), static_cast<ssize_t>(size));
    for (const size_t before : {size_t{0}, size_t{1}, page - 1, page, page + 1, 2 * page}) {
      const std::string front(before, 'f');
      auto mapped = MessageBytes::map(fd, front);
      ASSERT_TRUE(mapped) << mapped.error().detail();
      EXPECT_EQ(mapped->view(), front + body) << before << " and " << size;
      MessageBytes moved = std::move(*mapped);
      MessageBytes assigned;
      assigned = std::move(moved);
      EXPECT_EQ(assigned.view(), front + body);
    }
  }
}

}  // namespace
}  // namespace rims::store
