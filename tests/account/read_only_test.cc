// tests/account/read_only_test.cc - accounts that can be read, and not written

#include "tests/account/damage_fixture.h"

namespace rims::store {
namespace {

// A batch that was cut in the middle is kept before it is cut. Where that can not be done, it
// stays.
TEST_F(DamageTest, WhereNothingCanBeKeptTheMailIsRead) {
  segment_bytes_ = 64 << 20;
  make_store();
  auto account = open();
  for (int i = 0; i < 5; i++) must(account->append(inbox(account), messages({"mail"})));
  account.reset();
  crash();
  std::string bytes = slurp(segment(1));
  const size_t end = bytes.find_last_not_of('\0') + 1;
  spew(segment(1), bytes.substr(0, end - 20));
  bytes = slurp(segment(1));
  spew(dir() / "quarantine", "not a directory");
  make_store();
  account = open();
  ASSERT_TRUE(account);
  expect_heard("can not be kept in quarantine/");
  EXPECT_EQ(read_all(account), 4U);
  for (int i = 0; i < 2; i++)
    EXPECT_EQ(code(account->append(inbox(account), messages({"more"}))), "UNAVAILABLE");
  EXPECT_EQ(read_all(account), 4U) << "it stays open";
  account.reset();
  stop();
  EXPECT_EQ(slurp(segment(1)), bytes);
  fs::remove(dir() / "quarantine");
  make_store();
  account = open();
  must(account->append(inbox(account), messages({"more"})));
  EXPECT_EQ(read_all(account), 5U);
  account.reset();
}

// --- a file system that can only be read ---

TEST_F(DamageTest, AReadOnlyFileSystemServesMail) {
  for (const bool orderly : {true, false}) {
    SCOPED_TRACE(orderly);
    stop();
    frozen_.frozen = false;
    fs::remove_all(fs::path(base_) / "mailbox.3");
    make_store();
    fill();
    if (!orderly) {
      make_store();
      auto account = open();
      must(account->append(inbox(account), messages({"last"})));
      crash();
    }
    frozen_.frozen = true;
    heard_.text.clear();
    make_store();
    auto account = run(loop_, store_->open("foo")).value_or(nullptr);
    ASSERT_TRUE(account) << heard_.text;
    expect_heard("the account can only be read");
    EXPECT_EQ(read_all(account), orderly ? 20U : 21U);
    for (int i = 0; i < 2; i++) {
      const auto refused = run(loop_, account->append(inbox(account), messages({"no"})));
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code(), "UNAVAILABLE");
      EXPECT_EQ(refused.error().reply(), "the mailboxes can only be read now");
      EXPECT_NE(refused.error().detail().find("ead-only"), std::string::npos)
          << refused.error().detail();
      EXPECT_EQ(code(account->change_flags(
                    inbox(account),
                    {.uids = uids({1}), .op = FlagOp::add, .flags = kSeen, .keywords = {}})),
                "UNAVAILABLE");
      EXPECT_FALSE(account->failed());
      EXPECT_EQ(read_all(account), orderly ? 20U : 21U);
    }
    frozen_.frozen = false;
    auto appended = run(loop_, account->append(inbox(account), messages({"yes"})));
    if (!orderly) {
      // Its end has to be written again first: that is for an opening.
      EXPECT_FALSE(appended);
      account.reset();
      account = open();
      appended = run(loop_, account->append(inbox(account), messages({"yes"})));
    }
    ASSERT_TRUE(appended) << appended.error().detail();
    account.reset();
    reopen();
    account = open();
    EXPECT_EQ(read_all(account), orderly ? 21U : 22U);
    account.reset();
    stop();
    EXPECT_EQ(found(), "");
    make_store();
  }
}

TEST_F(DamageTest, AFileSystemThatBecomesReadOnlyRefusesChangesOnly) {
  segment_bytes_ = 64 << 20;
  make_store();
  auto account = open();
  must(account->append(inbox(account), messages({"one"})));
  frozen_.frozen = true;
  for (const size_t size : {size_t{10}, size_t{200'000}}) {
    const auto refused =
        run(loop_, account->append(inbox(account), messages({std::string(size, 'n')})));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), "UNAVAILABLE");
    EXPECT_FALSE(account->failed());
    EXPECT_EQ(read_all(account), 1U);
  }
  frozen_.frozen = false;
  EXPECT_EQ(must(account->append(inbox(account), messages({"two"}))).uids[0], Uid(2));
  account.reset();
  kill();
  EXPECT_EQ(read_all(open()), 2U);
}

// Its last segment is open a second time then, and is sealed as any other.
TEST_F(DamageTest, AnAccountThatBecomesWritableBeginsNewSegments) {
  auto account = open();
  must(account->append(inbox(account), messages({"one"})));
  account.reset();
  stop();
  frozen_.frozen = true;
  make_store();
  account = open();
  ASSERT_FALSE(run(loop_, account->append(inbox(account), messages({"no"}))));
  frozen_.frozen = false;
  // Too large for it, so that nothing else has used it before it is sealed.
  must(account->append(inbox(account), messages({std::string(segment_bytes_, 'x')})));
  EXPECT_EQ(last_segment(), 2);
  must(account->append(inbox(account), messages({"more"})));
  account.reset();
  reopen();
  EXPECT_EQ(read_all(open()), 3U);
}

}  // namespace
}  // namespace rims::store
