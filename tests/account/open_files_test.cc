// tests/account/open_files_test.cc - many mailboxes and segments, few descriptors

#include "tests/account/damage_fixture.h"

namespace rims::store {
namespace {

// --- descriptors ---

size_t descriptors() {
  return static_cast<size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), {}));
}

class FewFilesTest : public DamageTest {
 protected:
  Options options() override {
    Options o = DamageTest::options();
    o.open_files = &few_;
    return o;
  }
  OpenFiles few_{12};
};

TEST_F(FewFilesTest, ManyMailboxesAndSegmentsNeedFewDescriptors) {
  const size_t before = descriptors();
  auto account = open();
  size_t most = 0;
  std::vector<MailboxId> ids;
  for (int i = 0; i < 400; i++) ids.push_back(must(account->create(fmt::format("m{}", i))));
  for (size_t i = 0; i < ids.size(); i++) {
    must(account->append(ids[i], messages({fmt::format("mail {} ", i) + std::string(2000, 'x')})));
    if (i % 20 == 0) run(loop_, account->tidy());
    most = std::max(most, descriptors());
  }
  run(loop_, account->tidy());
  EXPECT_GT(last_segment(), 100);
  for (const auto id : ids) {
    const auto mailbox = must(account->open_mailbox(id));
    ASSERT_EQ(mailbox->messages().size(), 1U);
    must(account->read(mailbox->messages()[0].message));
    most = std::max(most, descriptors());
  }
  EXPECT_LE(few_.open(), few_.most());
  // The account's directory, the pool, and what one call needs for a moment.
  EXPECT_LE(most, before + few_.most() + 10);
  const auto state = snapshot(account);
  account.reset();
  // Also what was written to files that were closed meanwhile is vouched for.
  stop();
  EXPECT_EQ(few_.open(), 0U);
  EXPECT_EQ(found(), "");
  make_store();
  account = open();
  auto now = snapshot(account);
  EXPECT_EQ(now.mailboxes().size(), state.mailboxes().size());
  EXPECT_EQ(read_all(account), 400U);
}

TEST_F(FewFilesTest, ASegmentThatIsReplacedWhileItIsClosedIsReadAgain) {
  auto account = open();
  for (int i = 0; i < 60; i++)
    must(account->append(inbox(account),
                         messages({fmt::format("mail {} ", i) + std::string(1000, 'x')})));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  std::vector<MessageEntry> kept;
  std::vector<Uid> gone;
  for (const auto& e : mailbox->messages()) {
    EXPECT_TRUE(run(loop_, account->read(e.message)));
    if (e.uid.value % 5 == 0)
      kept.push_back(e);
    else
      gone.push_back(e.uid);
  }
  must(account->expunge(inbox(account), gone));
  run(loop_, account->compact({.retention = 0, .small = 0, .longest_pause = 0}, now_ + 100));
  for (const auto& e : kept)
    EXPECT_EQ(must(account->read(e.message)),
              fmt::format("mail {} ", e.uid.value - 1) + std::string(1000, 'x'));
}

// An index file that somebody changes while it is closed is not written on.
TEST_F(FewFilesTest, AnIndexFileThatWasExchangedIsNoticed) {
  auto account = open();
  std::vector<MailboxId> ids;
  for (int i = 0; i < 40; i++) {
    ids.push_back(must(account->create(fmt::format("m{}", i))));
    must(account->append(ids.back(), messages({"one"})));
  }
  run(loop_, account->tidy());
  const auto file = dir() / fmt::format("mailbox_{}.gdbm", ids[0].value);
  ASSERT_TRUE(fs::exists(file));
  spew(file, slurp(dir() / fmt::format("mailbox_{}.gdbm", ids[1].value)));
  must(account->append(ids[0], messages({"two"})));
  run(loop_, account->tidy());
  EXPECT_EQ(must(account->open_mailbox(ids[0]))->messages().size(), 2U);
  account.reset();
  reopen();
  account = open();
  EXPECT_EQ(must(account->open_mailbox(ids[0]))->messages().size(), 2U);
  EXPECT_EQ(read_all(account), 41U);
}

}  // namespace
}  // namespace rims::store
