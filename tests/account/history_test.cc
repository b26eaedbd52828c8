// tests/account/history_test.cc - what was expunged is known for ever, whatever becomes of the
// files

#include "common/index/gdbm_key_value.h"
#include "common/index/index_codec.h"
#include "common/journal/account_dir.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

using Ranges = std::vector<UidRange>;

class HistoryTest : public FileTest {
 protected:
  void SetUp() override {
    quick_ = true;
    FileTest::SetUp();
  }
  Ranges since(const std::shared_ptr<Account>& account, ModSeq modseq = {},
               const std::string& name = "INBOX") {
    return must(account->vanished(account->find(name)->id, modseq));
  }
  // Writes the index behind and lets go of what nobody uses.
  void tidy(const std::shared_ptr<Account>& account) {
    run(loop_, account->tidy());
    run(loop_, account->tidy());
  }
  // 1, 3 and 4 are expunged, 6 has moved away. Between them: the modseq of the middle.
  ModSeq make_history(const std::shared_ptr<Account>& account) {
    must(account->create("x"));
    must(account->append(inbox(account), messages({"1", "2", "3", "4", "5", "6"})));
    must(account->expunge(inbox(account), uids({1, 3})));
    const ModSeq middle = account->modseq();
    must(account->expunge(inbox(account), uids({4})));
    must(account->move(inbox(account), uids({6}), account->find("x")->id));
    return middle;
  }
  static inline const Ranges kAll{{1, 1}, {3, 4}, {6, 6}}, kLate{{4, 4}, {6, 6}};
};

TEST_F(HistoryTest, IsTheSameAfterStopKillAndWithoutIndex) {
  auto account = open();
  const ModSeq middle = make_history(account);
  for (const char* what : {"as it is", "stopped", "killed", "no index", "one file less"}) {
    SCOPED_TRACE(what);
    const std::string_view then = what;
    account.reset();
    if (then == "stopped") reopen();
    if (then == "killed") kill();
    if (then == "no index" || then == "one file less") {
      stop();
      fs::remove(dir() / "mailbox_1.gdbm");
      if (then == "no index") fs::remove(dir() / "meta.gdbm");
      make_store();
    }
    account = open();
    EXPECT_EQ(since(account), kAll);
    EXPECT_EQ(since(account, middle), kLate);
    EXPECT_EQ(since(account, account->modseq()), Ranges());
    EXPECT_EQ(since(account, {}, "x"), Ranges());
  }
}

TEST_F(HistoryTest, GoesOnFromWhatIsWritten) {
  auto account = open();
  const ModSeq middle = make_history(account);
  tidy(account);
  must(account->expunge(inbox(account), uids({5})));
  EXPECT_EQ(since(account, middle), (Ranges{{4, 6}})) << "half of it written";
  tidy(account);
  EXPECT_EQ(since(account), (Ranges{{1, 1}, {3, 6}})) << "all of it written";
  account.reset();
  reopen();
  account = open();
  must(account->expunge(inbox(account), uids({2})));
  EXPECT_EQ(since(account, middle), (Ranges{{2, 2}, {4, 6}}));
  tidy(account);
  EXPECT_EQ(since(account), (Ranges{{1, 6}}));
}

// Several chunks, written at once and one after the other.
TEST_F(HistoryTest, AnyLengthIsAnsweredFromAnyPoint) {
  constexpr uint32_t kMany = 3 * kExpungedPerChunk;
  auto account = open();
  std::vector<NewMessage> list;
  for (uint32_t i = 0; i < 2 * kMany; i++) list.push_back(message("m"));
  must(account->append(inbox(account), std::move(list)));
  std::vector<ModSeq> before(kMany);  // each odd uid goes, by itself
  for (uint32_t i = 0; i < kMany; i++) {
    before[i] = account->modseq();
    must(account->expunge(inbox(account), uids({2 * i + 1})));
    // Also when a chunk is just full, and one before and after.
    if (i % 50 == 0 || (i + 2) % kExpungedPerChunk < 3) tidy(account);
  }
  for (int round = 0; round < 2; round++) {
    const uint32_t n = kExpungedPerChunk;
    for (const uint32_t from : {0U, 1U, n - 1, n, n + 1, 2 * n, kMany - 1}) {
      const auto gone = since(account, before[from]);
      ASSERT_EQ(gone.size(), kMany - from) << from;
      EXPECT_EQ(gone.front(), (UidRange{2 * from + 1, 2 * from + 1}));
      EXPECT_EQ(gone.back(), (UidRange{2 * kMany - 1, 2 * kMany - 1}));
    }
    account.reset();
    reopen();
    account = open();
  }
}

TEST_F(HistoryTest, OutlivesTheBytes) {
  segment_bytes_ = 50'000;
  stop();
  make_store();
  auto account = open();
  for (int i = 0; i < 40; i++)
    must(account->append(inbox(account), messages({std::string(3000, 'b')})));
  std::vector<Uid> dead;
  for (uint32_t uid = 2; uid <= 39; uid++) dead.emplace_back(uid);
  must(account->expunge(inbox(account), dead));
  const auto size = [&] { return fs::file_size(dir() / "journal/00000001"); };
  const auto before = size();
  run(loop_, account->compact({0, 20'000}, now_));
  EXPECT_LT(size(), before);
  EXPECT_EQ(since(account), (Ranges{{2, 39}}));
  account.reset();
  kill();
  account = open();
  EXPECT_EQ(since(account), (Ranges{{2, 39}}));
}

TEST_F(HistoryTest, GoesWithTheMailboxAndNotWithItsName) {
  auto account = open();
  must(account->create("y"));
  const MailboxId y = account->find("y")->id;
  must(account->append(y, messages({"1", "2"})));
  must(account->expunge(y, uids({1})));
  must(account->rename("y", "z"));
  EXPECT_EQ(since(account, {}, "z"), (Ranges{{1, 1}}));
  tidy(account);
  must(account->remove("z"));
  EXPECT_EQ(code(account->vanished(y, ModSeq())), "NONEXISTENT");
  must(account->create("z"));
  EXPECT_EQ(since(account, {}, "z"), Ranges());
}

TEST_F(HistoryTest, WhatDidNotChangeIsNotLoaded) {
  auto account = open();
  make_history(account);
  account.reset();
  reopen();
  account = open();
  fs::remove(dir() / "mailbox_1.gdbm");  // reading it would be noticed
  Heard heard;
  log::set_sink(&heard);
  EXPECT_EQ(since(account, account->find("INBOX")->highest_modseq), Ranges());
  EXPECT_EQ(heard.text, "");
  EXPECT_EQ(since(account), kAll);
  log::set_sink(nullptr);
  EXPECT_NE(heard.text, "");
}

// The value is gone, while head and meta agree.
TEST_F(HistoryTest, APieceThatIsMissingIsMadeAgain) {
  auto account = open();
  const ModSeq middle = make_history(account);
  account.reset();
  stop();
  GdbmFiles files(true);
  {
    const auto in =
        std::make_shared<AccountDir>(*AccountDir::open(disk_, options().base.get(), "foo", false));
    auto file = files.open("foo", in.get(), "mailbox_1", OpenMode::existing);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*(*file)->get(numbered_key('x', 0))).has_value());
    ASSERT_TRUE((*file)->remove(numbered_key('x', 0)));
  }
  make_store();
  account = open();
  EXPECT_EQ(since(account, middle), kLate);
  EXPECT_EQ(since(account), kAll);
}

TEST_F(HistoryTest, ObjectIdsOutliveEverything) {
  auto account = open();
  must(account->create("y"));
  const MailboxId y = account->find("y")->id;
  must(account->append(inbox(account), messages({"1"})));
  must(account->copy(inbox(account), uids({1}), y));
  const auto ids = [&] {
    return account->object_id() + " " + account->object_id(y) + " " +
           account->object_id(must(account->open_mailbox(y))->messages()[0].message);
  };
  const std::string before = ids();
  EXPECT_EQ(account->object_id(must(account->open_mailbox(inbox(account)))->messages()[0].message),
            account->object_id(must(account->open_mailbox(y))->messages()[0].message));
  must(account->rename("y", "z"));
  account.reset();
  stop();
  fs::remove(dir() / "meta.gdbm");
  make_store();
  account = open();
  EXPECT_EQ(ids(), before);
  EXPECT_NE(open("bar")->object_id(), account->object_id());
  must(account->remove("z"));
  must(account->create("z"));
  EXPECT_NE(account->object_id(account->find("z")->id), account->object_id(y));
}

}  // namespace
}  // namespace rims::store
