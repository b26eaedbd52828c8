// tests/account/compaction_test.cc - freeing the room of dead messages, whatever fails meanwhile

#include "common/account/compaction.h"

#include <algorithm>
#include <atomic>
#include <fcntl.h>
#include <latch>

#include <fmt/format.h>

#include "common/journal/account_dir.h"
#include "common/journal/file_journal.h"
#include "common/journal/reader.h"
#include "common/journal/segment.h"
#include "common/maintenance/inspect.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class CompactionTest : public FileTest {
 protected:
  static constexpr int64_t kRetention = 14 * 86'400;
  void SetUp() override {
    quick_ = true;
    segment_bytes_ = 50'000;
    FileTest::SetUp();
  }
  static std::string body(uint32_t uid) {
    return "Subject: " + std::to_string(uid) + "\r\n\r\n" + std::string(3000, 'b');
  }
  // Uids 1 to 40 in INBOX, in three segments; all are expunged but each tenth; 10 lies in "kept"
  // as well, and is expunged in INBOX.
  void make_mostly_dead() {
    auto account = open();
    for (uint32_t uid = 1; uid <= 40; uid++)
      must(account->append(inbox(account), messages({body(uid)})));
    must(account->create("kept"));
    must(account->copy(inbox(account), uids({10}), account->find("kept")->id));
    std::vector<Uid> dead = uids({10});
    for (uint32_t uid = 1; uid <= 40; uid++) {
      if (uid % 10 != 0) dead.emplace_back(uid);
    }
    std::ranges::sort(dead);
    must(account->expunge(inbox(account), dead));
  }
  void compact(const std::shared_ptr<Account>& account, int64_t retention = 0,
               uint64_t small = 20'000) {
    run(loop_, account->compact({retention, small}, now_));
  }
  // What make_mostly_dead() has filled.
  uint64_t on_disk() const {
    uint64_t bytes = 0;
    for (const char* name : {"journal/00000001", "journal/00000002", "journal/00000003"}) {
      if (fs::exists(dir() / name)) bytes += fs::file_size(dir() / name);
    }
    return bytes;
  }
  // The journal's records, without those that compaction adds.
  std::vector<std::string> history() {
    std::vector<std::string> lines;
    const auto base = open_base(base_);
    auto reader = JournalReader::open(*base, "foo");
    EXPECT_TRUE(reader && reader->visit({.record = [&](const JournalRecord& record) {
      const auto& h = record.header;
      if (h.type != RecordType::compacted)
        lines.push_back(fmt::format("{} {} {}", h.seq, name(h.type), describe(record)));
      return true;
    }}));
    return lines;
  }
  // All that is alive is whole, and what is not says so.
  void expect_all_alive(const std::shared_ptr<Account>& account) {
    const auto mailbox = must(account->open_mailbox(inbox(account)));
    std::vector<uint32_t> there;
    for (const auto& e : mailbox->messages()) {
      there.push_back(e.uid.value);
      const auto bytes = run(loop_, account->read(e.message));
      ASSERT_TRUE(bytes) << e.uid.value << ": " << bytes.error().detail();
      EXPECT_EQ(*bytes, body(e.uid.value));
      EXPECT_EQ(must(account->read_structure(e.message)),
                "structure of " + body(e.uid.value).substr(0, 20));
    }
    EXPECT_EQ(there, (std::vector<uint32_t>{20, 30, 40}));
    const auto kept = must(account->open_mailbox(account->find("kept")->id));
    ASSERT_EQ(kept->messages().size(), 1U);
    EXPECT_EQ(must(account->read(kept->messages()[0].message)), body(10));
    const auto broken = must(account->check());
    for (const auto& line : broken) ADD_FAILURE() << line;
  }
  void expect_same(const std::shared_ptr<Account>& account, AccountState before) {
    const auto after = snapshot(account);
    before.advance(after.seq());
    EXPECT_EQ(after.difference(before), "");
  }
};

TEST_F(CompactionTest, TheRoomOfDeadMessagesIsFreedAndNothingElseChanges) {
  make_mostly_dead();
  auto account = open();
  const auto before = snapshot(account);
  const uint64_t bytes = on_disk();
  EXPECT_GT(bytes, 130'000U);
  compact(account);
  EXPECT_LT(on_disk(), bytes / 2);
  expect_same(account, before);
  expect_all_alive(account);
  EXPECT_EQ(code(account->read(MessageId(1))), "EXPUNGEISSUED");
  EXPECT_EQ(code(account->read_structure(MessageId(1))), "EXPUNGEISSUED");
  // Where the index knows the new places, and where the journal does.
  for (const bool orderly : {true, false, true}) {
    account.reset();
    orderly ? reopen() : kill();
    account = open();
    expect_same(account, before);
    expect_all_alive(account);
    EXPECT_EQ(code(account->read(MessageId(1))), "EXPUNGEISSUED");
  }
  // There is nothing left to do.
  const uint64_t left = on_disk();
  const auto seq = account->modseq();
  compact(account);
  EXPECT_EQ(on_disk(), left);
  EXPECT_EQ(account->modseq(), seq);
}

TEST_F(CompactionTest, TheHistoryOutlivesTheMessages) {
  make_mostly_dead();
  stop();
  const auto before = history();
  make_store();
  compact(open());
  stop();
  auto after = history();
  ASSERT_GE(after.size(), before.size());
  after.resize(before.size());
  EXPECT_EQ(after, before);
  EXPECT_TRUE(
      std::ranges::any_of(after, [](const auto& line) { return line.contains("expunge"); }));
  make_store();
}

TEST_F(CompactionTest, ExpungedMessagesStayForTheRetention) {
  make_mostly_dead();
  auto account = open();
  const uint64_t bytes = on_disk();
  now_ += kRetention - 1;
  compact(account, kRetention);
  EXPECT_EQ(on_disk(), bytes);
  EXPECT_EQ(must(account->read(MessageId(1))), body(1));
  now_ += 1;
  compact(account, kRetention);
  EXPECT_LT(on_disk(), bytes / 2);
  EXPECT_EQ(code(account->read(MessageId(1))), "EXPUNGEISSUED");
  expect_all_alive(account);
}

TEST_F(CompactionTest, ASmallAccountIsSealedForIt) {
  segment_bytes_ = 64 << 20;
  reopen();
  make_mostly_dead();
  auto account = open();
  EXPECT_TRUE(fs::exists(dir() / "journal/00000001"));
  EXPECT_FALSE(fs::exists(dir() / "journal/00000002"));
  const uint64_t bytes = on_disk();
  compact(account);
  EXPECT_TRUE(fs::exists(dir() / "journal/00000002"));
  EXPECT_LT(on_disk(), bytes / 2 + 65'536) << "and a new segment";
  expect_all_alive(account);
  account.reset();
  kill();
  expect_all_alive(open());
}

TEST_F(CompactionTest, WhatIsNotMostlyDeadIsLeftAlone) {
  auto account = open();
  for (uint32_t uid = 1; uid <= 40; uid++)
    must(account->append(inbox(account), messages({body(uid)})));
  std::vector<Uid> dead;
  for (uint32_t uid = 1; uid <= 40; uid += 3) dead.emplace_back(uid);
  must(account->expunge(inbox(account), dead));
  const uint64_t bytes = on_disk();
  const auto seq = account->modseq();
  compact(account);
  EXPECT_EQ(on_disk(), bytes);
  EXPECT_EQ(account->modseq(), seq);
}

TEST_F(CompactionTest, ADamagedSegmentIsLeftAsItIs) {
  make_mostly_dead();
  stop();
  const auto path = dir() / "journal/00000001";
  auto bytes = slurp(path);
  bytes[bytes.find(body(10)) + 100] ^= 1;
  spew(path, bytes);
  make_store();
  check_at_end_.clear();
  auto account = run(loop_, store_->open("foo"));
  ASSERT_TRUE(account);
  const uint64_t before = on_disk();
  compact(*account);
  EXPECT_EQ(slurp(path), bytes);
  EXPECT_FALSE(fs::exists(dir() / "journal/00000001.new"));
  EXPECT_FALSE((*account)->failed());
  EXPECT_LT(on_disk(), before) << "the others are freed";
  EXPECT_EQ(must((*account)->read(MessageId(20))), body(20));
}

// The record that keeps message 10 is lost, or in a segment that can not be read now: for what is
// left of the journal the message is dead.
TEST_F(CompactionTest, NothingIsFreedWhileARecordIsMissingThatMayKeepAMessage) {
  make_mostly_dead();
  stop();
  std::optional<Place> copy;
  const auto base = open_base(base_);
  auto reader = JournalReader::open(*base, "foo");
  ASSERT_TRUE(reader && reader->visit({.record = [&](const JournalRecord& record) {
    if (record.header.type == RecordType::copy) copy = record.place;
    return true;
  }}));
  ASSERT_TRUE(copy);
  const auto path = dir() / fmt::format("journal/{:08}", copy->location.segment);
  const auto whole = slurp(path);
  for (const bool left_out : {false, true}) {
    SCOPED_TRACE(left_out);
    if (left_out) {
      spew(path, whole);
      fs::rename(path, fs::path(base_) / "elsewhere");
      fs::create_symlink(fs::path(base_) / "elsewhere", path);
    } else {
      auto bytes = whole;
      for (size_t i = 70; i < 80; i++) bytes[copy->location.offset + i] ^= 0x5a;
      spew(path, bytes);
    }
    ASSERT_TRUE(set_dirty_flag(dir().string(), true));
    make_store();
    check_at_end_.clear();
    auto account = run(loop_, store_->open("foo"));
    ASSERT_TRUE(account);
    const auto first = slurp(dir() / "journal/00000001");
    compact(*account);
    EXPECT_EQ(slurp(dir() / "journal/00000001"), first);
    EXPECT_NE(first.find(body(10)), std::string::npos);
    account->reset();
    stop();
    check_at_end_.clear();
  }
  // It comes back, and so does what it kept.
  fs::remove(path);
  spew(path, whole);
  make_store();
  auto account = open();
  EXPECT_EQ(must(account->read(MessageId(10))), body(10));
  check_at_end_.clear();
}

TEST_F(CompactionTest, WhatACrashHasLeftIsRemovedAtTheOpening) {
  make_mostly_dead();
  stop();
  spew(dir() / "journal/00000001.new", "half");
  spew(dir() / "journal/notes.new", "not ours");
  own(dir() / "journal");
  make_store();
  auto account = open();
  EXPECT_FALSE(fs::exists(dir() / "journal/00000001.new"));
  EXPECT_TRUE(fs::exists(dir() / "journal/notes.new"));
  expect_all_alive(account);
}

Task<void> compact_and_tell(Account* account, int64_t now, bool* done) {
  co_await account->compact({0, 20'000}, now);
  *done = true;
}
Task<void> read_until(Account* account, MessageId message, std::string expected, const bool* done,
                      int* reads) {
  while (!*done) {
    const auto bytes = co_await account->read(message);
    EXPECT_TRUE(bytes) << bytes.error().detail();
    if (bytes) EXPECT_EQ(*bytes, expected);
    ++*reads;
  }
}
Task<void> append_until(Loop* loop, Account* account, MailboxId id, const bool* done, int* count) {
  while (!*done || *count < 3) {
    EXPECT_TRUE(co_await account->append(id, messages({"new"})));
    ++*count;
    co_await sleep_for(*loop, Milliseconds(1));
  }
}
Task<void> pause(Loop* loop, int milliseconds) {
  co_await sleep_for(*loop, Milliseconds(milliseconds));
}
Task<void> until(Loop* loop, const bool* done) {
  while (!*done) co_await sleep_for(*loop, Milliseconds(1));
}

TEST_F(CompactionTest, ReadingAndWritingGoOnMeanwhile) {
  make_mostly_dead();
  auto account = open();
  const auto kept = must(account->open_mailbox(account->find("kept")->id));
  bool done = false;
  int reads = 0, appends = 0;
  {
    Scope scope(loop_);
    scope.spawn(compact_and_tell(account.get(), now_, &done));
    scope.spawn(read_until(account.get(), kept->messages()[0].message, body(10), &done, &reads));
    scope.spawn(read_until(account.get(), MessageId(20), body(20), &done, &reads));
    scope.spawn(append_until(&loop_, account.get(), account->find("Sent")->id, &done, &appends));
    run(loop_, until(&loop_, &done));
    run(loop_, scope.join());
  }
  EXPECT_GT(reads, 10);
  EXPECT_GE(appends, 3);
  EXPECT_EQ(account->find("Sent")->messages, static_cast<uint32_t>(appends));
  expect_all_alive(account);
}

Task<void> append_and_tell(Account* account, MailboxId id, bool* done) {
  EXPECT_TRUE(co_await account->append(id, messages({"new"})));
  *done = true;
}

// A commit that looked while the last segment was being sealed would begin the next one without a
// snapshot, and the loss of a segment would cost more than its own mail.
TEST_F(CompactionTest, ACommitWaitsForTheSealingAndBeginsItsSegmentWithASnapshot) {
  segment_bytes_ = 64 << 20;
  reopen();
  make_mostly_dead();
  auto account = open();
  std::atomic<bool> sealing = false;
  std::latch may_go_on{1};
  disk_.fault = [&](SimDisk::Call call) {
    // The footer is written, and is not durable yet.
    if (call == SimDisk::Call::truncate && !sealing.exchange(true)) may_go_on.wait();
    return 0;
  };
  bool compacted = false, appended = false;
  Scope scope(loop_);
  scope.spawn(compact_and_tell(account.get(), now_, &compacted));
  while (!sealing) run(loop_, pause(&loop_, 1));
  scope.spawn(append_and_tell(account.get(), inbox(account), &appended));
  // As far as it can come meanwhile.
  for (int i = 0; i < 10; i++) run(loop_, pause(&loop_, 1));
  EXPECT_FALSE(appended);
  may_go_on.count_down();
  run(loop_, until(&loop_, &compacted));
  run(loop_, until(&loop_, &appended));
  run(loop_, scope.join());
  disk_.fault = nullptr;
  account.reset();
  stop();
  uint32_t segment = 0;
  auto reader = JournalReader::open(*open_base(base_), "foo");
  ASSERT_TRUE(reader && reader->visit({.record = [&](const JournalRecord& record) {
    if (record.place.location.segment != segment)
      EXPECT_EQ(record.header.type, RecordType::snapshot) << record.place.location.segment;
    segment = record.place.location.segment;
    return true;
  }}));
  EXPECT_EQ(segment, 2U);
  make_store();
}

TEST_F(CompactionTest, StoppingInTheMiddleIsClean) {
  make_mostly_dead();
  for (int pauses = 0; pauses < 12; pauses++) {
    auto account = open();
    bool done = false;
    Scope scope(loop_);
    scope.spawn(compact_and_tell(account.get(), now_, &done));
    for (int i = 0; i < pauses; i++) run(loop_, pause(&loop_, 1));
    run(loop_, store_->close_all());
    run(loop_, until(&loop_, &done));
    account.reset();
    store_.reset();
    EXPECT_FALSE(fs::exists(dir() / "journal/00000001.new"));
    make_store();
    expect_all_alive(open());
  }
}

// A dead message that is brought back meanwhile: either it has its bytes, or it was refused.
TEST_F(CompactionTest, NothingThatComesBackMeanwhileLosesItsBytes) {
  make_mostly_dead();
  stop();
  fs::copy(dir(), fs::path(base_) / "saved", fs::copy_options::recursive);
  int refused = 0, back = 0;
  for (int pauses = 0; pauses < 12; pauses++) {
    fs::remove_all(dir());
    fs::copy(fs::path(base_) / "saved", dir(), fs::copy_options::recursive);
    make_store();
    auto account = open();
    const auto drafts = account->find("Drafts")->id;
    bool done = false;
    Scope scope(loop_);
    scope.spawn(compact_and_tell(account.get(), now_, &done));
    for (int i = 0; i < pauses; i++) run(loop_, pause(&loop_, 1));
    for (const uint32_t uid : {3U, 18U, 38U}) {
      std::vector<Revival> one(1);
      one[0].message = MessageId(uid);
      one[0].from = inbox(account);
      one[0].uid = Uid(uid);
      const auto revived = must(account->revive(drafts, std::move(one)));
      revived.uids[0].value != 0 ? back++ : refused++;
    }
    run(loop_, until(&loop_, &done));
    const auto mailbox = must(account->open_mailbox(drafts));
    for (const auto& e : mailbox->messages())
      EXPECT_EQ(must(account->read(e.message)), body(static_cast<uint32_t>(e.message.value)));
    expect_all_alive(account);
    account.reset();
    stop();
  }
  make_store();
  EXPECT_GT(refused, 0);
  EXPECT_GT(back, 0);
}

TEST_F(CompactionTest, TheStoreDoesItByItselfOnceADay) {
  make_mostly_dead();
  stop();
  const auto with_retention = [this](int64_t uptime) {
    auto o = options();
    o.idle_close = Milliseconds(80);
    o.expunge_retention = kRetention;
    o.compact_small = 20'000;
    o.uptime = [this, uptime, start = now_] { return uptime + (now_ - start) / 2; };
    store_ = std::make_unique<Store>(loop_, pool_, std::move(o));
  };
  const uint64_t bytes = on_disk();
  const auto wait = [&](bool freed) {
    // As long as it takes; what must not happen is given a while.
    for (int i = 0; freed ? on_disk() >= bytes / 2 && i < 5000 : i < 100; i++)
      run(loop_, pause(&loop_, 2));
  };
  with_retention(0);
  auto account = open();
  wait(false);
  EXPECT_EQ(on_disk(), bytes) << "it is too early";
  // Half of this is a jump of the clock: so much time has not passed.
  now_ += 2 * kRetention - 10;
  wait(false);
  EXPECT_EQ(on_disk(), bytes);
  account.reset();
  run(loop_, store_->close_all());
  store_.reset();
  with_retention(5);
  account = open();
  wait(true);
  EXPECT_LT(on_disk(), bytes / 2);
  expect_all_alive(account);
}

TEST_F(CompactionTest, EnoughExpungesDoNotWaitForTheNextDay) {
  auto o = options();
  o.idle_close = Milliseconds(80);
  o.expunge_retention = 0;
  o.compact_small = 20'000;
  store_ = std::make_unique<Store>(loop_, pool_, std::move(o));
  {
    auto account = open();  // and is looked through at once: nothing is there
    const Account& known = *account;
    run(loop_, pause(&loop_, 100));
    EXPECT_FALSE(known.expunged_enough({0, 20'000}, now_));
  }
  make_mostly_dead();
  auto account = open();
  for (int i = 0; on_disk() >= 65'000 && i < 5000; i++) run(loop_, pause(&loop_, 2));
  EXPECT_LT(on_disk(), 65'000U);
  expect_all_alive(account);
}

// --- whatever fails meanwhile ---

class CompactionFaultTest : public CompactionTest {
 protected:
  void SetUp() override {
    CompactionTest::SetUp();
    make_mostly_dead();
    stop();
    fs::copy(dir(), saved(), fs::copy_options::recursive);
    check_at_end_.clear();
    make_store();
  }
  fs::path saved() const { return fs::path(base_) / "saved"; }
  void TearDown() override {
    check_at_end_.clear();
    CompactionTest::TearDown();
  }
  void start_over() {
    stop();
    fs::remove_all(dir());
    fs::copy(saved(), dir(), fs::copy_options::recursive);
    make_store();
  }
  // Compacts, then the process or the power is gone.
  void compact_and_crash(bool power) {
    {
      auto account = run(loop_, store_->open("foo"));
      if (account) compact(*account);
    }
    crash();
    disk_.fault = nullptr;
    if (power) disk_.lose_power();
    make_store();
  }
  // Whatever was: all that lives is there, and what is dead can be freed now.
  void expect_sound() {
    auto account = open();
    expect_all_alive(account);
    const uint64_t before = on_disk();
    compact(account);
    expect_all_alive(account);
    EXPECT_LT(on_disk(), 65'000U) << "of " << before;
    for (const auto& file : fs::directory_iterator(dir() / "journal"))
      EXPECT_EQ(file.path().filename().string().size(), 8U) << file.path();
    account.reset();
    reopen();
    expect_all_alive(open());
    check_at_end_.clear();
  }
};

TEST_F(CompactionFaultTest, AnyCallThatFailsDoesNoHarm) {
  using Call = SimDisk::Call;
  int runs = 0;
  for (const auto call :
       {Call::open, Call::write, Call::fdatasync, Call::fsync, Call::replace, Call::unlink}) {
    for (const bool power : {false, true}) {
      for (int step = 0; step < 400; step++) {
        SCOPED_TRACE("call " + std::to_string(static_cast<int>(call)) + " number " +
                     std::to_string(step) + (power ? " and power" : ""));
        start_over();
        int count = 0;
        disk_.fault = [&](Call c) { return c == call && count++ == step ? EIO : 0; };
        compact_and_crash(power);
        expect_sound();
        if (HasFatalFailure() || HasNonfatalFailure()) return;
        runs++;
        if (count <= step) break;
      }
    }
  }
  EXPECT_GT(runs, 60);
}

// From each call on nothing works: the process was killed there, or the machine lost its power.
TEST_F(CompactionFaultTest, ItMayEndBetweenAnyTwoSteps) {
  for (const bool power : {false, true}) {
    bool ended = false;
    for (int step = 0; !ended && step < 400; step++) {
      SCOPED_TRACE("step " + std::to_string(step) + (power ? " power" : " kill"));
      start_over();
      int left = step;
      disk_.fault = [&](SimDisk::Call) { return left-- > 0 ? 0 : EIO; };
      compact_and_crash(power);
      ended = left >= 0;
      expect_sound();
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
    EXPECT_TRUE(ended);
  }
}

// Where the room of a write was made before, a full disk is a failed one: the account is read
// again.
TEST_F(CompactionFaultTest, AFullDiskOnlyPutsItOff) {
  int failed = 0;
  for (int step = 0; step < 100; step++) {
    SCOPED_TRACE(step);
    start_over();
    auto account = open();
    int count = 0;
    disk_.fault = [&](SimDisk::Call c) {
      return c == SimDisk::Call::write && count++ >= step ? ENOSPC : 0;
    };
    compact(account, 0, 1 << 20);
    disk_.fault = nullptr;
    // The journal says so when it is asked to write.
    if (!run(loop_,
             account->append(account->find("Sent")->id, messages({"there is room again"})))) {
      failed++;
      account = open();
    }
    must(account->append(account->find("Drafts")->id, messages({"and again"})));
    account.reset();
    expect_sound();
    if (HasFatalFailure() || HasNonfatalFailure()) return;
    if (count <= step) break;
  }
  EXPECT_LE(failed, 4);
}

// --- mutants: what the tests above would notice ---

// Replaces the first segment as the account does, but without a Compacted record before it.
TEST_F(CompactionFaultTest, WithoutTheRecordBeforeItAnOldIndexIsBelieved) {
  stop();
  const auto base = open_base(base_);
  auto at = std::make_shared<AccountDir>(*AccountDir::open(disk_, base->get(), "foo", false));
  FileJournals journals(loop_, pool_, segment_bytes_);
  const auto journal = must(journals.open("foo", at));
  at.reset();
  ASSERT_TRUE(journal->clean());
  const auto go_on = [](uint64_t) -> Task<bool> { co_return true; };
  ASSERT_TRUE(must(journal->rewrite(1, {MessageId(1), MessageId(2)}, go_on)).whole);
  must(journal->replace());
  run(loop_, journal->close());
  make_store();
  const auto account = open();
  const auto broken = must(account->check());
  EXPECT_TRUE(std::ranges::any_of(
      broken, [](const auto& line) { return line.contains("the place is the journal's"); }));
  check_at_end_.clear();
}

// The old file is back after the power loss, and the clean index knows places in the new one.
TEST_F(CompactionFaultTest, WithoutTheFlushOfTheDirectoryTheIndexIsWrong) {
  disk_.ignored = "fsync of journal after rename";
  compact(open());
  stop();
  disk_.ignored.clear();
  // The names of the index files, which nobody flushes, have reached the disk by now.
  const Fd account_dir(::open(dir().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(disk_.fsync(account_dir.get()), 0);
  disk_.lose_power();
  make_store();
  EXPECT_FALSE(must(open()->check()).empty());
  check_at_end_.clear();
}

// A living message without bytes is told by the check, and by nothing else than its own reading.
TEST_F(CompactionFaultTest, ALivingMessageThatWasDroppedIsFound) {
  stop();
  const auto base = open_base(base_);
  auto at = std::make_shared<AccountDir>(*AccountDir::open(disk_, base->get(), "foo", false));
  FileJournals journals(loop_, pool_, segment_bytes_);
  const auto journal = must(journals.open("foo", at));
  at.reset();
  const auto go_on = [](uint64_t) -> Task<bool> { co_return true; };
  must(journal->rewrite(1, {MessageId(10)}, go_on));
  std::vector<Draft> drafts;
  drafts.push_back(draft(Compacted{1, 3000}, 0));
  must(journal->append(journal->last_seq(), drafts));
  must(journal->replace());
  run(loop_, journal->close());
  make_store();
  const auto account = open();
  EXPECT_EQ(must(account->check()),
            (std::vector<std::string>{"invariant 12: kept uid 1: its bytes have a place"}));
  EXPECT_EQ(code(account->read(MessageId(10))), "UNAVAILABLE") << "a mailbox has it";
  EXPECT_EQ(must(account->read(MessageId(20))), body(20));
  check_at_end_.clear();
}

// --- in memory ---

class MemoryCompactionTest : public StoreTest {
 protected:
  Options options() override {
    auto o = StoreTest::options();
    o.clock = [] { return int64_t{1'700'000'000}; };
    return o;
  }
  std::shared_ptr<Account> mostly_dead() {
    auto account = open();
    must(account->append(inbox(account),
                         messages({std::string(5000, 'a'), std::string(5000, 'b'), "c"})));
    must(account->expunge(inbox(account), uids({1, 2})));
    return account;
  }
  void compact(const std::shared_ptr<Account>& account) {
    run(loop_, account->compact({0, 1000}, 1'700'000'000));
  }
};

TEST_F(MemoryCompactionTest, WorksTheSame) {
  auto account = mostly_dead();
  compact(account);
  EXPECT_EQ(code(account->read(MessageId(1))), "EXPUNGEISSUED");
  EXPECT_EQ(must(account->read(MessageId(3))), "c");
  EXPECT_TRUE(journals_.disk("foo").records.back().type == RecordType::compacted);
  account.reset();
  kill();
  account = open();
  EXPECT_EQ(code(account->read(MessageId(2))), "EXPUNGEISSUED");
  EXPECT_EQ(must(account->read(MessageId(3))), "c");
}

TEST_F(MemoryCompactionTest, AMessageThatComesBackMeanwhileKeepsItsBytes) {
  auto account = mostly_dead();
  const auto sent = account->find("Sent")->id;
  bool once = true;
  journals_.fate = [&](const std::string&, std::span<const Draft> drafts) {
    if (drafts.front().type == RecordType::compacted && std::exchange(once, false)) {
      MessageEntry back;
      back.uid = Uid(1);
      back.message = MessageId(1);
      back.size = 5000;
      journals_.intrude("foo", Copy{inbox(account), sent, {{Uid(1), back, {}}}});
    }
    return MemoryJournals::Fate::commit;
  };
  compact(account);
  journals_.fate = nullptr;
  EXPECT_FALSE(once);
  EXPECT_EQ(must(account->read(MessageId(1))), std::string(5000, 'a'));
  EXPECT_EQ(must(account->read(MessageId(2))), std::string(5000, 'b')) << "the whole is put off";
}

}  // namespace
}  // namespace rims::store
