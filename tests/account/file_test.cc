// tests/account/file_test.cc - accounts in files: faults at every step, power loss, damage, rebuild

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <random>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/journal/account_dir.h"
#include "common/journal/file_journal.h"
#include "common/journal/reader.h"
#include "common/journal/segment.h"
#include "common/mail/bytes.h"
#include "common/maintenance/inspect.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

struct Heard final : log::Sink {
  void write(log::Level level, std::string_view line) override {
    worst = std::max(worst, level);
    text.append(line) += "\n";
  }
  log::Level worst = log::Level::debug;
  std::string text;
};

TEST_F(FileTest, AnAccountIsTheSameAfterStopAndAfterKill) {
  auto account = open();
  const std::string big(3'000'000, 'B');
  must(account->append(inbox(account), messages({"small", big, ""})));
  must(account->create("x"));
  const auto before = snapshot(account);
  account.reset();
  kill();
  account = open();
  EXPECT_EQ(snapshot(account).difference(before), "");
  EXPECT_EQ(must(account->read(before.mailbox("INBOX")->messages()[1].message)), big);
  account.reset();
  reopen();
  account = open();
  const auto& list = must(account->open_mailbox(inbox(account)))->messages();
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(must(account->read(list[0].message)), "small");
  EXPECT_EQ(must(account->read(list[1].message, 2'999'990, 100)), std::string(10, 'B'));
  EXPECT_EQ(must(account->read(list[2].message)), "");
  EXPECT_EQ(must(account->read_structure(list[0].message)), "structure of small");
}

TEST_F(FileTest, NothingIsClaimedWhileAnAccountCloses) {
  auto account = open();
  must(account->append(inbox(account), messages({"one"})));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  Scope closing(loop_);
  closing.spawn(account->shut());
  EXPECT_EQ(account->claim_recent(inbox(account)), Uid(1));
  run(loop_, closing.join());
  account.reset();
  reopen();
  account = open();
  EXPECT_EQ(account->find("INBOX")->first_recent, Uid(1));
  EXPECT_EQ(must(account->check()), std::vector<std::string>());
}

TEST_F(FileTest, AClaimHasItsRecordBeforeTheIndexHasIt) {
  auto account = open();
  must(account->append(inbox(account), messages({"one"})));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  EXPECT_EQ(account->claim_recent(inbox(account)), Uid(1));
  run(loop_, account->tidy());
  account.reset();
  crash();
  for (const auto& e : fs::directory_iterator(dir()))
    if (e.path().extension() == ".gdbm") fs::remove(e.path());
  make_store();
  account = open();
  EXPECT_EQ(account->find("INBOX")->first_recent, Uid(2));
}

// The time of each record, as it was when written: found again in footers and without them.
TEST_F(FileTest, RecordsKeepTheTimeTheyWereWritten) {
  segment_bytes_ = 4096;
  make_store();
  std::map<uint64_t, uint32_t> written;
  auto account = open();
  for (uint32_t i = 0; i < 20; i++) {
    now_ += 7;
    must(account->append(inbox(account), messages({std::string(1000, 'x')})));
    written[account->modseq().value] = static_cast<uint32_t>(now_);
  }
  account.reset();
  stop();
  const auto dir =
      std::make_shared<AccountDir>(*AccountDir::open(disk_, options().base.get(), "foo", false));
  FileJournals journals(loop_, pool_, segment_bytes_);
  const auto journal = must(journals.open("foo", dir));
  std::map<uint64_t, uint32_t> found;
  uint32_t segments = 0;
  for (uint64_t next = 1;;) {
    const auto records = must(journal->read_from(next));
    if (records.empty()) break;
    for (const auto& record : records) {
      found[record.seq] = record.time;
      segments = std::max(segments, record.location.segment);
    }
    next = records.back().seq + 1;
  }
  EXPECT_GT(segments, 3U);
  for (const auto& [seq, time] : written) EXPECT_EQ(found[seq], time) << seq;
  run(loop_, journal->close());
}

// A claim is in the state before it is in the journal, so a segment that begins meanwhile says it
// first. That is no sign of a loss.
TEST_F(FileTest, ASessionBesideNewSegmentsIsNoLoss) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  for (int i = 0; i < 20; i++) {
    must(account->append(inbox(account), messages({std::string(1000, 'x')})));
    must(account->open_mailbox(inbox(account)));
    account->claim_recent(inbox(account));
  }
  account.reset();
  stop();
  EXPECT_GT(std::distance(fs::directory_iterator(dir() / "journal"), {}), 4);
  fs::remove(dir() / "meta.gdbm");
  make_store();
  account = open();
  const AccountState& state = *must(account->whole_state());
  EXPECT_EQ(state.orphans(), 0U);
  EXPECT_TRUE(state.snapshot().whole);
  EXPECT_EQ(state.mailbox("INBOX")->info().recent, 0U);
}

TEST_F(FileTest, ModesAreTight) {
  make_account();
  const auto mode = [](const fs::path& path) {
    struct stat st{};
    EXPECT_EQ(stat(path.c_str(), &st), 0);
    return st.st_mode & 0777U;
  };
  EXPECT_EQ(mode(dir()), 0700U);
  EXPECT_EQ(mode(dir() / "journal"), 0700U);
  EXPECT_EQ(mode(dir() / "journal/00000001"), 0600U);
  EXPECT_EQ(mode(dir() / "meta.gdbm"), 0600U);
  EXPECT_EQ(mode(dir() / "mailbox_1.gdbm"), 0600U);
  make_store();
}

TEST_F(FileTest, TwoProcessesCanNotHaveOneAccount) {
  const auto account = open();
  const auto base = open_base(base_);
  const auto other = AccountDir::open(Disk::real(), base->get(), "foo");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), "INUSE");
}

TEST_F(FileTest, NoSymbolicLinkIsFollowed) {
  fs::create_directory(fs::path(base_) / "elsewhere");
  fs::create_directory_symlink("elsewhere", fs::path(base_) / "mailbox.3");
  const auto account = run(loop_, store_->open("foo"));
  ASSERT_FALSE(account);
  EXPECT_EQ(account.error().fault(), Fault::storage);
  EXPECT_TRUE(fs::is_empty(fs::path(base_) / "elsewhere"));
  fs::remove(fs::path(base_) / "mailbox.3");
}

Task<void> append_one(Account* account, MailboxId id, int* done) {
  std::vector<NewMessage> one;
  one.push_back(message(std::string(4096, 'm')));
  const auto appended = co_await account->append(id, std::move(one));
  EXPECT_TRUE(appended);
  ++*done;
}
Task<void> wait_for(Loop* loop, const int* done, int count) {
  while (*done < count) co_await sleep_for(*loop, Milliseconds(0));
}

TEST_F(FileTest, CommitsThatWaitTogetherShareOneFlush) {
  const auto account = open();
  const int before = disk_.fdatasyncs, fsyncs = disk_.fsyncs;
  int done = 0;
  Scope scope(loop_);
  for (int i = 0; i < 128; i++) scope.spawn(append_one(account.get(), inbox(account), &done));
  run(loop_, wait_for(&loop_, &done, 128));
  EXPECT_LE(disk_.fdatasyncs - before, 3);
  EXPECT_EQ(disk_.fsyncs, fsyncs);
}

TEST_F(FileTest, SegmentsRollAndEverythingIsStillThere) {
  segment_bytes_ = 20'000;
  stop();
  make_store();
  auto account = open();
  for (int i = 0; i < 60; i++)
    must(account->append(inbox(account), messages({std::to_string(i) + std::string(2000, 'r')})));
  EXPECT_GT(std::distance(fs::directory_iterator(dir() / "journal"), {}), 5);
  const auto before = snapshot(account);
  for (int round = 0; round < 3; round++) {
    account.reset();
    if (round == 0) kill();
    if (round > 0) reopen();
    account = open();
    const auto now = snapshot(account);
    EXPECT_EQ(now.mailbox("INBOX")->messages().size(), 60U);
    for (const auto& e : now.mailbox("INBOX")->messages())
      EXPECT_EQ(must(account->read(e.message)),
                std::to_string(e.uid.value - 1) + std::string(2000, 'r'));
    if (round == 0) EXPECT_EQ(now.difference(before), "");
  }
}

class IndexFileTest : public FileTest {
 protected:
  IndexFileTest() { quick_ = true; }
};

TEST_F(IndexFileTest, LosingOrDamagingAnyIndexFileCostsTimeOnly) {
  const AccountState before = make_account();
  const fs::path kept = fs::path(base_) / "kept";
  fs::copy(dir(), kept, fs::copy_options::recursive);
  std::mt19937 random(7);
  for (const char* name : {"meta", "message", "mailbox_1", "mailbox_7", "mailbox_8"}) {
    const std::string file = std::string(name) + ".gdbm";
    const bool exists = fs::exists(kept / file);
    if (!exists) continue;
    const std::string whole = slurp(kept / file);
    for (int way = 0; way < 24; way++) {
      SCOPED_TRACE(file + " " + std::to_string(way));
      fs::remove_all(dir());
      fs::copy(kept, dir(), fs::copy_options::recursive);
      if (way == 0) fs::remove(dir() / file);
      if (way == 1) fs::resize_file(dir() / file, 0);
      if (way == 2) fs::resize_file(dir() / file, whole.size() / 2);
      if (way == 3) spew(dir() / file, std::string(whole.size(), '\xff'));
      if (way > 3) {
        std::string bytes = whole;
        for (int i = 0; i < (way < 12 ? 1 : 200); i++)
          bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
        spew(dir() / file, bytes);
      }
      make_store();
      auto account = open();
      ASSERT_TRUE(account);
      const auto now = snapshot(account);
      EXPECT_EQ(now.difference(before), "");
      for (const auto& e : now.mailbox("INBOX")->messages())
        EXPECT_EQ(must(account->read(e.message)),
                  "message " + std::to_string(e.uid.value - 1) + std::string(100, 'x'));
      account.reset();
      stop();
    }
  }
  make_store();
}

TEST_F(FileTest, ADamagedMessageIsNamedAndTheOthersAreServed) {
  const AccountState before = make_account();
  const fs::path segment = dir() / "journal/00000001";
  std::string bytes = slurp(segment);
  const size_t at = bytes.find("message 7xxx");
  ASSERT_NE(at, std::string::npos);
  // Not the structure, which quotes the beginning of the message.
  const size_t body = bytes.find("message 7xxx", at + 1);
  bytes[body + 50] ^= 1;
  spew(segment, bytes);
  make_store();
  auto account = open();
  for (const auto& e : before.mailbox("INBOX")->messages()) {
    const auto read = run(loop_, account->read(e.message));
    if (e.uid != Uid(8)) {
      EXPECT_TRUE(read) << e.uid.value;
      continue;
    }
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().fault(), Fault::storage);
    EXPECT_NE(read.error().detail().find("journal/00000001 at offset"), std::string::npos)
        << read.error().detail();
    EXPECT_TRUE(run(loop_, account->read_structure(e.message)));
  }
  check_at_end_.clear();  // the message stays damaged
}

TEST_F(FileTest, BytesThatVanishUnderARunningServerAreMissed) {
  auto account = open();
  must(account->append(inbox(account),
                       messages({std::string(2000, 'a'), std::string(600'000, 'b')})));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  const auto small = mailbox->messages()[0].message, large = mailbox->messages()[1].message;
  EXPECT_EQ(must(account->read(large, 599'990, 10)), "bbbbbbbbbb");
  EXPECT_EQ(must(account->read(large)).size(), 600'000U);
  fs::resize_file(dir() / "journal/00000001", 300'000);
  EXPECT_EQ(must(account->read(small)), std::string(2000, 'a'));
  EXPECT_FALSE(run(loop_, account->read(large))) << "though it was verified before";
  EXPECT_FALSE(run(loop_, account->read(large, 599'990, 10)));
  check_at_end_.clear();
}

TEST_F(FileTest, ATornTailIsCutKeptAndItsNumbersAreSkipped) {
  auto account = open();
  must(account->append(inbox(account), messages({"one", "two"})));
  const ModSeq told = account->modseq();
  account.reset();
  crash();
  // A batch of which only the header arrived.
  const fs::path segment = dir() / "journal/00000001";
  std::string bytes = slurp(segment);
  const size_t last = bytes.find("two", bytes.find("structure of two") + 16);
  const size_t end = (last + 3 + 7) / 8 * 8;
  SegmentHeader header;
  ASSERT_EQ(decode(bytes, header), HeaderState::good);
  RecordHeader torn;
  torn.type = RecordType::append;
  torn.meta = 50;
  torn.body = 1000;
  torn.seq = torn.batch_first = 100;
  torn.batch_count = 1;
  encode(torn, header.segment, bytes.data() + end);
  spew(segment, bytes);
  spew(dir() / "journal/00000001.new", "begun");
  make_store();
  Heard heard;
  log::set_sink(&heard);
  account = open();
  log::set_sink(nullptr);
  EXPECT_FALSE(fs::exists(dir() / "journal/00000001.new"));
  EXPECT_EQ(heard.worst, log::Level::warn) << "nothing is lost that somebody was told of";
  EXPECT_TRUE(heard.text.contains("00000001 at offset " + std::to_string(end))) << heard.text;
  EXPECT_TRUE(heard.text.contains("numbers are skipped")) << heard.text;
  EXPECT_FALSE(heard.text.contains("lost")) << heard.text;
  EXPECT_EQ(account->find("INBOX")->messages, 2U);
  EXPECT_GT(account->find("INBOX")->uidnext, Uid(3)) << "no uid can be given out twice";
  EXPECT_EQ(std::distance(fs::directory_iterator(dir() / "quarantine"), {}), 1);
  const auto uid = must(account->append(inbox(account), messages({"three"}))).uids[0];
  EXPECT_GT(uid, Uid(3));
  const auto uidnext = account->find("INBOX")->uidnext;
  // Nor a MODSEQ; and what has changed since the last whole one is known.
  EXPECT_TRUE(account->can_tell_since(told));
  EXPECT_FALSE(account->can_tell_since(ModSeq(told.value + 1)));
  account.reset();
  kill();
  account = open();
  EXPECT_EQ(account->find("INBOX")->uidnext, uidnext) << "once";
}

// What was written as a whole was acknowledged: it is damaged now, and no write that did not end.
TEST_F(FileTest, AFlippedBitInTheLastBatchCostsOneMessageAtMost) {
  auto account = open();
  must(account->append(inbox(account), messages({"before"})));
  must(account->append(inbox(account), messages({std::string(900, 'a'), std::string(900, 'b')})));
  account.reset();
  crash();
  const fs::path segment = dir() / "journal/00000001";
  const std::string sound = slurp(segment);
  const size_t body = sound.find(std::string(900, 'a'));
  for (const bool header : {false, true}) {
    SCOPED_TRACE(header);
    std::string bytes = sound;
    bytes[header ? bytes.rfind("RIMR", body) + 30 : body + 450] ^= 1;
    spew(segment, bytes);
    fs::remove_all(dir() / "quarantine");
    make_store();
    account = open();
    const auto mailbox = must(account->open_mailbox(inbox(account)));
    ASSERT_EQ(mailbox->messages().size(), 3U);
    EXPECT_EQ(must(account->read(mailbox->messages().back().message)), std::string(900, 'b'));
    EXPECT_EQ(mailbox->messages().back().uid, Uid(3));
    // Of the header it is known what it was.
    const auto hit = run(loop_, account->read(mailbox->find(Uid(2))->message));
    EXPECT_EQ(hit.value_or("refused"), header ? std::string(900, 'a') : "refused");
    std::vector<std::string> kept;
    for (const auto& entry : fs::directory_iterator(dir() / "quarantine"))
      kept.push_back(entry.path().filename().string());
    ASSERT_EQ(kept.size(), 1U);
    EXPECT_EQ(kept[0].find("cut"), std::string::npos) << kept[0];
    EXPECT_GT(must(account->append(inbox(account), messages({"after"}))).uids[0], Uid(3));
    account.reset();
    crash();
    make_store();
    EXPECT_EQ(open()->find("INBOX")->messages, 4U);
    crash();
  }
  check_at_end_.clear();  // the damage stays
  make_store();
}

// The page cache shows it, the disk may not have it: what follows it would be behind a hole.
TEST_F(FileTest, ACleanRecordIsFlushedBeforeItIsBelieved) {
  const fs::path segment = dir() / "journal/00000001";
  const auto end = [&] { return slurp(segment).find_last_not_of('\0') / 8 * 8 + 8; };
  auto account = open();
  must(account->append(inbox(account), messages({std::string(1000, 'a')})));
  const size_t first = end();
  must(account->append(inbox(account), messages({std::string(1000, 'b')})));
  const size_t second = end();
  // The mark of closing ends where the room does.
  const size_t mark = kRecordHeader + 24;
  const size_t left = fs::file_size(segment) - mark - second;
  must(account->append(inbox(account),
                       messages({std::string(1000 + left - (second - first), 'c')})));
  EXPECT_EQ(end() + mark, fs::file_size(segment));
  account.reset();
  disk_.fault = [](SimDisk::Call c) { return c == SimDisk::Call::fdatasync ? EIO : 0; };
  stop();
  disk_.fault = nullptr;
  make_store();
  account = open();
  must(account->append(inbox(account), messages({"after"})));
  account.reset();
  crash();
  disk_.lose_power();
  make_store();
  account = open();
  EXPECT_EQ(account->find("INBOX")->messages, 4U);
  EXPECT_EQ(account->find("INBOX")->uidnext, Uid(5)) << "no record is missing";
  EXPECT_FALSE(fs::exists(dir() / "quarantine"));
}

TEST_F(FileTest, DamageInTheMiddleIsServedAround) {
  make_account();
  const fs::path segment = dir() / "journal/00000001";
  std::string bytes = slurp(segment);
  // The header of the record of message 7.
  const size_t record = bytes.rfind("RIMR", bytes.find("message 7xxx"));
  bytes[record + 20] ^= 3;
  spew(segment, bytes);
  for (const char* name : {"meta.gdbm", "message.gdbm"}) fs::remove(dir() / name);
  make_store();
  auto account = open();
  EXPECT_EQ(account->find("INBOX")->messages, 18U);
  const auto uidnext = account->find("INBOX")->uidnext;
  EXPECT_GT(uidnext, Uid(21));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir() / "quarantine"), {}), 1);
  account.reset();
  stop();
  fs::remove(dir() / "meta.gdbm");
  make_store();
  account = open();
  EXPECT_EQ(account->find("INBOX")->uidnext, uidnext) << "the same damage is answered once";
  sound_at_end_ = false;
}

// A segment that is being written, and a sealed one, of which the headers are not looked at before
// a message is read.
TEST_F(FileTest, ARecordHeaderWithOneWrongBitIsToldAndCostsNothing) {
  for (const bool sealed : {false, true}) {
    SCOPED_TRACE(sealed);
    stop();
    fs::remove_all(fs::path(base_) / "mailbox.3");
    segment_bytes_ = sealed ? 7000 : 64 << 20;
    make_store();
    auto account = open();
    for (int i = 0; i < 8; i++)
      must(account->append(inbox(account),
                           messages({fmt::format("mail {} ", i) + std::string(900, 'x')})));
    const auto uidnext = account->find("INBOX")->uidnext;
    account.reset();
    crash();
    const fs::path segment = dir() / "journal/00000001";
    const std::string sound = slurp(segment);
    EXPECT_EQ(sound.size() < 8000, sealed);
    const size_t record = sound.rfind("RIMR", sound.find("mail 2 "));
    std::string bytes = sound;
    bytes[record + 20] ^= 1;
    spew(segment, bytes);
    Heard heard;
    log::set_sink(&heard);
    make_store();
    account = open();
    const auto mailbox = must(account->open_mailbox(inbox(account)));
    ASSERT_EQ(mailbox->messages().size(), 8U);
    EXPECT_EQ(account->find("INBOX")->uidnext, uidnext);
    for (int i = 0; i < 2; i++) {
      EXPECT_TRUE(must(account->read(mailbox->messages()[2].message)).starts_with("mail 2 "));
      EXPECT_FALSE(must(account->read_structure(mailbox->messages()[2].message)).empty());
    }
    must(account->append(inbox(account), messages({"after"})));
    account.reset();
    crash();
    log::set_sink(nullptr);
    const std::string where = fmt::format("journal/00000001 at offset {}, 96 bytes", record);
    const size_t told = heard.text.find(where);
    ASSERT_NE(told, std::string::npos) << heard.text;
    EXPECT_EQ(heard.text.find(where, told + 1), std::string::npos) << "once";
    EXPECT_NE(heard.text.find("rims-ctl check --repair", told), std::string::npos);
    EXPECT_EQ(slurp(dir() / fmt::format("quarantine/00000001-{}", record)),
              bytes.substr(record, kRecordHeader));

    // What check --repair does.
    {
      const auto here = AccountDir::at(Disk::real(), dir().string());
      ASSERT_TRUE(here);
      EXPECT_EQ(mend_records(*here), 1U);
      EXPECT_EQ(mend_records(*here), 0U);
    }
    const std::string now = slurp(segment);
    EXPECT_EQ(now.substr(record, kRecordHeader), sound.substr(record, kRecordHeader));
    bytes[record + 20] ^= 1;
    EXPECT_EQ(now.substr(0, record + 900), bytes.substr(0, record + 900));
    make_store();
  }
}

TEST_F(FileTest, ANewerFormatIsRefusedAndNotTouched) {
  make_account();
  const fs::path segment = dir() / "journal/00000001";
  std::string bytes = slurp(segment);
  SegmentHeader header;
  ASSERT_EQ(decode(bytes, header), HeaderState::good);
  for (const size_t at : {size_t{0}, kSegmentHeaderCopy}) {
    put_int(bytes.data() + at + 8, kJournalVersion + 1);
    put_int(bytes.data() + at + kSegmentHeader - 8,
            checksum(header.segment, std::string_view(bytes).substr(at, kSegmentHeader - 8)));
  }
  spew(segment, bytes);
  make_store();
  const auto account = run(loop_, store_->open("foo"));
  ASSERT_FALSE(account);
  EXPECT_EQ(account.error().fault(), Fault::storage);
  EXPECT_NE(account.error().detail().find(fmt::format("format version {}", kJournalVersion + 1)),
            std::string::npos)
      << account.error().detail();
  EXPECT_EQ(slurp(segment), bytes);
  check_at_end_.clear();
}

// --- looking in from outside ---

TEST_F(FileTest, TheDirtyFlagCanBeReadAndSet) {
  const AccountState before = make_account();
  const auto base = open_base(base_);
  EXPECT_EQ(dirty_flag(*base, "foo"), false);
  ASSERT_TRUE(set_dirty_flag(*base, "foo", true));
  EXPECT_EQ(dirty_flag(*base, "foo"), true);
  make_store();
  auto account = open();
  EXPECT_EQ(snapshot(account).difference(before), "") << "rebuilt";
  const auto busy = dirty_flag(*base, "foo");
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code(), "INUSE");
  account.reset();
  stop();
  EXPECT_EQ(dirty_flag(*base, "foo"), false);
  ASSERT_TRUE(set_dirty_flag(*base, "foo", true));
  ASSERT_TRUE(set_dirty_flag(*base, "foo", false));
  EXPECT_EQ(dirty_flag(*base, "foo"), false);
  const auto nobody = dirty_flag(*base, "nobody");
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().fault(), Fault::not_found);
  EXPECT_FALSE(fs::exists(dir("nobody")));
  fs::remove(dir() / "meta.gdbm");
  EXPECT_EQ(dirty_flag(*base, "foo"), true);
  EXPECT_FALSE(set_dirty_flag(*base, "foo", false));
  make_store();
}

TEST_F(FileTest, IndexFilesAndJournalCanBeDumped) {
  make_account();
  std::set<std::string> keys;
  size_t bytes = 0;
  ASSERT_TRUE(dump_index_file((dir() / "mailbox_1.gdbm").string(),
                              [&](std::string_view key, std::string_view value) {
                                keys.insert(readable_key(key));
                                bytes += value.size();
                              }));
  EXPECT_EQ(keys, (std::set<std::string>{"e0", "head", "s0", "x0"}));
  EXPECT_EQ(bytes, 256U * 48 + 64 + 2 * 4096);
  spew(dir() / "broken.gdbm", "no GDBM file at all");
  EXPECT_FALSE(dump_index_file((dir() / "broken.gdbm").string(), [](auto, auto) {}));
  fs::remove(dir() / "broken.gdbm");
  std::string all;
  const auto base = open_base(base_);
  auto reader = JournalReader::open(*base, "foo");
  ASSERT_TRUE(reader);
  ASSERT_TRUE(dump_journal(*reader, 1, [&](const std::string& line) { all += line + "\n"; }));
  for (const char* part :
       {"2023-11-14T22:13:20Z", "mailbox-created mailbox 1 uidvalidity", "\"INBOX\"",
        "subscription on \"Trash\"", "keyword mailbox 1 keyword 0 \"k0\"",
        "append mailbox 1 uid 20 message 20 size 110", "copy mailbox 1 to 8: 1->1 2->2 3->3",
        "expunge mailbox 1 uids 2", "flags mailbox 1 add flags 01 keywords 3 uids 5",
        "clean up to"})
    EXPECT_NE(all.find(part), std::string::npos) << part << " in\n" << all;
  make_store();
}

// --- faults at every step ---

class FaultTest : public FileTest {
 protected:
  static constexpr int kMessages = 6;
  void SetUp() override {
    segment_bytes_ = 8'000;  // rolls often
    quick_ = true;
    FileTest::SetUp();
    check_at_end_.clear();
  }
  // Six messages, as a patient MTA would deliver them: what fails is tried once more, later.
  std::vector<std::string> deliver(const std::string& user) {
    std::vector<std::string> acknowledged;
    for (int i = 0; i < kMessages; i++) {
      auto account = run(loop_, store_->open(user));
      if (!account || !(*account)->find("INBOX")) continue;
      const std::string bytes = std::to_string(i) + ":" + std::string(1500, 'f');
      if (run(loop_, (*account)->append(inbox(*account), messages({bytes}))))
        acknowledged.push_back(bytes);
      if (i == 3) {
        account->reset();
        run(loop_, store_->close_all());
        make_store();
      }
    }
    return acknowledged;
  }
  void expect_all(const std::string& user, const std::vector<std::string>& acknowledged) {
    auto account = run(loop_, store_->open(user));
    ASSERT_TRUE(account) << account.error().detail();
    const auto mailbox = run(loop_, (*account)->open_mailbox(inbox(*account)));
    ASSERT_TRUE(mailbox) << mailbox.error().detail();
    std::set<std::string> there;
    for (const auto& e : (*mailbox)->messages()) {
      auto bytes = run(loop_, (*account)->read(e.message));
      ASSERT_TRUE(bytes) << bytes.error().detail();
      there.insert(*bytes);
    }
    for (const auto& bytes : acknowledged)
      EXPECT_TRUE(there.contains(bytes)) << bytes.substr(0, 3) << " was acknowledged";
    const auto broken = run(loop_, (*account)->check());
    ASSERT_TRUE(broken);
    for (const auto& line : *broken) ADD_FAILURE() << line;
  }
};

TEST_F(FaultTest, WhateverCallFailsNothingAcknowledgedIsLost) {
  using Call = SimDisk::Call;
  int runs = 0, refused = 0;
  for (const auto call : {Call::open, Call::write, Call::fdatasync, Call::fsync, Call::truncate,
                          Call::mkdir, Call::rename, Call::unlink}) {
    for (const bool power : {false, true}) {
      for (int step = 0; step < 400; step++) {
        SCOPED_TRACE("call " + std::to_string(static_cast<int>(call)) + " number " +
                     std::to_string(step) + (power ? " and power" : ""));
        const std::string user = "u" + std::to_string(runs++);
        int count = 0;
        disk_.fault = [&](Call c) { return c == call && count++ == step ? EIO : 0; };
        const auto acknowledged = deliver(user);
        disk_.fault = nullptr;
        if (acknowledged.size() < kMessages) refused++;
        if (power) {
          crash();
          disk_.lose_power();
          make_store();
        }
        expect_all(user, acknowledged);
        if (HasFatalFailure() || HasNonfatalFailure()) return;
        stop();
        make_store();
        if (count <= step) break;  // there is no such call any more
      }
    }
  }
  EXPECT_GT(runs, 100);
  EXPECT_GT(refused, 20) << "the faults were real";
}

// A full disk refuses what needs room, and nothing else: nobody is thrown out, what has room goes
// on, and when there is space again everything does.
TEST_F(FileTest, AFullDiskIsNoDisaster) {
  auto account = open();
  must(account->append(inbox(account), messages({"before"})));
  disk_.fault = [&](SimDisk::Call c) { return c == SimDisk::Call::write ? ENOSPC : 0; };
  const auto refused =
      run(loop_, account->append(inbox(account), messages({std::string(9'000'000, 'x')})));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault(), Fault::storage);
  EXPECT_FALSE(account->failed());
  disk_.fault = nullptr;
  must(account->change_flags(
      inbox(account), {.uids = uids({1}), .op = FlagOp::add, .flags = kSeen, .keywords = {}}));
  EXPECT_EQ(must(account->append(inbox(account), messages({"after"}))).uids[0], Uid(2));
  const auto before = snapshot(account);
  account.reset();
  kill();
  EXPECT_EQ(snapshot(open()).difference(before), "");
}

TEST_F(FaultTest, AFullDiskAtEveryStepLosesNothing) {
  int refused = 0;
  for (int step = 0; step < 100; step++) {
    SCOPED_TRACE(step);
    const std::string user = "full" + std::to_string(step);
    int count = 0;
    // Full from here on, for a while.
    disk_.fault = [&](SimDisk::Call c) {
      const bool needs_space = c == SimDisk::Call::write || c == SimDisk::Call::mkdir;
      if (!needs_space) return 0;
      count++;
      return count > step && count < step + 4 ? ENOSPC : 0;
    };
    const auto acknowledged = deliver(user);
    disk_.fault = nullptr;
    if (acknowledged.size() < kMessages) refused++;
    expect_all(user, acknowledged);
    stop();
    make_store();
    if (count <= step) break;
  }
  EXPECT_GT(refused, 5);
}

TEST_F(FaultTest, ShortWritesAreContinued) {
  int n = 0;
  disk_.fault = [&](SimDisk::Call c) { return c == SimDisk::Call::write && n++ % 2 == 0 ? -1 : 0; };
  const auto acknowledged = deliver("short");
  EXPECT_EQ(acknowledged.size(), size_t{kMessages});
  disk_.fault = nullptr;
  expect_all("short", acknowledged);
}

TEST_F(FaultTest, AReadThatEndsTooEarlyCutsNothingOff) {
  const auto acknowledged = deliver("early");
  EXPECT_EQ(acknowledged.size(), size_t{kMessages});
  int refused = 0;
  for (int nth = 0; nth < 8; nth++) {
    SCOPED_TRACE(nth);
    crash();
    make_store();
    int n = 0;
    disk_.ends_early = [&] { return n++ >= nth; };
    if (!run(loop_, store_->open("early"))) refused++;
    disk_.ends_early = nullptr;
    crash();
    make_store();
    expect_all("early", acknowledged);
  }
  EXPECT_GT(refused, 0);
}

TEST_F(FaultTest, PowerLossAtRandomMoments) {
  std::mt19937 random(42);
  for (int round = 0; round < 25; round++) {
    SCOPED_TRACE(round);
    const std::string user = "p" + std::to_string(round);
    // From some moment on nothing works: the machine is gone.
    int left = static_cast<int>(random() % 60) + 3;
    disk_.fault = [&](SimDisk::Call) { return left-- > 0 ? 0 : EIO; };
    const auto acknowledged = deliver(user);
    crash();
    disk_.fault = nullptr;
    disk_.lose_power();
    make_store();
    expect_all(user, acknowledged);
    stop();
    make_store();
  }
}

// The mutant: without its flush the harness above must find lost mail.
TEST_F(FaultTest, TheHarnessNoticesAMissingFlush) {
  disk_.syncs_lie = true;
  const auto acknowledged = deliver("liar");
  EXPECT_EQ(acknowledged.size(), size_t{kMessages});
  crash();
  disk_.lose_power();
  disk_.syncs_lie = false;
  make_store();
  auto account = run(loop_, store_->open("liar"));
  ASSERT_TRUE(account);
  EXPECT_LT((*account)->find("INBOX")->messages, uint32_t{kMessages});
}

}  // namespace
}  // namespace rims::store
