// tests/store/check_test.cc - damage of every kind is found, and named with file and remedy

#include "common/store/check.h"

#include <fmt/format.h>

#include "common/store/inspect.h"
#include "tests/store/file_fixture.h"

namespace rims::store {
namespace {

class CheckTest : public FileTest {
 protected:
  CheckReport check() {
    auto base = open_base(base_);
    auto report = check_account(*base, account_path("foo"), "FOO");
    EXPECT_TRUE(report) << (report ? "" : report.error().detail());
    return *std::move(report);
  }
  std::string found() {
    std::string all;
    for (const auto& f : check().findings) all += (f.damage ? "" : "note ") + to_string(f) + "\n";
    return all;
  }
  fs::path segment(int number) const { return dir() / fmt::format("journal/{:08}", number); }
};

TEST_F(CheckTest, ASoundAccount) {
  segment_bytes_ = 4096;
  make_store();
  const auto state = make_account();
  const auto report = check();
  EXPECT_TRUE(report.sound()) << found();
  EXPECT_TRUE(report.index_checked) << report.index_note;
  EXPECT_EQ(report.last_record, state.seq());
  EXPECT_EQ(report.records, state.seq());
  EXPECT_EQ(report.messages, 22U);
  EXPECT_GT(report.segments, 1U);
  make_store();
  auto account = open();
  must(account->append(inbox(account), messages({"x"})));
  const auto beside = check();
  EXPECT_TRUE(beside.sound());
  EXPECT_FALSE(beside.index_checked);
  EXPECT_NE(beside.index_note.find("open in a server"), std::string::npos);
  account.reset();
  crash();
  const auto after = check();
  EXPECT_TRUE(after.sound());
  EXPECT_NE(after.index_note.find("not closed in order"), std::string::npos);
  make_store();
}

TEST_F(CheckTest, EveryBitOfARecordCounts) {
  auto account = open();
  must(account->append(inbox(account), messages({"hello", "there"})));
  account.reset();
  stop();
  const std::string sound = slurp(segment(1));
  const size_t body = sound.find("structure of hello");
  const size_t end = body + std::string("structure of hellohello").size();
  for (size_t at = body - 96 - 40; at < end; at++) {
    std::string bytes = sound;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    spew(segment(1), bytes);
    fs::permissions(segment(1), fs::perms::owner_read | fs::perms::owner_write);
    ASSERT_FALSE(check().sound()) << at;
  }
  spew(segment(1), sound);
  EXPECT_TRUE(check().sound()) << found();
  make_store();
}

TEST_F(CheckTest, TheIndexMustSayWhatTheJournalSays) {
  make_account();
  for (const auto& name : {"meta.gdbm", "message.gdbm", "mailbox_1.gdbm"}) {
    const std::string sound = slurp(dir() / name);
    fs::remove(dir() / name);
    EXPECT_NE(found().find(std::string("FOO/") + name), std::string::npos) << name << "\n"
                                                                           << found();
    spew(dir() / name, sound);
    fs::permissions(dir() / name, fs::perms::owner_read | fs::perms::owner_write);
  }
  EXPECT_TRUE(check().sound()) << found();
  fs::rename(dir() / "journal", dir() / "aside");
  EXPECT_NE(found().find("journal: is missing"), std::string::npos) << found();
  fs::create_directory(dir() / "journal");
  fs::permissions(dir() / "journal", fs::perms::owner_all);
  EXPECT_NE(found().find("ends with record 0, but the index was made of"), std::string::npos)
      << found();
  fs::remove(dir() / "journal");
  fs::rename(dir() / "aside", dir() / "journal");
  make_store();
}

TEST_F(CheckTest, ModesAndForeignThings) {
  make_account();
  fs::permissions(segment(1), fs::perms::owner_all | fs::perms::others_read);
  EXPECT_NE(found().find("00000001: has mode 0704; chmod 0600 "), std::string::npos) << found();
  fs::permissions(segment(1), fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("/etc/passwd", segment(9));
  EXPECT_NE(found().find("00000009: "), std::string::npos) << found();
  fs::remove(segment(9));
  EXPECT_TRUE(check().sound()) << found();
  make_store();
}

}  // namespace
}  // namespace rims::store
