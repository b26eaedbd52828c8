// The files in which sdbox and mdbox keep messages, made here. tests/system/dbox_test.py reads
// those of a real Dovecot.

#include "cli/formats/dbox_files.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cli/formats/dbox.h"

namespace rims::cli {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using Strings = std::vector<std::string>;

const std::string kFileHeader = "2 M1e C6b0c9c6f\n";

std::string message(const std::string& text, const std::string& known) {
  return fmt::format("\x01\x02N{:10}{:016x}\n{}\n\x01\x03\n{}\n", "", text.size(), text, known);
}

TEST(Dbox, HeadersAndWhatIsKnownOfAMessage) {
  const auto file = parse_dbox_file_header(kFileHeader + "more");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->size, kFileHeader.size());
  EXPECT_EQ(file->message_header, 30U);
  const std::string one = message("text\n", "R6b0c9c6f\nV6\nG0123\nBA/b c\nZ1f3\nPx\n");
  const auto size = parse_dbox_message_header(one.substr(0, 30));
  ASSERT_TRUE(size);
  EXPECT_EQ(*size, 5U);
  const auto data = parse_dbox_metadata(one.substr(35) + "behind");
  ASSERT_TRUE(data);
  EXPECT_EQ(data->received, 0x6b0c9c6f);
  EXPECT_EQ(data->guid, "0123");
  EXPECT_EQ(data->mailbox, "A/b c");
  EXPECT_EQ(data->plain_size, 0x1f3U);
  EXPECT_FALSE(data->external);
  EXPECT_EQ(data->size, one.size() - 35);
  EXPECT_TRUE(parse_dbox_metadata("\n\x01\x03\nX0 12 B76 a\n\n")->external);
}

TEST(Dbox, OtherVersionsAndDamageAreRefused) {
  const auto old = parse_dbox_file_header("1 M1e C6b0c9c6f\n");
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().fault(), Fault::refused);
  EXPECT_EQ(old.error().detail(), "it has version 1 of the format, and only 2 is known");
  for (const char* text : {"", "\n", "2", "2 M1e", "2\n", "2 C1\n", "2 M1\n", "2 Mffff\n", "2 M\n",
                           "2 Mxy\n", "From x\n", "2 M-1e\n"})
    EXPECT_FALSE(parse_dbox_file_header(text)) << text;
  const std::string good = message("", "").substr(0, 30);
  ASSERT_TRUE(parse_dbox_message_header(good));
  for (size_t size = 0; size < good.size(); size++)
    EXPECT_FALSE(parse_dbox_message_header(good.substr(0, size))) << size;
  for (const size_t at : {0, 1, 2, 13, 28, 29}) {
    std::string bad = good;
    bad[at] = '-';
    EXPECT_FALSE(parse_dbox_message_header(bad)) << at;
  }
  const std::string data = "\n\x01\x03\nR1\nG2\n\n";
  ASSERT_TRUE(parse_dbox_metadata(data));
  for (size_t size = 0; size < data.size(); size++)
    EXPECT_FALSE(parse_dbox_metadata(data.substr(0, size))) << size;
}

TEST(Dbox, TheNameInTheIndexIsTheGuidOrAHashOfIt) {
  EXPECT_EQ(index_names("56C9dc256f9c0c6b424f000083ecc375"),
            Strings{"56c9dc256f9c0c6b424f000083ecc375"});
  // sha1("abc") = a9993e36 4706816a ba3e2571 7850c26c 9cd0d89d
  EXPECT_EQ(index_names("abc"),
            (Strings{"4706816aba3e25717850c26c9cd0d89d", "a9993e364706816aba3e25717850c26c"}));
  EXPECT_EQ(index_names(""), Strings());
}

class DboxFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/rims_dbox_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    remarks_.not_taken = [this](const std::string& where, const std::string& reason) {
      not_taken_.push_back(where.substr(std::min(root_.size(), where.size())) + ": " + reason);
    };
    remarks_.note = [this](const std::string& where, const std::string& what) {
      notes_.push_back(where.substr(root_.size()) + ": " + what);
    };
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& bytes) const {
    fs::create_directories(fs::path(root_ + "/" + path).parent_path());
    std::ofstream(root_ + "/" + path, std::ios::binary) << bytes;
  }
  // "mailbox key date text" of each.
  Strings take(DboxKind kind) {
    auto source = open_dbox(kind, root_, "");
    if (!source) return {source.error().detail()};
    auto mailboxes = (*source)->mailboxes(remarks_);
    if (!mailboxes) return {mailboxes.error().detail()};
    Strings taken;
    for (const auto& mailbox : *mailboxes) {
      const auto messages = (*source)->messages(mailbox, remarks_);
      if (!messages) return {messages.error().detail()};
      for (const auto& m : *messages) {
        const auto text = (*source)->read(mailbox, m);
        if (text)
          taken.push_back(fmt::format("{} {} {} {}", mailbox.name, m.key, m.date, *text));
        else
          not_taken_.push_back(m.where.substr(root_.size()) + ": " + text.error().detail());
      }
    }
    return taken;
  }

  std::string root_;
  Remarks remarks_;
  Strings not_taken_, notes_;
};

TEST_F(DboxFilesTest, WithoutIndexesTheFilesOfSdboxAreTaken) {
  write("mailboxes/INBOX/dbox-Mails/u.10", kFileHeader + message("A: ten\n\n", "Ra\n"));
  write("mailboxes/INBOX/dbox-Mails/u.9", kFileHeader + message("A: nine\n\n", "R9\n"));
  write("mailboxes/INBOX/dbox-Mails/u.x", "no message");
  write("mailboxes/&ANw-/sub/dbox-Mails/u.1", kFileHeader + message("A: one\n\n", "R1\n"));
  EXPECT_EQ(take(DboxKind::sdbox),
            (Strings{"Ü/sub u.1 1 A: one\r\n\r\n", "INBOX u.9 9 A: nine\r\n\r\n",
                     "INBOX u.10 10 A: ten\r\n\r\n"}));
  ASSERT_EQ(not_taken_.size(), 2U);
  EXPECT_TRUE(
      not_taken_[1].starts_with("/mailboxes/INBOX/dbox-Mails: there is no index; its "
                                "messages are taken without flags and keywords"))
      << not_taken_[1];
}

TEST_F(DboxFilesTest, WithoutIndexesMdboxKnowsWhereMessagesWereFirst) {
  write("storage/m.1", kFileHeader + message("A: 1\n\n", "R1\nGa\nBINBOX\n") +
                           message("A: 2\n\n", "R2\nGb\nBWork/2026\n"));
  // A message that was being moved is in both files.
  write("storage/m.2", kFileHeader + message("A: 2\n\n", "R2\nGb\nBWork/2026\n") +
                           message("A: 3\n\n", "R3\nGc\nBINBOX\n"));
  EXPECT_EQ(take(DboxKind::mdbox),
            (Strings{"INBOX guid a 1 A: 1\r\n\r\n", "INBOX guid c 3 A: 3\r\n\r\n",
                     "Work/2026 guid b 2 A: 2\r\n\r\n"}));
  EXPECT_EQ(not_taken_.size(), 3U);
}

TEST_F(DboxFilesTest, DamageInOneRecordCostsThatRecord) {
  const std::string first = message("A: 1\n\n", "R1\nGa\n"),
                    third = message("A: 3\n\n", "R3\nGc\n");
  const std::string second = message("A: 2\n\n", "R2\nGb\n");
  // One byte of the header, or of what is behind the message.
  for (const size_t at : {size_t{0}, size_t{1}, size_t{2}, size_t{20}, size_t{28}, size_t{29},
                          size_t{37}, size_t{38}}) {
    std::string bad = second;
    bad[at] = 'x';
    write("storage/m.1", kFileHeader + first + bad + third);
    not_taken_.clear();
    EXPECT_EQ(take(DboxKind::mdbox),
              (Strings{"INBOX guid a 1 A: 1\r\n\r\n", "INBOX guid c 3 A: 3\r\n\r\n"}))
        << at;
    ASSERT_EQ(not_taken_.size(), 3U) << at;
    EXPECT_TRUE(not_taken_[1].starts_with(
        fmt::format("/storage/m.1 at offset {}: ", kFileHeader.size() + first.size())))
        << not_taken_[1];
  }
}

TEST_F(DboxFilesTest, AFileMayEndAnywhere) {
  const std::string whole =
      kFileHeader + message("A: 1\n\n", "R1\nGa\n") + message("A: 2\n\n", "R2\nGb\n");
  const size_t first = whole.size() - message("A: 2\n\n", "R2\nGb\n").size();
  for (size_t size = 0; size < whole.size(); size++) {
    write("storage/m.1", whole.substr(0, size));
    not_taken_.clear();
    const auto taken = take(DboxKind::mdbox);
    EXPECT_EQ(taken.size(), size >= first ? 1U : 0U) << size;
    if (size > kFileHeader.size() && size != first) EXPECT_GE(not_taken_.size(), 2U) << size;
  }
}

TEST_F(DboxFilesTest, CompressedEncryptedAndDividedMessages) {
  // gzip of nothing that is whole; the same bytes as a message of that size are a message.
  const std::string packed = "\x1f\x8b\x08 not really";
  write("mailboxes/INBOX/dbox-Mails/u.1", kFileHeader + message(packed, "R1\n"));
  write("mailboxes/INBOX/dbox-Mails/u.2", kFileHeader + message(packed, "R1\nZ999\n"));
  write("mailboxes/INBOX/dbox-Mails/u.3",
        kFileHeader + message("CRYPTED\x03\x07 and more", "R1\nZ9\n"));
  write("mailboxes/INBOX/dbox-Mails/u.4", kFileHeader + message("A: b\n\n", "R1\nX0 5 - a\n"));
  EXPECT_EQ(take(DboxKind::sdbox), Strings{"INBOX u.1 1 " + packed});
  ASSERT_EQ(not_taken_.size(), 4U);
  EXPECT_TRUE(not_taken_[1].contains("it is compressed (gzip), but")) << not_taken_[1];
  EXPECT_TRUE(not_taken_[2].contains("it is encrypted")) << not_taken_[2];
  EXPECT_TRUE(not_taken_[3].contains("its attachments are kept outside")) << not_taken_[3];
}

TEST_F(DboxFilesTest, ANameThatOnlyDovecotKnowsIsSaid) {
  const std::string guid = "56c9dc256f9c0c6b424f000083ecc375";
  write("mailboxes/" + guid + "/dbox-Mails/u.1", kFileHeader + message("A: 1\n\n", "R1\n"));
  EXPECT_EQ(take(DboxKind::sdbox), Strings{guid + " u.1 1 A: 1\r\n\r\n"});
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_TRUE(notes_[0].contains("LAYOUT=index")) << notes_[0];
}

TEST_F(DboxFilesTest, NoLinkIsFollowed) {
  write("mailboxes/INBOX/dbox-Mails/u.1", kFileHeader + message("A: 1\n\n", "R1\n"));
  write("elsewhere", kFileHeader + message("A: secret\n\n", "R1\n"));
  fs::create_symlink(root_ + "/elsewhere", root_ + "/mailboxes/INBOX/dbox-Mails/u.2");
  fs::create_directory_symlink(root_ + "/mailboxes/INBOX", root_ + "/mailboxes/Other");
  EXPECT_EQ(take(DboxKind::sdbox), Strings{"INBOX u.1 1 A: 1\r\n\r\n"});
  ASSERT_EQ(not_taken_.size(), 3U);
  EXPECT_EQ(not_taken_[1], "/mailboxes/Other: a symbolic link; import its target separately");
  EXPECT_TRUE(not_taken_[2].contains("symbolic link")) << not_taken_[2];
}

TEST_F(DboxFilesTest, WhatIsNotThereOrOfTheOtherKindIsSaid) {
  EXPECT_FALSE(is_dbox(root_));
  EXPECT_EQ(take(DboxKind::sdbox),
            Strings{root_ + ": neither sdbox nor mdbox is here (the directory `mailboxes` is "
                            "missing)"});
  write("mailboxes/x", "");
  EXPECT_TRUE(is_dbox(root_));
  EXPECT_EQ(take(DboxKind::mdbox), Strings{root_ + ": this is sdbox: say --from sdbox"});
  write("storage/x", "");
  EXPECT_EQ(take(DboxKind::sdbox), Strings{root_ + ": this is mdbox: say --from mdbox"});
  const auto missing = open_dbox(DboxKind::mdbox, root_, root_ + "/alt");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().detail(), root_ + "/alt: No such file or directory");
}

}  // namespace
}  // namespace rims::cli
