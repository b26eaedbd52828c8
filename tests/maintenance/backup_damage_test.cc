// tests/maintenance/backup_damage_test.cc - what is damaged, lost or of somebody else, in the
// account or in its backup

#include "tests/maintenance/backup_fixture.h"

namespace rims::store {
namespace {

TEST_F(BackupTest, EveryFlippedBitIsFound) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 8, 700);
  backup();
  size_t flips = 0;
  for (const std::string name : {"manifest.json", "journal/00000001", "journal/00000002"}) {
    const std::string good = slurp(target() / name);
    for (size_t at = 0; at < good.size(); at += 1 + at % 61) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
      spew(target() / name, bad);
      auto checked = verify_backup(target().string(), {});
      EXPECT_TRUE(!checked || !checked->problems.empty()) << name << " at " << at;
      flips++;
    }
    spew(target() / name, good);
  }
  EXPECT_GT(flips, 200U);
  EXPECT_EQ(problems(), std::vector<std::string>());
  fs::remove(target() / "journal/00000001");
  EXPECT_EQ(problems().size(), 1U);
  // A file that was taken away because it is damaged is copied again.
  EXPECT_EQ(backup().notes.size(), 1U);
  EXPECT_EQ(problems(), std::vector<std::string>());
}

TEST_F(BackupTest, DamageInTheSourceIsToldAndTheRestIsCopied) {
  segment_bytes_ = 8192;
  make_store();
  auto account = open();
  add(account, 0, 30);
  std::string bytes = slurp(source() / "journal/00000001");
  bytes[bytes.find("message 2") + 20] ^= 1;
  spew(source() / "journal/00000001", bytes);
  const auto report = backup();
  ASSERT_EQ(report.damages.size(), 1U);
  EXPECT_NE(report.damages[0].find("journal/00000001 at offset"), std::string::npos);
  EXPECT_EQ(report.manifest.end.seq, account->modseq().value);
  auto checked = verify_backup(target().string(), {});
  ASSERT_TRUE(checked);
  EXPECT_EQ(checked->problems, std::vector<std::string>()) << "it is as it was copied";
  EXPECT_EQ(checked->damages.size(), 1U);
  account.reset();
  check_at_end_.clear();
}

// It is made again from the message: `check` does not call that damage either.
TEST_F(BackupTest, ADamagedStructureIsNoLoss) {
  auto account = open();
  add(account, 0, 5);
  account.reset();
  stop();
  std::string bytes = slurp(source() / "journal/00000001");
  const size_t at = bytes.find("structure of ", bytes.find("message 1xxx"));
  ASSERT_NE(at, bytes.npos);
  bytes[at + 3] ^= 1;
  spew(source() / "journal/00000001", bytes);
  make_store();
  EXPECT_EQ(backup().damages, std::vector<std::string>());
  EXPECT_EQ(problems(), std::vector<std::string>());
  bytes[bytes.rfind("message 3xxx") + 2] ^= 1;
  spew(source() / "journal/00000001", bytes);
  fs::remove_all(target());
  EXPECT_EQ(backup().damages.size(), 1U);
  check_at_end_.clear();
}

TEST_F(BackupTest, ASourceThatWentBackGetsANewCopy) {
  auto account = open();
  add(account, 0, 5);
  account.reset();
  reopen();
  stop();
  fs::copy(source(), top_ / "old", fs::copy_options::recursive);
  make_store();
  account = open();
  add(account, 5, 5);
  backup();
  const std::string before = slurp(target() / "journal/00000001");
  account.reset();
  stop();
  fs::remove_all(source());
  fs::copy(top_ / "old", source(), fs::copy_options::recursive);
  make_store();
  account = open();
  add(account, 100, 12);
  const auto report = backup();
  ASSERT_EQ(report.notes.size(), 2U);
  EXPECT_NE(report.notes[0].find("it was set back"), std::string::npos) << report.notes[0];
  EXPECT_NE(report.notes[1].find(".aside-20231114T221320Z"), std::string::npos);
  EXPECT_EQ(slurp(target().string() + ".aside-20231114T221320Z/journal/00000001"), before);
  EXPECT_EQ(list_backups((top_ / "backup").string())->size(), 2U);
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(state_of_backup().difference(snapshot(account)), "");
}

TEST_F(BackupTest, WhatIsNotTheAccountThatWasBackedUpIsPutAside) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 30);
  backup();
  account.reset();
  stop();
  compact(1, {}, true);
  make_store();
  auto report = backup();
  EXPECT_EQ(report.notes.size(), 2U);
  EXPECT_TRUE(first(report.notes).contains("00000001 has other records than its earlier backup"))
      << first(report.notes);
  stop();
  fs::remove_all(source());
  make_store();
  account = open();
  report = backup();
  EXPECT_EQ(report.notes.size(), 2U);
  EXPECT_TRUE(first(report.notes).contains("is another account than the one that was backed up on"))
      << first(report.notes);
  EXPECT_EQ(list_backups((top_ / "backup").string())->size(), 3U);
  EXPECT_EQ(problems(), std::vector<std::string>());
}

TEST_F(BackupTest, ACopyThatIsDamagedIsNotContinued) {
  auto account = open();
  add(account, 0, 5);
  backup();
  std::string bytes = slurp(target() / "journal/00000001");
  bytes[bytes.find("message 2") + 20] ^= 1;
  spew(target() / "journal/00000001", bytes);
  add(account, 5, 1);
  const auto report = backup();
  EXPECT_TRUE(first(report.notes).contains("00000001 was damaged; copied again"));
  EXPECT_EQ(problems(), std::vector<std::string>());
  fs::resize_file(target() / "journal/00000001", 1500);
  EXPECT_TRUE(first(backup().notes).contains("00000001 is missing or too short; copied again"));
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(state_of_backup().difference(snapshot(account)), "");
}

TEST_F(BackupTest, LostSegmentsOfTheAccountAreTold) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 30);
  const auto expected = snapshot(account);
  backup();
  account.reset();
  kill();
  check_at_end_.clear();
  fs::remove(source() / "journal/00000002");
  EXPECT_TRUE(first(backup().damages)
                  .contains("journal/00000002 is missing; the backup keeps its copy of it"));
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(state_of_backup().difference(expected), "");
  fs::remove_all(top_ / "backup");
  std::string bytes = slurp(source() / "journal/00000003");
  bytes.replace(0, kFirstRecord, kFirstRecord, 'x');
  spew(source() / "journal/00000003", bytes);
  EXPECT_TRUE(first(backup().damages).contains("00000003: both headers are damaged; its records"));
}

// A segment is copied by what it says it is, as the next opening of the account would name it.
TEST_F(BackupTest, SegmentsOfAnotherAccountAndWithWrongNamesAreNoneOfTheirs) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 40);
  const auto expected = snapshot(account);
  auto other = open("bar");
  must(other->append(inbox(other), messages({"not foo's"})));
  account.reset();
  other.reset();
  kill();
  store_.reset();
  backup();
  const std::string bar = unique_user_id("bar");
  const fs::path strange = top_ / "mail/mailbox.3" / bar.substr(0, 2) / bar.substr(2) / "journal";
  const fs::path journal = source() / "journal";
  fs::rename(journal / "00000001", journal / "00000050");
  fs::copy(strange / "00000001", journal / "00000001");
  fs::rename(journal / "00000002", journal / "00000060");
  fs::rename(journal / "00000003", journal / "00000002");
  fs::rename(journal / "00000060", journal / "00000003");
  for (const bool again : {true, false}) {
    SCOPED_TRACE(again);
    if (!again) fs::remove_all(top_ / "backup");
    const auto report = backup();
    EXPECT_EQ(report.damages.size(), 1U);
    EXPECT_TRUE(first(report.damages).contains("journal/00000001 belongs to another account: not "))
        << first(report.damages);
    EXPECT_EQ(report.notes, std::vector<std::string>());
    EXPECT_EQ(problems(), std::vector<std::string>());
    EXPECT_EQ(state_of_backup().difference(expected), "");
  }
  fs::remove(journal / "00000001");
  make_store();
}

TEST_F(BackupTest, AJournalThatHasNoSegmentAnyMoreIsNotAnEmptyOne) {
  auto account = open();
  EXPECT_EQ(backup().damages, std::vector<std::string>());
  add(account, 0, 1);
  account.reset();
  stop();
  check_at_end_.clear();
  fs::remove_all(top_ / "backup");
  fs::remove(source() / "journal/00000001");
  EXPECT_TRUE(first(backup().damages).contains("journal has no segment, and there is an index"));
  make_store();
}

// Without an earlier backup, too: what is not there can not be restored.
TEST_F(BackupTest, ABackupThatLacksSegmentsSaysSo) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 40);
  account.reset();
  kill();
  check_at_end_.clear();
  fs::copy(top_ / "mail", top_ / "kept", fs::copy_options::recursive);
  uint64_t first_of[5] = {};
  for (uint32_t n = 1; n <= 4; n++) {
    SegmentHeader header;
    ASSERT_EQ(decode(slurp(source() / ("journal/" + segment_name(n))), header), HeaderState::good);
    first_of[n] = header.first_seq;
  }
  const struct {
    std::vector<uint32_t> lost;
    std::string text;
  } cases[] = {
      {{1}, fmt::format("records before {} are missing: segments before 00000002", first_of[2])},
      {{1, 2}, fmt::format("records before {} are missing: segments before 00000003", first_of[3])},
      {{3},
       fmt::format("records {} to {} are missing: segment 00000003", first_of[3], first_of[4] - 1)},
      {{2, 3},
       fmt::format("records {} to {} are missing: segments 00000002 to 00000003", first_of[2],
                   first_of[4] - 1)},
  };
  for (const auto& [lost, text] : cases) {
    for (const bool emptied : {false, true}) {
      SCOPED_TRACE(text);
      fs::remove_all(top_ / "mail");
      fs::remove_all(top_ / "backup");
      fs::copy(top_ / "kept", top_ / "mail", fs::copy_options::recursive);
      for (const uint32_t n : lost) {
        const auto path = source() / ("journal/" + segment_name(n));
        emptied ? fs::resize_file(path, 0) : static_cast<void>(fs::remove(path));
      }
      // Each run says so, not only the one that copies.
      for (int run = 0; run < 2; run++) {
        const auto damages = backup().damages;
        EXPECT_EQ(damages.size(), 1 + (emptied ? lost.size() : 0));
        EXPECT_NE(damages.back().find(text + ", and the backup has no copy of them; restore them "
                                             "from an earlier backup"),
                  std::string::npos)
            << damages.back();
      }
      const auto told = problems();
      ASSERT_EQ(told.size(), 1U);
      EXPECT_NE(told[0].find(text + ", as in the account when it was copied"), std::string::npos)
          << told[0];
    }
  }
  // A number that was skipped is no loss.
  fs::remove_all(top_ / "mail");
  fs::remove_all(top_ / "backup");
  fs::rename(top_ / "kept", top_ / "mail");
  uint32_t next = 1;
  while (fs::exists(source() / ("journal/" + segment_name(next)))) next++;
  fs::create_directory(source() / ("journal/" + segment_name(next)));
  make_store();
  account = open();
  add(account, 40, 40);
  account.reset();
  kill();
  fs::remove(source() / ("journal/" + segment_name(next)));
  ASSERT_TRUE(fs::exists(source() / ("journal/" + segment_name(next + 1))));
  EXPECT_EQ(backup().damages, std::vector<std::string>());
  EXPECT_EQ(problems(), std::vector<std::string>());
}

}  // namespace
}  // namespace rims::store
