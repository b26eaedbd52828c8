// tests/account/golden_test.cc - accounts that earlier versions wrote (tests/data/store), read to
// the same answers for ever

#include <set>

#include "common/journal/reader.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

const fs::path kGolden = RIMS_SOURCE_ROOT "/tests/data/store";

class GoldenTest : public FileTest {
 protected:
  std::shared_ptr<Account> take(const std::string& name) {
    fs::create_directories(dir("golden"));
    fs::copy(kGolden / name, dir("golden") / "journal");
    own(dir("golden"));
    return open("golden");
  }
};

// An account as version 1 of the format wrote it: a sealed segment and one that ends in CLEAN.
// Every later version reads it to the same answers.
TEST_F(GoldenTest, TheGoldenAccountOfVersion1IsReadForEver) {
  const auto account = take("v1");
  EXPECT_EQ(names(account), "INBOX Archive Drafts Entwürfe Entwürfe/2026 Sent Spam");
  EXPECT_EQ(account->find("Spam")->special_use, SpecialUse::junk);
  EXPECT_TRUE(account->subscriptions().contains("not/there"));
  EXPECT_FALSE(account->subscriptions().contains("Sent"));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  ASSERT_EQ(mailbox->messages().size(), 3U);
  EXPECT_EQ(mailbox->keywords().names(), (std::vector<std::string>{"$Junk", "Work"}));
  EXPECT_EQ(mailbox->info().uidnext, Uid(5));
  EXPECT_EQ(mailbox->info().recent, 1U);
  EXPECT_EQ(mailbox->find(Uid(1)), nullptr);
  const auto* second = mailbox->find(Uid(2));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->flags, kFlagged);
  EXPECT_EQ(mailbox->keywords_of(*second), std::vector<std::string>{"Work"});
  EXPECT_EQ(second->size, 0U);
  const auto* third = mailbox->find(Uid(3));
  ASSERT_TRUE(third);
  EXPECT_EQ(mailbox->keywords_of(*third), (std::vector<std::string>{"$Junk", "Work"}));
  EXPECT_EQ(third->date, 1'700'000'000);
  EXPECT_EQ(third->zone, -330);
  EXPECT_EQ(third->modseq, ModSeq(17));
  const auto bytes = third->message;
  EXPECT_EQ(must(account->read(bytes)), "Subject: three\r\n\r\n8-bit: \xe4\xff\r\n");
  EXPECT_EQ(must(account->read_structure(bytes)), "(structure)");
  const auto archive = must(account->open_mailbox(account->find("Archive")->id));
  ASSERT_EQ(archive->messages().size(), 2U);
  EXPECT_EQ(must(account->read(archive->messages()[0].message)), "Subject: one\r\n\r\nfirst\r\n");
  EXPECT_EQ(archive->messages()[1].message, bytes);
}

// The same version, with what came into it before anybody had it: times, delivery keys, a mailbox
// taken over with its numbers, messages brought back, and bytes given back by a compaction.
TEST_F(GoldenTest, TheGoldenAccountWithAPastIsReadForEver) {
  const auto account = take("v1-compacted");
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  ASSERT_EQ(mailbox->messages().size(), 3U);
  EXPECT_EQ(mailbox->info().uidnext, Uid(7));
  EXPECT_EQ(mailbox->messages()[2].flags, kSeen);
  EXPECT_EQ(mailbox->keywords().names(), (std::vector<std::string>{"$Work"}));
  EXPECT_EQ(must(account->read(mailbox->messages()[0].message)),
            "Subject: 4\r\n\r\n" + std::string(400, 'e') + "\r\n");
  EXPECT_EQ(code(account->read(MessageId(1))), "EXPUNGEISSUED");
  EXPECT_EQ(code(account->read(MessageId(2))), "EXPUNGEISSUED");
  const auto trash = must(account->open_mailbox(account->find("Trash")->id));
  ASSERT_EQ(trash->messages().size(), 1U);
  EXPECT_EQ(trash->messages()[0].message, MessageId(3));
  EXPECT_EQ(trash->messages()[0].zone, 120);
  EXPECT_EQ(must(account->read(MessageId(3))),
            "Subject: 3\r\n\r\n" + std::string(400, 'd') + "\r\n");
  const auto old = must(account->open_mailbox(account->find("Old")->id));
  EXPECT_EQ(old->info().uidvalidity, UidValidity(1'000'000'000));
  EXPECT_EQ(old->info().uidnext, Uid(2000));
  ASSERT_EQ(old->messages().size(), 1U);
  EXPECT_EQ(old->messages()[0].uid, Uid(1000));
  const auto base = open_base(base_);
  auto reader = JournalReader::open(*base, "golden");
  ASSERT_TRUE(reader);
  uint32_t first = UINT32_MAX, dropped = 0;
  ASSERT_TRUE(reader->visit({.record = [&](const JournalRecord& record) {
    first = std::min(first, record.header.time);
    if ((record.header.flags & kDropped) != 0) dropped++;
    return true;
  }}));
  EXPECT_EQ(first, 1'750'000'000U);
  EXPECT_EQ(dropped, 2U);
}

// And with a batch that was cut, after which numbers were skipped, and special uses that were given
// to mailboxes that had none.
TEST_F(GoldenTest, TheGoldenAccountWithAGapIsReadForEver) {
  const auto account = take("v1-gap");
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  ASSERT_EQ(mailbox->messages().size(), 2U);
  EXPECT_EQ(mailbox->messages()[0].uid, Uid(1));
  EXPECT_EQ(mailbox->messages()[1].uid, Uid(4));
  EXPECT_EQ(mailbox->info().uidnext, Uid(5));
  EXPECT_EQ(must(account->read(mailbox->messages()[1].message)),
            "Subject: 2\r\n\r\n" + std::string(1500, 'c') + "\r\n");
  EXPECT_EQ(account->find("Gesendet")->special_use, SpecialUse::sent);
  EXPECT_EQ(account->find("Sent")->special_use, SpecialUse::none);
  EXPECT_EQ(account->find("Papierkorb")->special_use, SpecialUse::trash);
  EXPECT_EQ(account->find("Trash")->special_use, SpecialUse::none);
}

// Version 2: snapshots, whose mail it is, more keywords than fit into a word.
TEST_F(GoldenTest, TheGoldenAccountOfVersion2IsReadForEver) {
  const auto account = take("v2");
  EXPECT_EQ(names(account), "INBOX Drafts Entwürfe Entwürfe/2026 Old Sent Trash");
  EXPECT_FALSE(account->subscriptions().contains("Trash"));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  ASSERT_EQ(mailbox->messages().size(), 2U);
  EXPECT_EQ(mailbox->keywords().names().size(), 72U);
  const auto* second = mailbox->find(Uid(2));
  ASSERT_TRUE(second);
  const auto keywords = mailbox->keywords_of(*second);
  EXPECT_EQ(keywords.size(), 68U);
  EXPECT_EQ(std::ranges::count(keywords, "k68"), 1);
  EXPECT_EQ(std::ranges::count(keywords, "k69"), 0);
  EXPECT_EQ(mailbox->find(Uid(3))->saved, second->saved + 10);
  const auto old = must(account->open_mailbox(account->find("Old")->id));
  ASSERT_EQ(old->messages().size(), 3U);
  EXPECT_EQ(old->keywords_of(old->messages()[0]), (std::vector<std::string>{"$Forwarded", "Work"}));
  EXPECT_EQ(old->messages()[0].flags, kSeen);
  EXPECT_EQ(old->info().changed, old->info().highest_modseq) << "the last change was a message";
  EXPECT_EQ(must(account->read(old->messages()[2].message)),
            "Subject: four\r\n\r\n" + std::string(900, 'd') + "\r\n");
}

// And with annotations, which an earlier program ignores: set, said again where a segment begins,
// replaced, removed, gone with their mailbox.
TEST_F(GoldenTest, TheGoldenAccountWithAnnotationsIsReadForEver) {
  const auto account = take("v2-annotations");
  const auto all = [&](const char* name) { return account->annotations(account->find(name)->id); };
  EXPECT_EQ(all("INBOX"), (Annotations{{"/private/comment", "second"}, {"/shared/comment", ""}}));
  EXPECT_EQ(all("Old"), (Annotations{{"/private/comment", "first"}}));
  EXPECT_EQ(all("Work"), Annotations());
  EXPECT_EQ(account->annotations(MailboxId()),
            (Annotations{{"/private/devicetoken", std::string("t\0k\xff", 4)}}));
  EXPECT_EQ(account->find("INBOX")->messages, 12U);
}

// And with special uses that version 1 of their records does not know: made with one, given one,
// said again where a segment begins, taken by another mailbox.
TEST_F(GoldenTest, TheGoldenAccountWithLaterSpecialUsesIsReadForEver) {
  const auto account = take("v2-uses");
  const auto use = [&](const char* name) { return account->find(name)->special_use; };
  EXPECT_EQ(use("Weighty"), SpecialUse::important);
  EXPECT_EQ(use("Notes"), SpecialUse::none);
  EXPECT_EQ(use("Memos"), SpecialUse::memos);
  EXPECT_EQ(use("Later"), SpecialUse::scheduled);
  EXPECT_EQ(use("Asleep"), SpecialUse::snoozed);
  EXPECT_EQ(use("Sent"), SpecialUse::sent);
  EXPECT_EQ(account->find("INBOX")->messages, 12U);
}

// Whoever adds a type, or a version of one, adds an account that holds it.
TEST_F(GoldenTest, EveryTypeOfRecordIsInAGoldenAccount) {
  std::set<RecordType> found;
  std::set<std::pair<RecordType, uint8_t>> versions;
  for (const auto& account : fs::directory_iterator(kGolden)) {
    auto reader = JournalReader::at(account.path().string());
    ASSERT_TRUE(reader);
    const JournalVisitor visitor{
        .segment =
            [&](const JournalSegment& segment) {
              if (segment.sealed) found.insert(RecordType::footer);
            },
        .record =
            [&](const JournalRecord& record) {
              found.insert(record.header.type);
              versions.emplace(record.header.type, record.header.version);
              return true;
            },
        .damage = [](const JournalDamage& damage) { ADD_FAILURE() << to_string(damage); },
        .foreign = [](const std::string& path) { ADD_FAILURE() << path; }};
    ASSERT_TRUE(reader->visit(visitor, {.thorough = true}));
  }
  EXPECT_TRUE(found.contains(RecordType::annotations));
  for (const auto type :
       {RecordType::mailbox_created, RecordType::special_use, RecordType::snapshot})
    for (const uint8_t version : {uint8_t{1}, uint8_t{2}})
      EXPECT_TRUE(versions.contains({type, version})) << name(type) << ", version " << +version;
  for (uint16_t type = 1; type <= static_cast<uint16_t>(RecordType::last); type++)
    EXPECT_TRUE(found.contains(static_cast<RecordType>(type)))
        << "none of tests/data/store/* has a record \"" << name(static_cast<RecordType>(type))
        << '"';
}

}  // namespace
}  // namespace rims::store
