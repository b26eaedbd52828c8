// tests/store/state_test.cc - folding records that no honest server wrote

#include "common/store/state.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace rims::store {
namespace {

class FoldedState : public testing::Test {
 protected:
  FoldedState() {
    EXPECT_TRUE(
        apply(MailboxCreated{MailboxId(1), UidValidity(1), SpecialUse::none, false, "INBOX"}));
  }
  template <class Record>
  Status apply(const Record& record) {
    seq_++;
    return state_.apply(Record::kType, seq_, time_, record.encode(), nullptr);
  }
  Status append(uint32_t uid) {
    Append record{.mailbox = MailboxId(1), .entry = {}, .delivery_id = {}, .delivery_key = {}};
    record.entry.uid = Uid(uid);
    record.entry.message = MessageId(uid);
    return apply(record);
  }
  [[nodiscard]] const Mailbox& inbox() const { return *state_.mailbox(MailboxId(1)); }

  AccountState state_;
  uint64_t seq_ = 0;
  uint32_t time_ = 1'700'000'000;
};

TEST_F(FoldedState, AGapAfterTheHighestUidDoesNotTakeUidnextBack) {
  ASSERT_TRUE(append(UINT32_MAX - 1));
  ASSERT_TRUE(apply(Gap{12, 0}));
  EXPECT_EQ(inbox().info().uidnext, Uid(UINT32_MAX));
  EXPECT_EQ(state_.broken_invariants(), std::vector<std::string>());
}

TEST_F(FoldedState, AGapAddsWhatItSkipsWhileThereAreNumbers) {
  ASSERT_TRUE(append(5));
  ASSERT_TRUE(apply(Gap{12, 0}));
  EXPECT_EQ(inbox().info().uidnext, Uid(18));
}

TEST_F(FoldedState, TheLastNumberIsNoUid) {
  EXPECT_FALSE(append(UINT32_MAX)) << "no UIDNEXT could follow it";
  ASSERT_TRUE(append(3));
  ASSERT_EQ(inbox().messages().size(), 1U);
  EXPECT_EQ(inbox().messages()[0].uid, Uid(3));
  EXPECT_EQ(state_.broken_invariants(), std::vector<std::string>());
}

}  // namespace
}  // namespace rims::store
