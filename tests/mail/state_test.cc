// tests/mail/state_test.cc - folding records that no honest server wrote

#include "common/mail/state.h"

#include <algorithm>
#include <variant>

#include <gtest/gtest.h>

#include "common/mail/bytes.h"

namespace rims::store {
namespace {

class FoldedState : public testing::Test {
 protected:
  FoldedState() {
    apply(MailboxCreated{MailboxId(1), UidValidity(1), SpecialUse::none, false, "INBOX"});
  }
  // As it is written and read again; false: it does not decode, and nothing has changed.
  template <class R>
  bool apply(const R& record) {
    auto read = decode(R::kType, version_of(record), seq_ + 1, record.encode(), {});
    if (!read) return false;
    state_.apply({.seq = ++seq_, .time = time_, .location = {}, .record = *std::move(read)},
                 &changes_);
    return true;
  }
  bool append(uint32_t uid, KeywordList keywords = {}) {
    Append record{.mailbox = MailboxId(1),
                  .entry = {},
                  .keywords = std::move(keywords),
                  .delivery_id = {},
                  .delivery_key = {}};
    record.entry.uid = Uid(uid);
    record.entry.message = MessageId(uid);
    return apply(record);
  }
  [[nodiscard]] const Mailbox& inbox() const { return *state_.mailbox(MailboxId(1)); }

  AccountState state_;
  std::vector<Change> changes_;
  uint64_t seq_ = 0;
  uint32_t time_ = 1'700'000'000;
};

// An earlier program refuses what it would misread, and only that.
TEST(Records, ALaterSpecialUseIsALaterVersion) {
  const MailboxCreated sent{MailboxId(2), UidValidity(2), SpecialUse::sent, false, "Sent"};
  MailboxCreated memos = sent;
  memos.special_use = SpecialUse::memos;
  EXPECT_EQ(version_of(sent), 1);
  EXPECT_EQ(version_of(memos), 2);
  EXPECT_FALSE(MailboxCreated::decode(memos.encode(), 1));
  EXPECT_EQ(MailboxCreated::decode(memos.encode(), 2)->special_use, SpecialUse::memos);
  EXPECT_FALSE(MailboxCreated::decode(memos.encode(), 3));

  const SpecialUseSet archive{MailboxId(2), SpecialUse::archive};
  const SpecialUseSet important{MailboxId(2), SpecialUse::important};
  EXPECT_EQ(version_of(archive), 1);
  EXPECT_EQ(version_of(important), 2);
  EXPECT_FALSE(SpecialUseSet::decode(important.encode(), 1));
  EXPECT_EQ(SpecialUseSet::decode(important.encode(), 2)->special_use, SpecialUse::important);

  Snapshot snapshot;
  for (uint32_t id = 1; id <= 2; id++)
    snapshot.mailboxes.push_back({.id = MailboxId(id),
                                  .uidvalidity = UidValidity(1),
                                  .highest_modseq = {},
                                  .changed = {},
                                  .name = "Box" + std::to_string(id),
                                  .keywords = {}});
  EXPECT_EQ(version_of(snapshot), 1);
  snapshot.mailboxes[0].special_use = SpecialUse::snoozed;
  EXPECT_EQ(version_of(snapshot), 2);
  EXPECT_FALSE(Snapshot::decode(snapshot.encode(), 1));
  EXPECT_EQ(Snapshot::decode(snapshot.encode(), 2)->mailboxes, snapshot.mailboxes);
}

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

// --- after which MODSEQs it can be told what has changed ---

TEST_F(FoldedState, NumbersThatNoRecordHasAreOfAnotherHistory) {
  append(1);
  const uint64_t before = seq_;
  EXPECT_TRUE(state_.can_tell_since(ModSeq(before)));
  seq_ += 100;
  apply(Gap{12, 0});
  EXPECT_TRUE(state_.can_tell_since(ModSeq(before)));
  EXPECT_FALSE(state_.can_tell_since(ModSeq(before + 1)));
  EXPECT_FALSE(state_.can_tell_since(ModSeq(before + 100)));
  EXPECT_TRUE(state_.can_tell_since(ModSeq(before + 101)));
  EXPECT_EQ(inbox().info().highest_modseq, ModSeq(before)) << "nothing has changed";
}

TEST_F(FoldedState, AfterDamageNothingOlderCanBeTold) {
  append(1);
  apply(Gap{12, 0});
  append(30);
  EXPECT_TRUE(state_.can_tell_since(ModSeq(2)));
  apply(Gap{12, 12});
  EXPECT_FALSE(state_.can_tell_since(ModSeq(1)));
  EXPECT_FALSE(state_.can_tell_since(ModSeq(seq_ - 1)));
  EXPECT_TRUE(state_.can_tell_since(ModSeq(seq_)));
  EXPECT_TRUE(state_.can_tell_since(ModSeq())) << "who knows nothing is told all";
  EXPECT_EQ(inbox().info().highest_modseq, ModSeq(seq_)) << "which a client can come back with";
  EXPECT_EQ(state_.broken_invariants(), std::vector<std::string>());
}

TEST(LostNumbersTest, ManyRangesBecomeFewer) {
  LostNumbers lost;
  for (uint64_t n = 1; n <= 100; n++) lost.add(n * 10, n * 10 + 5);
  ASSERT_EQ(lost.ranges().size(), LostNumbers::kMost);
  EXPECT_TRUE(lost.contains(11));
  EXPECT_TRUE(lost.contains(17)) << "between two old ones that became one";
  EXPECT_FALSE(lost.contains(10));
  EXPECT_FALSE(lost.contains(1005));
  EXPECT_TRUE(lost.contains(1004));
  EXPECT_FALSE(lost.contains(997));
  lost.add(0, 2000);
  ASSERT_EQ(lost.ranges().size(), 1U);
  EXPECT_TRUE(lost.contains(1005));
}

TEST_F(FoldedState, TheLastNumberIsNoUid) {
  EXPECT_FALSE(append(UINT32_MAX)) << "no UIDNEXT could follow it";
  ASSERT_TRUE(append(3));
  ASSERT_EQ(inbox().messages().size(), 1U);
  EXPECT_EQ(inbox().messages()[0].uid, Uid(3));
  EXPECT_EQ(state_.broken_invariants(), std::vector<std::string>());
}

// --- what is known although its record was lost ---

// Uids that were given out while earlier records could not be read, and those records, once more.
TEST_F(FoldedState, MailOfSkippedUidsTakesItsPlace) {
  append(1);
  apply(Gap{100, 1});
  append(50);
  EXPECT_EQ(state_.orphans(), 0U);
  append(70);
  ASSERT_EQ(inbox().messages().size(), 3U);
  EXPECT_EQ(inbox().messages()[1].uid, Uid(50));
  EXPECT_EQ(inbox().messages()[2].uid, Uid(70));
  EXPECT_EQ(inbox().info().uidnext, Uid(102));
  EXPECT_EQ(inbox().info().messages, 3U);
  // Another message with the same uid is not lost; the same message is not there twice.
  Append twin{.mailbox = MailboxId(1), .entry = {}, .delivery_id = {}, .delivery_key = {}};
  twin.entry.uid = Uid(50);
  twin.entry.message = MessageId(51);
  apply(twin);
  ASSERT_EQ(inbox().messages().size(), 4U);
  EXPECT_EQ(inbox().messages().back().uid, Uid(102));
  EXPECT_EQ(inbox().messages().back().message, MessageId(51));
  EXPECT_EQ(inbox().info().uidnext, Uid(103));
  append(70);
  EXPECT_EQ(inbox().messages().size(), 4U);
  EXPECT_EQ(state_.orphans(), 2U);
  EXPECT_EQ(state_.broken_invariants(), std::vector<std::string>());
}

class LostRecords : public FoldedState {
 protected:
  // The account as it is, without the records that `lost` names.
  template <class... Lost>
  AccountState without(const Lost&... lost) {
    AccountState other;
    uint64_t seq = 0;
    for (const auto& record : all_) {
      seq++;
      const bool is_lost = (false || ... || (seq == lost));
      if (is_lost) continue;
      other.apply({.seq = seq, .time = time_, .location = {}, .record = record});
    }
    return other;
  }
  LostRecords() {
    all_.emplace_back(
        MailboxCreated{MailboxId(1), UidValidity(1), SpecialUse::none, false, "INBOX"});
  }
  uint64_t mail(uint32_t mailbox, uint32_t uid, uint64_t message) {
    Append record{.mailbox = MailboxId(mailbox),
                  .entry = {},
                  .keywords = {},
                  .delivery_id = {},
                  .delivery_key = {}};
    record.entry.uid = Uid(uid);
    record.entry.message = MessageId(message);
    apply(record);
    all_.emplace_back(record);
    return seq_;
  }
  Snapshot now() {
    auto all = state_.snapshot();
    apply(all);
    all_.emplace_back(all);
    return all;
  }
  std::vector<Record> all_;
};

TEST_F(LostRecords, ASnapshotOfAWholeAccountChangesNothingInIt) {
  apply(Keyword{MailboxId(1), 0, "$Junk"});
  append(1, {0});
  apply(Subscription{true, "INBOX"});
  apply(MailboxCreated{MailboxId(2), UidValidity(2), SpecialUse::sent, false, "Sent"});
  apply(MailboxRemoved{MailboxId(2)});
  const auto before = state_.snapshot();
  EXPECT_TRUE(before.whole);
  changes_.clear();
  ASSERT_TRUE(apply(before));
  EXPECT_TRUE(changes_.empty());
  EXPECT_EQ(state_.orphans(), 0U);
  EXPECT_EQ(state_.snapshot().encode(), before.encode());
}

TEST_F(LostRecords, TheMailOfAMailboxStaysInItWhenTheRecordThatMadeItIsLost) {
  MailboxCreated work{MailboxId(2), UidValidity(7), SpecialUse::archive, false, "Work"};
  apply(work);
  all_.emplace_back(work);
  const uint64_t made = seq_;
  Snapshot again;
  again.mailboxes.push_back(AccountState::of(*state_.mailbox(MailboxId(2))));
  apply(again);
  all_.emplace_back(again);
  mail(2, 1, 1);
  const auto lost = without(made);
  const auto there = lost.mailbox("Work");
  ASSERT_TRUE(there);
  EXPECT_EQ(there->info().id, MailboxId(2));
  EXPECT_EQ(there->info().uidvalidity, UidValidity(7));
  EXPECT_EQ(there->info().special_use, SpecialUse::archive);
  EXPECT_EQ(there->messages().size(), 1U);
  EXPECT_EQ(lost.orphans(), 1U) << "it is told that something is missing";
  EXPECT_EQ(lost.broken_invariants(), std::vector<std::string>());
}

// Without what was said again, as in a journal of version 1: the id is low, and is not "removed".
TEST_F(LostRecords, MailOfAnUnknownMailboxIsInARecoveredOneUntilASnapshotTellsItsName) {
  MailboxCreated work{MailboxId(2), UidValidity(7), SpecialUse::none, false, "Work"};
  apply(work);
  all_.emplace_back(work);
  const uint64_t made = seq_;
  MailboxCreated later{MailboxId(3), UidValidity(8), SpecialUse::none, false, "Later"};
  apply(later);
  all_.emplace_back(later);
  mail(2, 5, 1);
  const auto early = without(made);
  ASSERT_TRUE(early.mailbox("Recovered-2"));
  EXPECT_EQ(early.mailbox("Recovered-2")->messages().size(), 1U);
  now();
  const auto told = without(made);
  EXPECT_FALSE(told.mailbox("Recovered-2"));
  ASSERT_TRUE(told.mailbox("Work"));
  EXPECT_EQ(told.mailbox("Work")->info().uidvalidity, UidValidity(7));
  EXPECT_EQ(told.mailbox("Work")->messages().size(), 1U);
  EXPECT_EQ(told.broken_invariants(), std::vector<std::string>());
}

TEST_F(LostRecords, TheFirstMailboxOfAnAccountIsItsInbox) {
  mail(1, 1, 1);
  const auto lost = without(1U);
  ASSERT_TRUE(lost.mailbox("INBOX"));
  EXPECT_EQ(lost.mailbox("INBOX")->messages().size(), 1U);
}

TEST_F(LostRecords, MailOfARemovedMailboxStaysAway) {
  MailboxCreated work{MailboxId(2), UidValidity(7), SpecialUse::none, false, "Work"};
  apply(work);
  all_.emplace_back(work);
  const uint64_t added = mail(2, 1, 1);
  apply(MailboxRemoved{MailboxId(2)});
  all_.emplace_back(MailboxRemoved{MailboxId(2)});
  const uint64_t removed = seq_;
  const auto lost = without(added - 1);
  EXPECT_EQ(lost.mailboxes().size(), 1U) << "made for its mail, then removed";
  now();
  const auto forgotten = without(removed);
  EXPECT_FALSE(forgotten.mailbox("Work")) << "the snapshot does not have it";
  EXPECT_TRUE(forgotten.removed().contains(2));
}

TEST_F(LostRecords, ARenameASubscriptionAKeywordAndNumbersComeBack) {
  MailboxCreated work{MailboxId(2), UidValidity(7), SpecialUse::none, false, "Work"};
  apply(work);
  all_.emplace_back(work);
  std::vector<uint64_t> lost;
  const auto say_it = [&](const auto& record) {
    apply(record);
    all_.emplace_back(record);
    lost.push_back(seq_);
  };
  say_it(MailboxRenamed{MailboxId(2), "Play"});
  say_it(Keyword{MailboxId(2), 0, "$Work"});
  say_it(Subscription{true, "Play"});
  say_it(UidNext{MailboxId(2), Uid(90)});
  say_it(SpecialUseSet{MailboxId(2), SpecialUse::junk});
  now();
  const auto told = without(lost[0], lost[1], lost[2], lost[3], lost[4]);
  const auto play = told.mailbox("Play");
  ASSERT_TRUE(play);
  EXPECT_FALSE(told.mailbox("Work"));
  EXPECT_EQ(play->keywords().names(), std::vector<std::string>{"$Work"});
  EXPECT_TRUE(told.subscriptions().contains("Play"));
  EXPECT_EQ(play->info().uidnext, Uid(90));
  EXPECT_EQ(play->info().special_use, SpecialUse::junk);
  EXPECT_EQ(told.broken_invariants(), std::vector<std::string>());
}

TEST_F(FoldedState, AnnotationsAreSetAndToldWhereTheyChange) {
  apply(MailboxCreated{MailboxId(2), UidValidity(2), SpecialUse::none, false, "Work"});
  EXPECT_FALSE(state_.all_annotations(true));
  changes_.clear();
  const Annotated record{.whole = false,
                         .items = {{MailboxId(), "/private/a", "0"},
                                   {MailboxId(1), "/private/a", "1"},
                                   {MailboxId(2), "/private/a", "2"},
                                   {MailboxId(2), "/private/b", ""}}};
  ASSERT_TRUE(apply(record));
  ASSERT_EQ(changes_.size(), 3U);
  EXPECT_EQ(changes_[2].kind, Change::Kind::annotated);
  EXPECT_EQ(changes_[2].mailbox, MailboxId(2));
  EXPECT_EQ(changes_[2].name, "Work");
  EXPECT_EQ(changes_[2].entries, (std::vector<std::string>{"/private/a", "/private/b"}));
  EXPECT_EQ(state_.annotation_bytes(), 43U);
  changes_.clear();
  ASSERT_TRUE(apply(record)) << "twice is once";
  EXPECT_TRUE(changes_.empty());
  ASSERT_TRUE(apply(Annotated{.whole = false,
                              .items = {{MailboxId(2), "/private/a", std::nullopt},
                                        {MailboxId(2), "/private/c", std::nullopt}}}));
  ASSERT_EQ(changes_.size(), 1U);
  EXPECT_EQ(changes_[0].entries, std::vector<std::string>{"/private/a"});
  apply(MailboxRemoved{MailboxId(2)});
  EXPECT_EQ(state_.annotation_bytes(), 22U);
  EXPECT_TRUE(state_.annotations(MailboxId(2)).empty());
  EXPECT_EQ(state_.broken_invariants(), std::vector<std::string>());
  EXPECT_EQ(state_.orphans(), 0U);
}

TEST_F(FoldedState, AnnotationsMakeNoMailboxAndNoNumber) {
  const auto before = state_.snapshot();
  ASSERT_TRUE(apply(Annotated{.whole = false, .items = {{MailboxId(7), "/private/a", "1"}}}));
  EXPECT_EQ(state_.annotation_bytes(), 0U);
  EXPECT_EQ(state_.mailboxes().size(), 1U);
  EXPECT_EQ(state_.next_mailbox(), before.next_mailbox);
  EXPECT_EQ(state_.orphans(), 1U) << "the record that made its mailbox was lost";
  EXPECT_EQ(inbox().info().changed, before.mailboxes[0].changed);
  EXPECT_EQ(state_.broken_invariants(), std::vector<std::string>());
}

TEST_F(FoldedState, AllAnnotationsCorrectWhatLostRecordsSaid) {
  apply(Annotated{.whole = false,
                  .items = {{MailboxId(), "/private/a", "0"}, {MailboxId(1), "/private/a", "1"}}});
  const auto all = *state_.all_annotations(true);
  ASSERT_TRUE(apply(all));
  EXPECT_EQ(state_.orphans(), 0U);
  changes_.clear();
  ASSERT_TRUE(apply(Annotated{.whole = true, .items = {{MailboxId(1), "/private/b", "1"}}}));
  EXPECT_EQ(state_.orphans(), 1U) << "something was lost";
  EXPECT_EQ(state_.all_annotations(true)->items,
            (std::vector<Annotated::Item>{{MailboxId(1), "/private/b", "1"}}));
  ASSERT_EQ(changes_.size(), 2U);
  EXPECT_EQ(changes_[1].entries, (std::vector<std::string>{"/private/a", "/private/b"}));
  // Not all: what is not named stays.
  ASSERT_TRUE(apply(Annotated{.whole = false, .items = {{MailboxId(1), "/private/c", "1"}}}));
  EXPECT_EQ(state_.annotations(MailboxId(1)).size(), 2U);
  ASSERT_TRUE(apply(Annotated{.whole = true, .items = {}}));
  EXPECT_EQ(state_.annotation_bytes(), 0U);
  EXPECT_TRUE(state_.all_annotations(true)) << "so that the next segment says it, too";
  EXPECT_EQ(state_.broken_invariants(), std::vector<std::string>());
}

TEST_F(FoldedState, ARecordOfAnnotationsIsInOrderOrNone) {
  using Items = std::vector<Annotated::Item>;
  const auto good = [](bool whole, Items items) {
    return Annotated::decode(Annotated{.whole = whole, .items = std::move(items)}.encode())
        .has_value();
  };
  EXPECT_TRUE(good(true, {}));
  EXPECT_TRUE(good(false, {{MailboxId(1), "/b", "1"}, {MailboxId(2), "/a", {}}}));
  EXPECT_FALSE(good(false, {{MailboxId(1), "/a", "1"}, {MailboxId(1), "/a", "1"}}));
  EXPECT_FALSE(good(false, {{MailboxId(2), "/a", "1"}, {MailboxId(1), "/b", "1"}}));
  EXPECT_FALSE(good(false, {{MailboxId(1), "", "1"}}));
  EXPECT_FALSE(good(true, {{MailboxId(1), "/a", {}}})) << "what is not there is not said";
  EXPECT_FALSE(good(false, {{MailboxId(UINT32_MAX), "/a", "1"}}));
  const std::string bytes =
      Annotated{.whole = false, .items = {{MailboxId(1), "/a", "value"}}}.encode();
  for (size_t size = 0; size < bytes.size(); size++)
    EXPECT_FALSE(Annotated::decode(bytes.substr(0, size))) << size;
  EXPECT_FALSE(Annotated::decode(bytes + "x"));
}

// A segment that can not be read today may be back tomorrow.
TEST_F(LostRecords, WhileRecordsAreKnownToBeLostASnapshotSaysOfNothingThatItIsGone) {
  MailboxCreated work{MailboxId(2), UidValidity(7), SpecialUse::none, false, "Work"};
  apply(work);
  all_.emplace_back(work);
  const auto partly = [&] {
    AccountState other = without(2U);
    other.apply({.seq = 9, .time = 0, .location = {}, .record = Gap{5, 5}});
    return other.snapshot();
  }();
  EXPECT_FALSE(partly.whole);
  ASSERT_TRUE(apply(partly));
  EXPECT_TRUE(state_.mailbox("Work"));
}

// --- records may grow ---

TEST(Records, ATypeThatMayBeLeftOutIsIgnoredAndAnotherKeepsAnOldProgramAway) {
  const auto future = static_cast<RecordType>(kIgnorable | 77);
  const auto ignored = decode(future, 3, 5, "whatever", "9.1.0");
  ASSERT_TRUE(ignored);
  EXPECT_TRUE(std::holds_alternative<Ignored>(*ignored));
  const auto required = decode(static_cast<RecordType>(77), 1, 5, "whatever", "9.1.0");
  ASSERT_FALSE(required);
  EXPECT_EQ(required.error().fault(), Fault::storage);
  EXPECT_NE(required.error().detail().find("9.1.0"), std::string::npos);
  const auto newer = decode(RecordType::append, Append::kVersion + 1, 5, "whatever", "9.1.0");
  ASSERT_FALSE(newer) << "a later version of a type that is known";
  EXPECT_NE(newer.error().detail().find("9.1.0"), std::string::npos);
}

TEST(Records, KeywordsOfVersion1AreBits) {
  const std::string bits = Writer()
                               .num(uint32_t{1})
                               .num(uint8_t{1})
                               .num(uint8_t{0})
                               .num(uint64_t{1} << 63 | 5)
                               .num(uint32_t{0})
                               .take();
  const auto flags = Flags::decode(bits, 1);
  ASSERT_TRUE(flags);
  EXPECT_EQ(flags->keywords, (KeywordList{0, 2, 63}));
}

// --- sets of keywords ---

TEST(KeywordSets, MessagesWithTheSameKeywordsShareASet) {
  Keywords keywords;
  for (KeywordIndex i = 0; i < 3; i++) keywords.define(i, "k" + std::to_string(i));
  const KeywordList two{0, 2};
  const KeywordSet set = keywords.intern(two);
  EXPECT_EQ(keywords.intern(two), set);
  EXPECT_EQ(keywords.intern({}), KeywordSet(0));
  EXPECT_TRUE(keywords.has(set, 2));
  EXPECT_FALSE(keywords.has(set, 1));
  EXPECT_EQ(keywords.find("K2"), 2);
  keywords.define(2, "other");
  EXPECT_EQ(keywords.find("other"), 2);
  EXPECT_FALSE(keywords.find("k2"));
}

TEST_F(FoldedState, SetsThatNoMessageHasAnyMoreDoNotPileUp) {
  for (KeywordIndex i = 0; i < 900; i++) apply(Keyword{MailboxId(1), i, "k" + std::to_string(i)});
  append(1, {0});
  append(2, {1, 899});
  bool renumbered = false;
  for (KeywordIndex i = 0; i + 1 < 900; i++) {
    for (const KeywordIndex with : {KeywordIndex(i + 1), KeywordIndex(899)}) {
      if (i >= with) continue;
      apply(Flags{MailboxId(1), FlagOp::replace, 0, {i, with}, {{1, 1}}});
    }
  }
  for (const auto& change : changes_) renumbered |= change.kind == Change::Kind::renumbered;
  EXPECT_TRUE(renumbered) << "the index must write all entries again";
  EXPECT_LT(inbox().keywords().sets(), 1100U);
  EXPECT_EQ(inbox().keywords_of(inbox().messages()[1]), (std::vector<std::string>{"k1", "k899"}));
  EXPECT_EQ(state_.broken_invariants(), std::vector<std::string>());
}

TEST_F(FoldedState, AMailboxKnowsWhatChangedItLast) {
  append(1);
  const auto modseq = inbox().info().highest_modseq;
  EXPECT_EQ(inbox().info().changed, modseq);
  apply(Subscription{true, "INBOX"});
  EXPECT_EQ(inbox().info().highest_modseq, modseq);
  EXPECT_EQ(inbox().info().changed, ModSeq(seq_));
  EXPECT_EQ(changes_.back().kind, Change::Kind::subscribed);
  EXPECT_EQ(changes_.back().mailbox, MailboxId(1));
  apply(MailboxRenamed{MailboxId(1), "Other"});
  EXPECT_EQ(inbox().info().changed, ModSeq(seq_));
  EXPECT_EQ(changes_.back().kind, Change::Kind::renamed);
  EXPECT_EQ(changes_.back().name, "Other");
  EXPECT_EQ(changes_.back().old_name, "INBOX");
}

TEST_F(FoldedState, AnEntryKnowsWhenItWasSaved) {  // RFC 8514
  append(1);
  time_ += 60;
  Copy copy{.from = MailboxId(1), .to = MailboxId(1), .items = {}};
  MessageEntry again = inbox().messages()[0];
  again.uid = Uid(2);
  copy.items.push_back({Uid(1), again, {}});
  apply(copy);
  EXPECT_EQ(inbox().messages()[0].saved, time_ - 60);
  EXPECT_EQ(inbox().messages()[1].saved, time_);
}

TEST(CheckName, SaysWhichNamesAMailboxMayHave) {
  const Limits limits;
  EXPECT_TRUE(check_name("a", limits));
  EXPECT_TRUE(check_name("Entw\xC3\xBCrfe/2026 (old) & \"new\"", limits));
  // RFC 3501 §5.1 allows wildcards; clients ask for such a mailbox by SELECT.
  EXPECT_TRUE(check_name("* Important/100%", limits));
  EXPECT_TRUE(check_name(std::string(limits.name_bytes, 'x'), limits));
  std::string deep = "x";
  for (size_t level = 1; level < limits.name_depth; level++) deep += "/x";
  EXPECT_TRUE(check_name(deep, limits));
  const std::pair<std::string, std::string_view> rows[] = {
      {"", "CANNOT"},
      {"/", "CANNOT"},
      {"/a", "CANNOT"},
      {"a/", "CANNOT"},
      {"a//b", "CANNOT"},
      {"a\nb", "CANNOT"},
      {std::string("a\0b", 3), "CANNOT"},
      {"a\x7F", "CANNOT"},
      {"a\xC2\x80", "CANNOT"},
      {"\xC3", "CANNOT"},
      {std::string(limits.name_bytes + 1, 'x'), "LIMIT"},
      {deep + "/x", "LIMIT"},
  };
  for (const auto& [name, code] : rows) {
    const Status s = check_name(name, limits);
    ASSERT_FALSE(s) << name;
    EXPECT_EQ(s.error().code(), code) << name;
  }
}

}  // namespace
}  // namespace rims::store
