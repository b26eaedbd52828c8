// Trees of mbox files, as other programs leave them.

#include "cli/formats/mbox_files.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "common/mail/types.h"

namespace rims::cli {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

class MboxFilesTest : public testing::Test {
 protected:
  MboxFilesTest() {
    char name[] = "/tmp/rims-mbox-test-XXXXXX";
    top = fs::canonical(mkdtemp(name));
  }
  ~MboxFilesTest() override { fs::remove_all(top); }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories(fs::path(top + "/" + name).parent_path());
    std::ofstream(top + "/" + name) << text;
  }
  Strings list() {
    Strings names;
    source = *open_mbox(top, "INBOX", MboxQuoting::mboxrd);
    mailboxes = (*source).mailboxes(remarks).value();
    for (const auto& mailbox : mailboxes) names.push_back(mailbox.name);
    std::ranges::sort(names);
    return names;
  }
  std::vector<FoundMessage> messages(const std::string& name) {
    const auto mailbox = std::ranges::find(mailboxes, name, &FoundMailbox::name);
    return (*source).messages(*mailbox, remarks).value();
  }

  std::string top;
  std::unique_ptr<MailSource> source;
  std::vector<FoundMailbox> mailboxes;
  Strings notes, untaken;
  Remarks remarks{.not_taken = [this](const std::string& w,
                                      const std::string& r) { untaken.push_back(w + ": " + r); },
                  .note = [this](const std::string& w,
                                 const std::string& r) { notes.push_back(w + ": " + r); }};
};

const std::string kMail = "From a@b Sat Jan  3 01:05:34 2026\nSubject: x\n\ny\n\n";

TEST_F(MboxFilesTest, NamesOfFilesAreReadInModifiedUtf7AndUtf8) {
  write("&AOQ-b", kMail);
  write("&AOQ-.sbd/R&D", kMail);
  write("\u00e4/c", kMail);
  write("INBOX", kMail);
  write("INBOX.msf", "// <!-- <mdb:mork:z v=\"1.4\"/> -->");
  write("msgFilterRules.dat", "version=\"9\"");
  write("note", "text");
  write(".subscriptions", "V\t2\n\nINBOX\n&AOQ-b\n&AOQ-\tR&-D\n");
  EXPECT_EQ(list(), (Strings{"INBOX", "\u00e4/R&D", "\u00e4/c", "\u00e4b"}));
  ASSERT_EQ(untaken.size(), 1U);
  EXPECT_TRUE(untaken[0].contains("/note: not an mbox file")) << untaken[0];
  EXPECT_EQ(source->subscriptions(remarks), (Strings{"INBOX", "\u00e4b", "\u00e4/R&D"}));
}

TEST_F(MboxFilesTest, ADateThatTheSeparatorLacksIsTakenFromTheMessageAndTold) {
  write("INBOX", kMail +
                     "From a@b\nSubject: x\nDate: Fri, 2 Jan 2015 01:02:03 +0100\n\ny\n\n"
                     "From a@b\nSubject: x\nX-Y: z\n\ny\n");
  list();
  const auto found = messages("INBOX");
  ASSERT_EQ(found.size(), 3U);
  struct stat st{};
  ASSERT_EQ(stat((top + "/INBOX").c_str(), &st), 0);
  EXPECT_EQ(found[0].date, 1'767'402'334);
  EXPECT_EQ(found[1].date, 1'420'156'923);
  EXPECT_EQ(found[1].zone, 60);
  EXPECT_EQ(found[2].date, st.st_mtim.tv_sec);
  EXPECT_EQ(notes,
            (Strings{top + "/INBOX: 1 messages have no date in their From line; the Date field "
                           "is taken",
                     top + "/INBOX: 1 messages have no date in their From line; the time of "
                           "the file is taken"}));
}

TEST_F(MboxFilesTest, WhatThunderbirdHasDeletedIsDeletedAndTold) {
  write("Inbox",
        "From - Sat Jan  3 01:05:34 2026\nX-Mozilla-Status: 0009\nSubject: x\n\ny\n\n" + kMail);
  list();
  const auto found = messages("INBOX");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].flags, store::kSeen | store::kDeleted);
  EXPECT_EQ(found[1].flags, 0);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_TRUE(notes[0].contains("1 messages that Thunderbird has deleted")) << notes[0];
}

TEST_F(MboxFilesTest, UidsThatASenderMayHaveWrittenUseUpNone) {
  const std::string head = "From a@b Sat Jan  3 01:05:34 2026\n";
  write("a", head + "X-IMAPbase: 7 4294967290\nX-UID: 1\n\ny\n\n");
  write("b", head + "X-IMAPbase: 7 9\nX-UID: 1\n\ny\n\n" + head + "X-UID: 4294967290\n\nz\n\n");
  write("c", head + "X-IMAPbase: 7 9\nX-UID: 1\n\ny\n\n" + head + "X-UID: 9\n\nz\n\n");
  list();
  EXPECT_EQ(mailboxes[0].uidvalidity, 0U);
  EXPECT_EQ(mailboxes[1].uidnext, 10U);
  EXPECT_EQ(messages("b")[1].uid, 0U);
  EXPECT_EQ(messages("c")[1].uid, 9U);
}

}  // namespace
}  // namespace rims::cli
