// tests/account/damage_test.cc - what of the journal is lost, and what the index knows; what is
// sound

#include "tests/account/damage_fixture.h"

namespace rims::store {
namespace {

// --- the end of the journal is gone, and the index knows it ---

TEST_F(DamageTest, TheIndexKnowsALastSegmentThatIsMissing) {
  for (const char* way : {"removed", "empty", "cut"}) {
    SCOPED_TRACE(way);
    stop();
    fs::remove_all(fs::path(base_) / "mailbox.3");
    make_store();
    const auto before = fill();
    const auto last = segment(last_segment());
    if (way == std::string("removed")) fs::remove(last);
    if (way == std::string("empty")) fs::resize_file(last, 0);
    if (way == std::string("cut")) fs::resize_file(last, kFirstRecord);
    EXPECT_NE(found().find("but the index was made of"), std::string::npos) << found();
    heard_.text.clear();
    make_store();
    auto account = open();
    expect_heard("what came after is lost");
    expect_heard("is kept as quarantine/index-");
    EXPECT_GT(read_all(account), 10U);
    expect_fresh_numbers(account, before);
    const auto now = snapshot(account);
    account.reset();
    reopen();  // also without its index it stays so
    account = open();
    EXPECT_EQ(snapshot(account).mailbox("INBOX")->info().uidnext,
              now.mailbox("INBOX")->info().uidnext);
    account.reset();
    stop();
    // As long as it is so.
    const std::string all = found();
    EXPECT_NE(all.find("quarantine/index-"), std::string::npos) << all;
    EXPECT_NE(all.find("knew more than the journal"), std::string::npos) << all;
    for (const auto& name : quarantine()) fs::remove_all(dir() / "quarantine" / name);
    EXPECT_EQ(found(), "");
    make_store();
  }
}

// It was put aside by an opening that could not write what it knew.
TEST_F(DamageTest, AnIndexThatWasPutAsideIsHeededUntilWhatItKnewIsWritten) {
  const auto before = fill();
  const int last = last_segment();
  fs::remove(segment(last));
  frozen_.unreadable = segment(last).filename();  // nor can it be made
  for (int i = 0; i < 3; i++) {
    make_store();
    EXPECT_FALSE(run(loop_, store_->open("foo")));
    crash();
  }
  EXPECT_FALSE(quarantine().empty());
  frozen_.unreadable.clear();
  make_store();
  auto account = open();
  expect_fresh_numbers(account, before);
  account.reset();
  stop();
  for (const auto& name : quarantine()) fs::remove_all(dir() / "quarantine" / name);
  make_store();
}

// What was in it may come back: the snapshot that is written then does not say that there is
// nothing else.
TEST_F(DamageTest, TheSnapshotAfterALossIsNotOfAllThereIs) {
  fill();
  const int last = last_segment();
  for (const bool lost : {false, true}) {
    if (lost) {
      fs::remove(segment(last));
      make_store();
      (void)open();
      stop();
    }
    std::string meta;
    auto reader = JournalReader::open(*open_base(base_), "foo");
    ASSERT_TRUE(reader && reader->visit({.record = [&](const JournalRecord& record) {
      if (static_cast<int>(record.place.location.segment) == last && meta.empty())
        meta = record.meta;
      return true;
    }}));
    const auto snapshot = Snapshot::decode(meta);
    ASSERT_TRUE(snapshot);
    EXPECT_EQ(snapshot->whole, !lost);
  }
  for (const auto& name : quarantine()) fs::remove_all(dir() / "quarantine" / name);
  make_store();
}

// A segment that was cut between two records has no bytes that are wrong, but fewer than it had.
TEST_F(DamageTest, ASegmentThatWasCutToItsHeaderIsALoss) {
  auto account = open();
  while (last_segment() < 2) must(account->append(inbox(account), messages({"one"})));
  for (int i = 0; i < 20; i++)
    must(account->change_flags(inbox(account), {.uids = uids({1}),
                                                .op = i % 2 == 0 ? FlagOp::add : FlagOp::remove,
                                                .flags = kFlagged,
                                                .keywords = {},
                                                .unchanged_since = {}}));
  while (last_segment() < 3) must(account->append(inbox(account), messages({"two"})));
  must(account->append(inbox(account), messages({"three"})));
  const ModSeq seen = account->modseq();
  account.reset();
  crash();
  fs::resize_file(segment(2), kFirstRecord);
  make_store();
  account = open();
  expect_heard("are missing at its end");
  EXPECT_FALSE(account->can_tell_since(seen)) << "what a client has seen may be lost";
  EXPECT_GT(account->modseq().value, seen.value + kMostLost);
  EXPECT_EQ(fs::file_size(segment(2)), kFirstRecord) << "it is not made to look whole";
  sound_at_end_ = false;
}

// An account of one segment loses all mail with it, and nothing else.
TEST_F(DamageTest, TheIndexKnowsAnOnlySegmentThatIsMissing) {
  segment_bytes_ = 64 << 20;
  make_store();
  const auto before = fill(4);
  ASSERT_EQ(last_segment(), 1);
  fs::resize_file(segment(1), 0);
  make_store();
  auto account = open();
  expect_heard("what came after is lost");
  EXPECT_TRUE(account->find("Work/x"));
  EXPECT_EQ(account->find("INBOX")->messages, 0U);
  expect_fresh_numbers(account, before);
  // And without any index.
  const auto now = infos(account);
  account.reset();
  crash();
  for (const auto& e : fs::directory_iterator(dir()))
    if (e.path().extension() == ".gdbm") fs::remove(e.path());
  fs::remove_all(dir() / "quarantine");
  make_store();
  account = open();
  for (const auto& [name, info] : now) {
    const auto* again = account->find(name);
    ASSERT_TRUE(again) << name;
    EXPECT_EQ(again->uidvalidity, info.uidvalidity) << name;
    EXPECT_GE(again->uidnext, info.uidnext) << name;
    EXPECT_EQ(again->messages, info.messages) << name;
  }
  sound_at_end_ = false;  // a segment is missing
}

// --- its beginning is gone ---

TEST_F(DamageTest, MailIsReachedWithoutTheFirstSegment) {
  for (const bool orderly : {true, false}) {
    SCOPED_TRACE(orderly);
    stop();
    fs::remove_all(fs::path(base_) / "mailbox.3");
    make_store();
    AccountState before = fill(34);
    size_t whole = 0;
    {
      auto reader = JournalReader::at((dir() / "journal").string());
      const auto folded = reader->fold();
      for (const auto& [id, place] : folded->places) whole += place.location.segment > 1;
    }
    ASSERT_GT(whole, 20U);
    if (!orderly) {
      make_store();
      auto account = open();
      must(account->append(inbox(account), messages({"last"})));
      before = snapshot(account);
      account.reset();
      crash();
      whole++;
    }
    fs::remove(segment(1));
    for (const bool repaired : {false, true}) {
      if (repaired) ASSERT_TRUE(set_dirty_flag(dir().string(), true));
      make_store();
      auto account = open();
      size_t reached = 0;
      for (const char* name : {"INBOX", "Work/x"}) {
        ASSERT_TRUE(account->find(name)) << name;
        const auto mailbox = must(account->open_mailbox(account->find(name)->id));
        EXPECT_EQ(mailbox->info().uidvalidity, before.mailbox(name)->info().uidvalidity);
        for (const auto& e : mailbox->messages())
          reached += run(loop_, account->read(e.message)).has_value();
      }
      EXPECT_GE(reached, whole);
      expect_fresh_numbers(account, before);
      before = snapshot(account);
      whole = reached + 2;  // what was just added to them
      account.reset();
      // The second time from the journal and what was kept.
      if (repaired) crash();
      if (!repaired) stop();
    }
    check_at_end_.clear();
    make_store();
  }
}

// --- a record that says something with one wrong bit ---

TEST_F(DamageTest, OneWrongBitOfWhatARecordSaysCostsNothing) {
  segment_bytes_ = 64 << 20;
  make_store();
  auto account = open();
  for (int i = 0; i < 6; i++)
    must(account->append(inbox(account), messages({fmt::format("mail {}", i)})));
  const auto before = snapshot(account);
  account.reset();
  crash();
  const std::string sound = slurp(segment(1));
  // What made INBOX, and the last message.
  for (const size_t record : {size_t{kFirstRecord}, sound.rfind("RIMR")}) {
    SCOPED_TRACE(record);
    std::string bytes = sound;
    bytes[record + kRecordHeader + 9] ^= 4;
    spew(segment(1), bytes);
    fs::remove_all(dir() / "quarantine");
    heard_.text.clear();
    make_store();
    account = open();
    EXPECT_EQ(snapshot(account).difference(before), "");
    EXPECT_EQ(read_all(account), 6U);
    expect_heard(fmt::format("00000001 at offset {}", record + kRecordHeader));
    expect_heard("check --repair");
    EXPECT_EQ(quarantine().size(), 1U);
    account.reset();
    crash();
    EXPECT_NE(found().find("wrong bits, which are known"), std::string::npos) << found();
    {
      const auto here = AccountDir::at(Disk::real(), dir().string());
      ASSERT_TRUE(here);
      EXPECT_EQ(mend_records(*here), 1U);
      EXPECT_EQ(mend_records(*here), 0U);
    }
    EXPECT_EQ(slurp(segment(1)).substr(0, sound.size()), sound);
  }
  make_store();
}

// It is the last batch, and could be taken for one whose write was interrupted.
TEST_F(DamageTest, OneWrongBitOfALargeCopyCostsNothing) {
  segment_bytes_ = 64 << 20;
  make_store();
  auto account = open();
  std::vector<std::string> many;
  std::vector<uint32_t> all;
  for (uint32_t i = 1; i <= 400; i++) {
    many.push_back(fmt::format("mail {}", i));
    all.push_back(i);
  }
  must(account->append(inbox(account), messages(many)));
  const auto work = must(account->create("Work"));
  must(account->copy(inbox(account), uids(all), work));
  const auto before = snapshot(account);
  account.reset();
  crash();
  const std::string sound = slurp(segment(1));
  auto reader = JournalReader::open(*open_base(base_), "foo");
  std::optional<Location> copy;
  bool sums = false;
  ASSERT_TRUE(reader && reader->visit({.record = [&](const JournalRecord& r) {
    if (r.header.type == RecordType::copy) copy = r.place.location;
    sums = sums || r.header.type == RecordType::piece_sums;
    return true;
  }}));
  ASSERT_TRUE(copy && sums);
  ASSERT_GT(copy->meta, 8192U);
  for (uint32_t at = 0; at < copy->meta; at += 997) {
    SCOPED_TRACE(at);
    std::string bytes = sound;
    bytes[copy->offset + kRecordHeader + at] ^= 64;
    spew(segment(1), bytes);
    fs::remove_all(dir() / "quarantine");
    make_store();
    account = open();
    EXPECT_EQ(snapshot(account).difference(before), "");
    account.reset();
    crash();
    const auto here = AccountDir::at(Disk::real(), dir().string());
    ASSERT_TRUE(here);
    EXPECT_EQ(mend_records(*here), 1U);
    EXPECT_TRUE(slurp(segment(1)).starts_with(sound.substr(0, copy->offset + copy->meta)));
  }
  make_store();
}

// --- what the product makes is sound ---

// The index knows what they said as long as it is believed, that is until a stop that was not in
// order. Then it is written into the journal.
TEST_F(DamageTest, WhatLostRecordsSaidOfMessagesIsTakenFromTheIndex) {
  fill();
  make_store();
  auto account = open();
  const auto work = account->find("Work/x")->id;
  must(account->copy(inbox(account), uids({1, 2, 3, 4}), work));
  must(account->change_flags(
      inbox(account),
      {.uids = uids({2, 5}), .op = FlagOp::add, .flags = kFlagged, .keywords = {"$Later"}}));
  must(account->expunge(work, uids({7})));
  const auto before = snapshot(account);
  account.reset();
  stop();
  const auto destroy = [&](RecordType type, int skip) {
    auto reader = JournalReader::open(*open_base(base_), "foo");
    std::optional<Location> at;
    ASSERT_TRUE(reader && reader->visit({.record = [&](const JournalRecord& r) {
      if (r.header.type == type && skip-- == 0) at = r.place.location;
      return true;
    }}));
    ASSERT_TRUE(at);
    std::fstream file(segment(static_cast<int>(at->segment)),
                      std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at->offset));
    file << std::string(kRecordHeader + 8, 'h');
  };
  destroy(RecordType::copy, 0);
  destroy(RecordType::flags, 0);
  destroy(RecordType::append, 19);
  ASSERT_TRUE(set_dirty_flag(dir().string(), true));
  make_store();
  heard_.text.clear();
  account = open();
  expect_heard("3 messages are in \"Work/x\" again, 0 have their flags again");
  expect_heard("0 messages are in \"INBOX\" again, 2 have their flags again");
  const auto expect_there = [&] {
    for (const MailboxId id : {inbox(account), work}) {
      const auto now = must(account->open_mailbox(id));
      const auto& was = *before.mailbox(id);
      size_t at = 0;
      for (const auto& e : was.messages()) {
        // Its bytes are lost, with the record of its arrival.
        if (e.message == MessageId(20)) continue;
        ASSERT_LT(at, now->messages().size());
        const auto& is = now->messages()[at++];
        EXPECT_EQ(is.uid, e.uid);
        EXPECT_EQ(is.message, e.message);
        EXPECT_EQ(is.flags, e.flags);
        EXPECT_EQ(now->keywords_of(is), was.keywords_of(e));
        EXPECT_EQ(is.date, e.date);
        EXPECT_GT(must(account->read(is.message)).size(), 1000U);
      }
      EXPECT_EQ(at, now->messages().size());
    }
  };
  expect_there();
  account.reset();
  // The journal says it now.
  for (const bool orderly : {true, false}) {
    orderly ? stop() : crash();
    remove_index();
    make_store();
    account = open();
    expect_there();
    account.reset();
  }
  stop();
  heard_.text.clear();
  ASSERT_TRUE(set_dirty_flag(dir().string(), true));
  make_store();
  (void)open();
  EXPECT_EQ(heard_.text.find("again"), std::string::npos) << heard_.text;
  sound_at_end_ = false;
}

// A client may have seen what the lost record said: it must not be told that nothing has changed,
// and its changes of what it has not seen are refused.
TEST_F(DamageTest, AfterALossNobodyIsTakenToKnowWhatThereIs) {
  auto account = open();
  must(account->append(inbox(account), messages({"one", "two"})));
  const auto flag = [&](uint32_t uid, std::optional<ModSeq> unchanged_since) {
    return must(account->change_flags(inbox(account), {.uids = uids({uid}),
                                                       .op = FlagOp::add,
                                                       .flags = kFlagged,
                                                       .keywords = {},
                                                       .unchanged_since = unchanged_since}))
        .front()
        .verdict;
  };
  EXPECT_EQ(flag(1, {}), FlagOutcome::Verdict::changed);
  const ModSeq seen = account->modseq();
  must(account->append(inbox(account), messages({"three"})));
  account.reset();
  crash();
  std::string bytes = slurp(segment(1));
  std::optional<Location> at;
  auto reader = JournalReader::open(*open_base(base_), "foo");
  ASSERT_TRUE(reader && reader->visit({.record = [&](const JournalRecord& r) {
    if (r.header.type == RecordType::flags) at = r.place.location;
    return true;
  }}));
  ASSERT_TRUE(at);
  bytes.replace(at->offset + kRecordHeader, 8, "destroys");
  spew(segment(1), bytes);
  make_store();
  for (const char* how : {"from the journal", "from the index"}) {
    SCOPED_TRACE(how);
    account = open();
    EXPECT_FALSE(account->can_tell_since(seen));
    const ModSeq now = account->find("INBOX")->highest_modseq;
    EXPECT_GT(now, seen) << "a client with this one is in step again";
    EXPECT_TRUE(account->can_tell_since(now));
    EXPECT_EQ(flag(1, seen), FlagOutcome::Verdict::too_new);
    account.reset();
    reopen();
  }
  account = open();
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  EXPECT_EQ(flag(1, mailbox->messages()[0].modseq), FlagOutcome::Verdict::changed)
      << "the client has read this state";
  EXPECT_EQ(flag(2, account->modseq()), FlagOutcome::Verdict::changed);
  sound_at_end_ = false;
}

TEST_F(DamageTest, AnAccountWithoutMessagesIsSound) {
  auto account = open();
  account.reset();
  stop();
  EXPECT_EQ(found(), "");
  make_store();
  account = open();
  must(account->append(inbox(account), messages({"one"})));
  must(account->expunge(inbox(account), uids({1})));
  account.reset();
  stop();
  EXPECT_EQ(found(), "");
  make_store();
}

TEST_F(DamageTest, AnAccountAfterAGapIsSound) {
  auto account = open();
  must(account->append(inbox(account), messages({"one"})));
  must(account->raise_uidnext(inbox(account), Uid(5000)));
  account.reset();
  crash();
  // A torn write: numbers are skipped.
  const std::string sound = slurp(segment(1));
  std::string bytes = sound;
  SegmentHeader header;
  ASSERT_EQ(decode(bytes, header), HeaderState::good);
  RecordHeader torn;
  torn.type = RecordType::append;
  torn.meta = 50;
  torn.body = 60'000'000;
  torn.seq = torn.batch_first = 100;
  torn.batch_count = 1;
  size_t end = 0;  // of the last record, which may have zeros of its own there
  auto reader = JournalReader::open(*open_base(base_), "foo");
  ASSERT_TRUE(reader && reader->visit({.record = [&](const JournalRecord& r) {
    end = r.place.location.offset + r.header.total();
    return true;
  }}));
  encode(torn, header.segment, bytes.data() + end);
  bytes.replace(end + kRecordHeader, 20'000, 20'000, 'b');
  spew(segment(1), bytes);
  make_store();
  account = open();
  expect_heard("numbers are skipped");
  EXPECT_GT(snapshot(account).next_message().value, 300U);
  account.reset();
  stop();
  for (const auto& name : quarantine()) fs::remove_all(dir() / "quarantine" / name);
  EXPECT_EQ(found(), "");
  make_store();
  account = open();
  must(account->append(inbox(account), messages({"two"})));
  account.reset();
  stop();
  EXPECT_EQ(found(), "");
  make_store();
}

TEST_F(DamageTest, ALinkIsRefusedWithWhatHelps) {
  stop();
  fs::create_directory(fs::path(base_) / "elsewhere");
  for (const bool account : {false, true}) {
    const auto link = account ? dir() : fs::path(base_) / "mailbox.3";
    fs::create_directories(link.parent_path());
    fs::create_directory_symlink(fs::path(base_) / "elsewhere", link);
    make_store();
    const auto refused = run(loop_, store_->open("foo"));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().detail().find("symbolic link"), std::string::npos)
        << refused.error().detail();
    EXPECT_NE(refused.error().detail().find("bind mount"), std::string::npos);
    stop();
    fs::remove(link);
  }
  make_store();
}

// --- what stays to be told ---

// The numbers that an opening passes over are explained by the gap record of the same batch,
// whatever stands before that.
TEST_F(DamageTest, NumbersThatWerePassedOverAreNotMissing) {
  fill();
  make_store();
  auto account = open();
  must(account->annotate(inbox(account), {{"/private/comment", "x"}}));
  for (int i = 0; i < 12; i++)
    must(account->change_flags(inbox(account), {.uids = uids({1, 2}),
                                                .op = i % 2 == 0 ? FlagOp::add : FlagOp::remove,
                                                .flags = kFlagged,
                                                .keywords = {fmt::format("k{}", i)}}));
  must(account->append(inbox(account), messages({std::string(6000, 'y'), std::string(6000, 'z')})));
  must(account->append(inbox(account), messages({std::string(6000, 'y')})));
  account.reset();
  stop();
  const int last = last_segment();
  fs::remove(segment(last - 1));  // flags; the index knows them
  for (const bool end : {false, true}) {
    SCOPED_TRACE(end);
    if (end) fs::remove(segment(last_segment()));
    make_store();
    account = open();
    must(account->append(inbox(account), messages({"after"})));
    account.reset();
    stop();
    const std::string all = found();
    size_t missing = 0;
    for (size_t at = all.find(" bytes: records "); at != all.npos;
         at = all.find(" bytes: records ", at + 1))
      missing++;
    EXPECT_EQ(missing, 1U) << all;
  }
  sound_at_end_ = false;
  make_store();
}

// A restore has brought back what the lost records had said: that they are lost is no damage.
TEST_F(DamageTest, WhatWasRestoredIsNoDamage) {
  const auto before = fill(30);
  ASSERT_GT(last_segment(), 5);
  const auto first_of = [&](int number) {
    SegmentHeader header;
    EXPECT_EQ(decode(slurp(segment(number)).substr(0, kFirstRecord), header), HeaderState::good);
    return header.first_seq;
  };
  const uint64_t from = first_of(2), to = first_of(3) - 1, other = first_of(5);
  const std::string second = slurp(segment(4));
  const auto note = [&](std::vector<Restored::Range> ranges) {
    make_store();
    auto account = open();
    for (const auto* info : account->mailboxes()) {
      std::vector<Uid> lost;
      for (const auto& e : must(account->open_mailbox(info->id))->messages())
        if (!run(loop_, account->read(e.message))) lost.push_back(e.uid);
      must(account->expunge(info->id, lost));
    }
    if (!ranges.empty()) must(account->note_restored(std::move(ranges)));
    account.reset();
    stop();
  };
  fs::remove(segment(2));
  note({});
  EXPECT_NE(found().find(fmt::format("records {} to {} are missing", from, to)), std::string::npos)
      << found();
  note({{from, to - 1}});
  EXPECT_NE(found(), "") << "not all of it";
  note({{to, to}});
  EXPECT_EQ(found(), "");
  // Of what is lost later nothing was restored.
  fs::remove(segment(4));
  EXPECT_NE(found().find(fmt::format("to {} are missing", other - 1)), std::string::npos)
      << found();
  EXPECT_EQ(found().find(fmt::format("to {} are missing", to)), std::string::npos) << found();
  spew(segment(4), second);
  own(dir());
  EXPECT_EQ(found(), "");
  // The end, of which the index knows.
  const int last = last_segment();
  const uint64_t end = first_of(last);
  fs::remove(segment(last));
  note({});
  EXPECT_NE(found().find("quarantine/index-"), std::string::npos) << found();
  note({{end, end}});
  EXPECT_NE(found(), "") << "not all of it";
  note({{from, to}, {end, UINT64_MAX / 2}});  // the first note was there, too
  EXPECT_EQ(found(), "");
  EXPECT_FALSE(quarantine().empty()) << "it is kept";
  make_store();
}

// Its entry is there, and its record is lost: nobody has expunged it.
TEST_F(DamageTest, AMessageWhoseRecordIsLostIsNotSaidToBeExpunged) {
  fill();
  make_store();
  auto account = open();
  std::vector<Uid> all;
  for (const auto& e : must(account->open_mailbox(inbox(account)))->messages())
    all.push_back(e.uid);
  must(account->copy(inbox(account), all, account->find("Work/x")->id));
  account.reset();
  stop();
  fs::remove(segment(2));
  remove_index();
  make_store();
  account = open();
  size_t lost = 0;
  for (const auto& e : must(account->open_mailbox(account->find("Work/x")->id))->messages()) {
    const auto bytes = run(loop_, account->read(e.message));
    if (bytes) continue;
    lost++;
    EXPECT_EQ(bytes.error().code(), "UNAVAILABLE");
    EXPECT_NE(bytes.error().detail().find("is lost; restore it"), std::string::npos)
        << bytes.error().detail();
  }
  EXPECT_GT(lost, 0U);
  check_at_end_.clear();
}

}  // namespace
}  // namespace rims::store
