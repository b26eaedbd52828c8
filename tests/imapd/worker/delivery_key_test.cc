// tests/imapd/worker/delivery_key_test.cc - which deliveries are the same one again

#include "imapd/worker/delivery_key.h"

#include <string>

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace rims::imapd {
namespace {

using store::DeliveryKey;

const std::string kMessage = "Return-Path: <a@example.org>\r\nSubject: x\r\n\r\nhello\r\n";

class DeliveryKeyTest : public testing::Test {
 protected:
  DeliveryKeyTest() { crypto_init(); }
  DeliveryKey first_ = delivery_key("foo@example.org", "INBOX", "4F2A", kMessage);
};

TEST_F(DeliveryKeyTest, TheSameIsTheSame) {
  EXPECT_NE(first_, DeliveryKey{});
  EXPECT_EQ(first_, delivery_key("foo@example.org", "INBOX", "4F2A", kMessage));
}

TEST_F(DeliveryKeyTest, EveryDifferenceMakesAnother) {
  EXPECT_NE(first_, delivery_key("foo@example.net", "INBOX", "4F2A", kMessage));
  EXPECT_NE(first_, delivery_key("foo@example.org", "Junk", "4F2A", kMessage));
  EXPECT_NE(first_, delivery_key("foo@example.org", "INBOX", "4F2B", kMessage));
  EXPECT_NE(first_, delivery_key("foo@example.org", "INBOX", "4F2A", kMessage + "."));
  // Bytes do not move from one field into the next.
  EXPECT_NE(delivery_key("ab", "c", "1", "x"), delivery_key("a", "bc", "1", "x"));
  EXPECT_NE(delivery_key("a", "b", "12", "3"), delivery_key("a", "b", "1", "23"));
}

TEST_F(DeliveryKeyTest, WithoutAnIdThereIsNone) {
  EXPECT_EQ(delivery_key("foo@example.org", "INBOX", "", kMessage), DeliveryKey{});
}

TEST_F(DeliveryKeyTest, TheTimeOfTheAttemptIsNoDifference) {
  const auto key = [](const std::string& text) {
    return delivery_key("foo", "INBOX", "1rX", text);
  };
  const std::string front = "Return-path: <a@example.org>\r\nEnvelope-to: foo\r\n";
  const std::string rest = "Received: from x\r\nSubject: y\r\n\r\nhello\r\n";
  EXPECT_EQ(key(front + "Delivery-date: Mon, 1 Jan 2024 10:00:00 +0000\r\n" + rest),
            key(front + "Delivery-date: Mon, 1 Jan 2024 10:15:00 +0000\r\n" + rest));
  // It is one that the MTA has made only among the fields that it puts in front.
  EXPECT_NE(key(rest + "Delivery-date: 1\r\n"), key(rest + "Delivery-date: 2\r\n"));
  EXPECT_NE(key("Subject: y\r\nDelivery-date: 1\r\n\r\n"),
            key("Subject: y\r\nDelivery-date: 2\r\n\r\n"));
  EXPECT_NE(key("Delivery-date: 1"), key("Delivery-date: 2")) << "no whole line";
}

}  // namespace
}  // namespace rims::imapd
