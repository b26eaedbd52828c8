// tests/account/annotations_test.cc - annotations of mailboxes and of the account: set all at once
// or not, kept by all that rebuilds, gone with their mailbox (RFC 5464)

#include <algorithm>

#include <fmt/format.h>

#include "common/journal/reader.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

using Changes = std::vector<AnnotationChange>;

std::string text(const Annotations& annotations) {
  std::string all;
  for (const auto& [name, value] : annotations)
    all += fmt::format("{}{}={}", all.empty() ? "" : " ", name, value);
  return all;
}

// What a listener is told of annotations.
class Hearer final : public Listener {
 public:
  explicit Hearer(std::shared_ptr<Account> account) : account_(std::move(account)) {
    account_->listen(this);
  }
  Hearer(const Hearer&) = delete;
  Hearer& operator=(const Hearer&) = delete;
  ~Hearer() override { account_->unlisten(this); }
  void annotated(const Change& change, const void* origin) override {
    heard += fmt::format("[{} {}", change.mailbox.value, change.name);
    for (const auto& entry : change.entries) heard += ' ' + entry;
    heard += origin == this ? " ours]" : "]";
  }
  std::string heard;

 private:
  std::shared_ptr<Account> account_;
};

class AnnotationsTest : public FileTest {
 protected:
  void SetUp() override {
    quick_ = true;
    FileTest::SetUp();
  }
  Options options() override {
    Options o = FileTest::options();
    o.limits.annotation_bytes = 1024;
    o.limits.annotations = 10;
    o.limits.annotations_bytes = 4096;
    return o;
  }
  std::string refusal(Task<Status> task) {
    const auto result = run(loop_, std::move(task));
    if (result) return "taken";
    EXPECT_EQ(result.error().fault(), Fault::limit);
    return result.error().code();
  }
  static std::string of(const std::shared_ptr<Account>& account, std::string_view name) {
    return text(account->annotations(account->find(name)->id));
  }
  static MailboxId id(const std::shared_ptr<Account>& account, std::string_view name) {
    return account->find(name)->id;
  }
  // Without its index: all is read from the journal.
  void lose_index() {
    for (const auto& e : fs::directory_iterator(dir()))
      if (e.path().extension() == ".gdbm") fs::remove(e.path());
  }
};

TEST_F(AnnotationsTest, AreSetReplacedAndRemoved) {
  const auto account = open();
  must(account->annotate(inbox(account), {{"/private/comment", "mine"}, {"/Shared/Comment", ""}}));
  EXPECT_EQ(of(account, "INBOX"), "/private/comment=mine /shared/comment=");
  const std::string bytes("a\0b\r\n\xff", 6);
  must(account->annotate(
      inbox(account), {{"/PRIVATE/comment", bytes}, {"/shared/comment", {}}, {"/private/x", {}}}));
  EXPECT_EQ(of(account, "INBOX"), "/private/comment=" + bytes);
  must(account->annotate(MailboxId(), {{"/private/devicetoken", "t"}}));
  EXPECT_EQ(text(account->annotations(MailboxId())), "/private/devicetoken=t");
  EXPECT_EQ(of(account, "Sent"), "");
  // Of two changes of one entry the last one counts.
  must(account->annotate(inbox(account), {{"/private/a", "1"}, {"/private/A", "2"}}));
  EXPECT_EQ(account->annotations(inbox(account)).at("/private/a"), "2");
  EXPECT_EQ(run(loop_, account->annotate(MailboxId(99), {{"/private/a", "1"}})).error().code(),
            "NONEXISTENT");
}

TEST_F(AnnotationsTest, WhatChangesNothingIsNoRecord) {
  const auto account = open();
  must(account->annotate(inbox(account), {{"/private/a", "1"}}));
  const auto before = account->modseq();
  must(account->annotate(inbox(account), {{"/private/a", "1"}, {"/private/b", {}}}));
  EXPECT_EQ(account->modseq(), before);
}

TEST_F(AnnotationsTest, ListenersHearTheNamesThatChanged) {
  const auto account = open();
  Hearer hearer(account);
  must(account->annotate(inbox(account), {{"/private/b", "1"}, {"/private/a", "1"}}));
  must(account->annotate(inbox(account), {{"/private/a", "1"}, {"/private/B", "2"}}, &hearer));
  must(account->annotate(MailboxId(), {{"/private/x", "1"}}));
  EXPECT_EQ(hearer.heard,
            "[1 INBOX /private/a /private/b][1 INBOX /private/b ours][0  /private/x]");
}

TEST_F(AnnotationsTest, LimitsRefuseAllOfAChange) {
  const auto account = open();
  const auto box = inbox(account);
  const std::string most(1024, 'x');
  EXPECT_EQ(refusal(account->annotate(box, {{"/private/a", "1"}, {"/private/b", most + "x"}})),
            "METADATA MAXSIZE 1024");
  EXPECT_EQ(of(account, "INBOX"), "");
  Changes ten;
  for (int i = 0; i < 10; i++) ten.push_back({fmt::format("/private/{}", i), "v"});
  must(account->annotate(box, ten));
  EXPECT_EQ(refusal(account->annotate(box, {{"/private/0", "w"}, {"/private/x", "1"}})),
            "METADATA TOOMANY");
  EXPECT_EQ(account->annotations(box).at("/private/0"), "v");
  // One in the place of another one is none more; nor is one of another mailbox.
  must(account->annotate(box, {{"/private/0", {}}, {"/private/x", "1"}}));
  must(account->annotate(id(account, "Sent"), {{"/private/0", most}}));
  must(account->annotate(MailboxId(), {{"/private/0", most}, {"/private/1", most}}));
  EXPECT_EQ(refusal(account->annotate(id(account, "Sent"), {{"/private/1", most}})),
            "METADATA TOOMANY");
  must(account->annotate(MailboxId(), {{"/private/0", {}}}));
  must(account->annotate(id(account, "Sent"), {{"/private/1", most}}));
  EXPECT_EQ(refusal(account->annotate(box, {{"/private/" + std::string(300, 'n'), "1"}})), "LIMIT");
}

TEST_F(AnnotationsTest, WhatALowerLimitHasLeftStaysAndCanGetLess) {
  const auto account = open();
  const auto box = inbox(account);
  for (int i = 0; i < 10; i++)
    must(account->annotate(box, {{fmt::format("/private/{}", i), std::string(100, 'x')}}));
  Limits lower = account->limits();
  lower.annotations = 5;
  lower.annotations_bytes = 500;
  account->set_limits(lower);
  EXPECT_EQ(refusal(account->annotate(box, {{"/private/0", std::string(101, 'x')}})),
            "METADATA TOOMANY");
  must(account->annotate(box, {{"/private/0", "less"}}));
  must(account->annotate(box, {{"/private/1", {}}}));
  EXPECT_EQ(account->annotations(box).size(), 9U);
}

TEST_F(AnnotationsTest, GoWithTheirMailbox) {  // RFC 5464 §4.1
  const auto account = open();
  must(account->create("Work/x"));
  must(account->annotate(id(account, "Work"), {{"/private/a", "work"}}));
  must(account->annotate(id(account, "Work/x"), {{"/private/a", "x"}}));
  must(account->annotate(inbox(account), {{"/private/a", "inbox"}}));
  must(account->rename("Work", "Play"));
  EXPECT_EQ(of(account, "Play"), "/private/a=work");
  EXPECT_EQ(of(account, "Play/x"), "/private/a=x");
  must(account->rename("INBOX", "Old"));
  EXPECT_EQ(of(account, "Old"), "/private/a=inbox");
  EXPECT_EQ(of(account, "INBOX"), "/private/a=inbox");
  // What stays of a deleted name has none of them, but can get some, and keep them.
  must(account->remove("Play"));
  ASSERT_TRUE(account->find("Play")->noselect);
  EXPECT_EQ(of(account, "Play"), "");
  must(account->annotate(id(account, "Play"), {{"/private/a", "name"}}));
  must(account->create("Play"));
  EXPECT_EQ(of(account, "Play"), "/private/a=name");
  must(account->remove("Old"));
  must(account->create("Old"));
  EXPECT_EQ(of(account, "Old"), "");
  // So does a mailbox in whose place an import puts another one.
  must(account->adopt("Play", UidValidity(77)));
  EXPECT_EQ(of(account, "Play"), "/private/a=name");
}

TEST_F(AnnotationsTest, ARenameOfInboxThatWouldBeTooMuchIsRefusedAsAWhole) {
  const auto account = open();
  must(account->annotate(inbox(account), {{"/private/a", std::string(900, 'x')},
                                          {"/private/b", std::string(900, 'x')}}));
  must(account->rename("INBOX", "one"));
  EXPECT_EQ(run(loop_, account->rename("INBOX", "two")).error().code(), "METADATA TOOMANY");
  EXPECT_FALSE(account->find("two"));
}

TEST_F(AnnotationsTest, AreThereAfterAStopAKillAndWithoutTheIndex) {
  auto account = open();
  must(account->annotate(inbox(account), {{"/private/a", "1"}, {"/private/gone", "2"}}));
  must(account->annotate(MailboxId(), {{"/private/b", std::string(1000, '\0')}}));
  must(account->annotate(inbox(account), {{"/private/gone", {}}}));
  const auto before = snapshot(account);
  for (const bool clean : {true, false, true}) {
    SCOPED_TRACE(clean);
    account.reset();
    if (clean) {
      reopen();
    } else {
      kill();
    }
    account = open();
    EXPECT_EQ(of(account, "INBOX"), "/private/a=1");
    EXPECT_EQ(account->annotations(MailboxId()).at("/private/b"), std::string(1000, '\0'));
    must(account->annotate(id(account, "Sent"), {{"/private/n", clean ? "clean" : "killed"}}));
  }
  account.reset();
  stop();
  lose_index();
  make_store();
  account = open();
  EXPECT_EQ(of(account, "INBOX"), "/private/a=1");
  EXPECT_EQ(of(account, "Sent"), "/private/n=clean");
}

// An index that was closed in order is used, and nothing is read from the journal again.
TEST_F(AnnotationsTest, TheIndexHasThem) {
  auto account = open();
  Changes nine;
  for (int i = 0; i < 9; i++)
    nine.push_back({fmt::format("/private/{}", i), std::string(400, 'v')});
  must(account->annotate(inbox(account), nine));
  must(account->annotate(id(account, "Sent"), {{"/private/s", "1"}}));
  Heard heard;
  const auto again = [&] {
    account.reset();
    reopen();
    log::set_sink(&heard);
    account = open();
    log::set_sink(nullptr);
    EXPECT_EQ(heard.text.find("index of"), std::string::npos) << heard.text;
  };
  again();
  EXPECT_EQ(account->annotations(inbox(account)).size(), 9U);
  EXPECT_EQ(of(account, "Sent"), "/private/s=1");
  must(account->remove("Sent"));
  again();
  EXPECT_EQ(account->annotations(inbox(account)).size(), 9U);
  must(account->annotate(inbox(account), {{"/private/0", {}}}));
  again();
  EXPECT_EQ(account->annotations(inbox(account)).size(), 8U);
}

TEST_F(AnnotationsTest, EachSegmentSaysThemAgain) {
  segment_bytes_ = 8192;
  make_store();
  auto account = open();
  must(account->annotate(inbox(account), {{"/private/a", "1"}, {"/private/b", "2"}}));
  must(account->annotate(inbox(account), {{"/private/b", {}}}));
  for (int i = 0; i < 40; i++)
    must(account->append(inbox(account), messages({std::string(1000, 'm')})));
  account.reset();
  stop();
  ASSERT_TRUE(fs::exists(dir() / "journal" / "00000003"));
  fs::remove(dir() / "journal" / "00000001");
  lose_index();
  make_store();
  account = open();
  EXPECT_EQ(of(account, "INBOX"), "/private/a=1");
  sound_at_end_ = false;  // a segment is missing
}

TEST_F(AnnotationsTest, ALostRecordCostsNoAnnotation) {
  auto account = open();
  must(account->annotate(inbox(account), {{"/private/a", "first"}, {"/private/b", "2"}}));
  must(account->annotate(inbox(account), {{"/private/b", {}}}));
  account.reset();
  crash();
  const auto path = dir() / "journal" / "00000001";
  const std::string sound = slurp(path);
  const size_t first = sound.find("first"), second = sound.find("first", first + 1);
  ASSERT_NE(second, sound.npos) << "it is said again";
  for (const size_t at : {first, second}) {
    std::string bytes = sound;
    for (size_t i = 0; i < 5; i++) bytes[at + i] = '?';
    spew(path, bytes);
    lose_index();
    fs::remove_all(dir() / "quarantine");
    make_store();
    account = open();
    EXPECT_EQ(of(account, "INBOX"), "/private/a=first");
    account.reset();
    crash();
  }
  spew(path, sound);
  make_store();
}

// What the index alone knows is written into the journal.
TEST_F(AnnotationsTest, TheIndexKnowsThoseOfALostSegment) {
  auto account = open();
  must(account->annotate(inbox(account), {{"/private/a", "1"}}));
  must(account->annotate(MailboxId(), {{"/private/b", "2"}}));
  account.reset();
  stop();
  fs::resize_file(dir() / "journal" / "00000001", 0);
  make_store();
  account = open();
  EXPECT_EQ(of(account, "INBOX"), "/private/a=1");
  EXPECT_EQ(text(account->annotations(MailboxId())), "/private/b=2");
  account.reset();
  stop();
  lose_index();
  fs::remove_all(dir() / "quarantine");
  make_store();
  account = open();
  EXPECT_EQ(of(account, "INBOX"), "/private/a=1");
  EXPECT_EQ(text(account->annotations(MailboxId())), "/private/b=2");
  sound_at_end_ = false;  // a segment is damaged
}

}  // namespace
}  // namespace rims::store
