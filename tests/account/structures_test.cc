// tests/account/structures_test.cc - structures of many messages, from the index and from the
// journal

#include <cstring>
#include <fcntl.h>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/message/blob.h"
#include "common/message/kept_fields.h"
#include "common/message/structure.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

constexpr Wanted kAll{.structure = true, .fields = true};

struct Quiet final : log::Sink {
  void write(log::Level, std::string_view) override {}
};

class StructuresTest : public FileTest {
 protected:
  void SetUp() override {
    log::set_sink(&quiet_);
    quick_ = true;
    FileTest::SetUp();
  }
  void TearDown() override {
    FileTest::TearDown();
    log::set_sink(nullptr);
  }
  static std::string mail(uint64_t n) {
    return fmt::format("Subject: number {}\nFrom: a@example.org\n\nbody of {}\n", n, n);
  }
  static NewMessage with_structure(uint64_t n) {
    NewMessage m = message(mail(n));
    m.structure = message::make_structure(mail(n));
    return m;
  }
  // Messages with ids 1 to `count`, all in INBOX.
  std::shared_ptr<Account> filled(uint64_t count) {
    auto account = open();
    std::vector<NewMessage> list;
    for (uint64_t n = 1; n <= count; n++) list.push_back(with_structure(n));
    must(account->append(inbox(account), std::move(list)));
    return account;
  }
  static std::vector<MessageId> ids(uint64_t first, uint64_t last) {
    std::vector<MessageId> all;
    for (uint64_t n = first; n <= last; n++) all.emplace_back(n);
    return all;
  }
  // What is said of each; "" where nothing is.
  std::vector<std::string> look(const std::shared_ptr<Account>& account,
                                const std::vector<MessageId>& messages, Wanted wanted = kAll) {
    std::vector<std::string> said;
    while (said.size() < messages.size()) {
      const auto some =
          must(account->read_structures(std::span(messages).subspan(said.size()), wanted));
      if (some.size() == 0) {
        ADD_FAILURE() << "no message was answered for";
        break;
      }
      for (size_t i = 0; i < some.size(); i++) {
        const auto structure = message::StructureView::open(some[i].structure);
        const auto fields = message::KeptFields::open(some[i].fields);
        EXPECT_EQ(structure.has_value(), !some[i].structure.empty());
        std::string one = structure ? std::string(structure->envelope()) : "";
        if (fields) one += fields->header();
        said.push_back(one);
      }
    }
    return said;
  }
  std::vector<std::string> expected(uint64_t first, uint64_t last) {
    std::vector<std::string> all;
    for (uint64_t n = first; n <= last; n++) {
      const std::string blob = message::make_structure(mail(n));
      all.emplace_back(message::StructureView::open(blob)->envelope());
      all.back() += fmt::format("Subject: number {}\nFrom: a@example.org\n\n", n);
    }
    return all;
  }
  Quiet quiet_;
  [[nodiscard]] bool kept() const {
    return fs::exists(dir() / "structure_0") && fs::exists(dir() / "fields_0");
  }
  // Whatever is read of the journal from now on is wrong.
  void destroy_journal() const {
    const auto path = dir() / "journal/00000001";
    const auto size = fs::file_size(path);
    fs::resize_file(path, 300);
    fs::resize_file(path, size);
  }
};

TEST_F(StructuresTest, AreTheSameFromTheJournalAndFromTheIndex) {
  auto account = filled(200);
  EXPECT_EQ(look(account, ids(1, 200)), expected(1, 200));
  run(loop_, account->structures_kept());
  ASSERT_TRUE(kept());
  EXPECT_EQ(look(account, ids(1, 200)), expected(1, 200));
  EXPECT_EQ(look(account, ids(5, 5)), expected(5, 5)) << "a single one";
  EXPECT_EQ(look(account, {MessageId(9), MessageId(500), MessageId(0)}),
            (std::vector<std::string>{expected(9, 9)[0], "", ""}));
  // Each column alone.
  for (const auto& one : look(account, ids(1, 100), {.fields = true}))
    EXPECT_TRUE(one.starts_with("Subject:")) << one;
  for (const auto& one : look(account, ids(1, 63), {.structure = true}))
    EXPECT_TRUE(one.starts_with("(NIL")) << one;
}

TEST_F(StructuresTest, AreReadWithoutTheJournalOnceTheyAreKept) {
  sound_at_end_ = false;  // the journal is destroyed for a while
  auto account = filled(130);
  account.reset();
  reopen();
  ASSERT_TRUE(kept()) << "new mail is kept when the account is closed";
  account = open();
  (void)must(account->open_mailbox(inbox(account)));
  const auto before = slurp(dir() / "journal/00000001");
  destroy_journal();
  EXPECT_EQ(look(account, ids(1, 127)), expected(1, 127));
  // The last chunk is not complete.
  EXPECT_EQ(look(account, ids(128, 130)), std::vector<std::string>(3));
  spew(dir() / "journal/00000001", before);
  EXPECT_EQ(look(account, ids(128, 130)), expected(128, 130));
}

TEST_F(StructuresTest, AreKeptAfterAFirstLookWhenTheyWereNot) {
  filled(130).reset();
  reopen();
  for (const char* name : {"structure_0", "fields_0"}) fs::remove(dir() / name);
  auto account = open();
  run(loop_, account->structures_kept());
  EXPECT_FALSE(kept()) << "nobody has asked";
  EXPECT_EQ(look(account, ids(1, 3)), expected(1, 3));
  run(loop_, account->structures_kept());
  EXPECT_FALSE(kept()) << "so few are read from the journal";
  EXPECT_EQ(look(account, ids(1, 100)), expected(1, 100));
  run(loop_, account->structures_kept());
  EXPECT_TRUE(kept());
  destroy_journal();
  EXPECT_EQ(look(account, ids(1, 127)), expected(1, 127));
  check_at_end_.clear();
}

// As a program wrote it that knew no previews.
std::string without_preview(const std::string& blob) {
  const auto view = message::StructureView::open(blob);
  const auto kept = message::KeptFields::open(view->fields());
  const size_t size = sizeof(message::blob::TextHead) + kept->preview()->size();
  std::string old = blob.substr(0, blob.size() - size);
  auto head = message::blob::read<message::blob::Head>(old, 0);
  const size_t at = old.size() + size - head.fields_size;
  head.fields_size -= static_cast<uint32_t>(size);
  std::memcpy(old.data(), &head, sizeof head);
  auto fields = message::blob::read<message::blob::FieldsHead>(old, at);
  fields.texts_size = static_cast<uint16_t>(fields.texts_size - size);
  std::memcpy(old.data() + at, &fields, sizeof fields);
  EXPECT_FALSE(message::KeptFields::open(message::StructureView::open(old)->fields())->preview());
  return old;
}

// Accounts of before, and structures that are damaged: they are made anew from the message.
TEST_F(StructuresTest, AreKeptInTheNewFormWhateverTheRecordHas) {
  auto account = open();
  std::vector<NewMessage> list;
  for (uint64_t n = 1; n <= 64; n++) {
    list.push_back(with_structure(n));
    std::string& blob = list.back().structure;
    if (n % 2 == 0) {
      blob = message::without_fields(blob, *message::StructureView::open(blob));
      blob[offsetof(message::blob::Head, version)] = 1;
    } else if (n % 3 == 0) {
      blob = "not a structure";
    } else if (n % 5 == 0) {
      blob = without_preview(blob);
    }
  }
  must(account->append(inbox(account), std::move(list)));
  EXPECT_TRUE(look(account, ids(2, 2))[0].starts_with("(NIL"));
  run(loop_, account->structures_kept());
  EXPECT_EQ(look(account, ids(1, 63)), expected(1, 63));
}

TEST_F(StructuresTest, OfAMessageWhoseBytesWereFreedAreForgotten) {
  segment_bytes_ = 10'000;
  make_store();
  auto account = filled(100);
  run(loop_, account->structures_kept());
  ASSERT_TRUE(slurp(dir() / "fields_0").contains("number 10\n"));
  std::vector<Uid> dead;
  for (uint32_t uid = 1; uid <= 99; uid++) dead.emplace_back(uid);
  must(account->expunge(inbox(account), dead));
  EXPECT_EQ(look(account, ids(10, 13)), expected(10, 13)) << "they can still be revived";
  run(loop_, account->compact({0, 1000}, now_ + 1));
  EXPECT_FALSE(fs::exists(dir() / "fields_0"));
  EXPECT_FALSE(fs::exists(dir() / "structure_0"));
  EXPECT_EQ(look(account, ids(10, 13)), std::vector<std::string>(4));
  EXPECT_EQ(look(account, ids(100, 100)), expected(100, 100));
  run(loop_, account->structures_kept());
  if (kept()) EXPECT_FALSE(slurp(dir() / "fields_0").contains("number 10\n"));
}

// The journal of another time: what its cache says may be of other messages.
TEST_F(StructuresTest, OfAJournalThatWentBackAreMadeAgain) {
  auto account = filled(10);
  account.reset();
  stop();
  const auto journal = slurp(dir() / "journal/00000001");
  make_store();
  account = open();
  std::vector<NewMessage> list;
  for (uint64_t n = 11; n <= 70; n++) list.push_back(with_structure(1000 + n));
  must(account->append(inbox(account), std::move(list)));
  account.reset();
  stop();
  const auto fields = slurp(dir() / "fields_0");
  const auto structure = slurp(dir() / "structure_0");
  spew(dir() / "journal/00000001", journal);
  for (const char* name : {"meta.gdbm", "message.gdbm", "mailbox_1.gdbm"}) fs::remove(dir() / name);
  make_store();
  account = open();
  list.clear();
  for (uint64_t n = 11; n <= 64; n++) list.push_back(with_structure(n));
  must(account->append(inbox(account), std::move(list)));
  EXPECT_EQ(look(account, ids(1, 63)), expected(1, 63));
}

TEST_F(StructuresTest, OfAnotherAccountAreNotBelieved) {
  filled(70).reset();
  auto other = open("bar");
  std::vector<NewMessage> list;
  for (uint64_t n = 1; n <= 70; n++) list.push_back(with_structure(100 + n));
  must(other->append(inbox(other), std::move(list)));
  other.reset();
  stop();
  for (const char* name : {"structure_0", "fields_0"}) {
    spew(dir() / name, slurp(dir("bar") / name));
  }
  make_store();
  auto account = open();
  EXPECT_EQ(look(account, ids(1, 70)), expected(1, 70));
}

// Any bit of a file, before it is opened and while it is in use.
TEST_F(StructuresTest, WithAFlippedBitAreMadeAgain) {
  filled(70).reset();
  stop();
  const std::string good = slurp(dir() / "fields_0");
  for (size_t at = 0; at < good.size(); at += at < 4200 ? 41 : 401) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
    spew(dir() / "fields_0", bad);
    make_store();
    auto account = open();
    ASSERT_EQ(look(account, ids(1, 63)), expected(1, 63)) << at;
    run(loop_, account->structures_kept());
    ASSERT_EQ(look(account, ids(1, 63)), expected(1, 63)) << at;
    account.reset();
    stop();
  }
  make_store();
}

// The disk fails at each step: answers stay right, and nothing else is wrong.
TEST_F(StructuresTest, AreRightWhateverTheDiskRefuses) {
  filled(70).reset();
  int refused = 0;
  for (int step = 0; step < 10; step++) {
    reopen();
    for (const char* name : {"structure_0", "fields_0"}) fs::remove(dir() / name);
    auto account = open();
    (void)must(account->open_mailbox(inbox(account)));
    int calls = 0;
    disk_.fault = [&](SimDisk::Call) { return calls++ == step ? ENOSPC : 0; };
    EXPECT_EQ(look(account, ids(1, 63)), expected(1, 63))
        << step;  // and keeps them, in the background
    run(loop_, account->structures_kept());
    disk_.fault = nullptr;
    refused += calls > step;
    EXPECT_EQ(look(account, ids(1, 63)), expected(1, 63)) << step;
    EXPECT_FALSE(account->failed());
  }
  EXPECT_GE(refused, 4);
}

}  // namespace
}  // namespace rims::store
