// tests/account/clock_test.cc - wall clocks that jump, within a run of the store and between two

#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class ClockTest : public FileTest {
 protected:
  static constexpr int64_t kStart = 1'700'000'000, kYear = 365 * 86'400;
  // Back by a year, ahead by ten, to the beginning, before it, beyond 32 bits, and right again.
  static constexpr int64_t kJumps[] = {kStart - kYear,   kStart + 10 * kYear, 0, -5,
                                       int64_t{1} << 40, kStart + 1};
};

TEST_F(ClockTest, NoUidValidityIsGivenOutTwiceAndNoneGoesBack) {
  std::set<uint32_t> given;
  uint32_t last = 0;
  auto account = open();
  for (const auto* info : account->mailboxes()) {
    given.insert(info->uidvalidity.value);
    last = std::max(last, info->uidvalidity.value);
  }
  int made = 0;
  for (const bool between_runs : {false, true}) {
    for (const int64_t time : kJumps) {
      SCOPED_TRACE(time);
      account.reset();
      if (between_runs) reopen();
      now_ = time;
      account = open();
      must(account->create("again"));
      const uint32_t now = account->find("again")->uidvalidity.value;
      EXPECT_GT(now, last);
      EXPECT_TRUE(given.insert(now).second);
      last = std::max(last, now);
      must(account->append(inbox(account), messages({"x"})));
      must(account->remove("again"));
      made++;
    }
  }
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  ASSERT_EQ(mailbox->messages().size(), static_cast<size_t>(made));
  for (const auto& e : mailbox->messages()) EXPECT_EQ(e.date, 1'000'000'000) << "as it was given";
}

TEST_F(ClockTest, ADeliveryIsKnownAgainAfterTheClockWasSetBack) {
  auto account = open();
  const auto deliver = [&] {
    auto list = messages({"delivered"});
    list[0].delivery_key[0] = 7;
    list[0].duplicate_window = 3600;
    return must(account->append(inbox(account), std::move(list))).repeated;
  };
  EXPECT_EQ(deliver(), 0U);
  for (const int64_t time : {kStart + 60, kStart - kYear, int64_t{0}, int64_t{-5}}) {
    SCOPED_TRACE(time);
    account.reset();
    reopen();
    now_ = time;
    account = open();
    EXPECT_EQ(deliver(), 1U);
  }
  now_ = kStart + 10 * kYear;
  EXPECT_EQ(deliver(), 0U) << "the window has passed, as far as anybody can tell";
  EXPECT_EQ(deliver(), 1U);
  EXPECT_EQ(account->find("INBOX")->messages, 2U);
}

}  // namespace
}  // namespace rims::store
