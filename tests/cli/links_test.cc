// tests/cli/links_test.cc - files of other programs: a link that somebody planted leads nowhere

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "cli/formats/files.h"
#include "cli/formats/maildir.h"

namespace rims::cli {
namespace {

namespace fs = std::filesystem;

class LinksTest : public testing::Test {
 protected:
  LinksTest() {
    char name[] = "/tmp/rims-links-test-XXXXXX";
    top = fs::canonical(mkdtemp(name));
    fs::create_directories(top + "/secret/cur");
    fs::create_directories(top + "/mail/cur");
    std::ofstream(top + "/secret/cur/1.x:2,S") << "Subject: secret\n\n";
    std::ofstream(top + "/mail/cur/1.y:2,S") << "Subject: mine\n\n";
  }
  ~LinksTest() override { fs::remove_all(top); }
  std::vector<std::string> untaken;
  Remarks remarks{
      .not_taken = [this](const std::string& what,
                          const std::string& why) { untaken.push_back(what + ": " + why); },
      .note = [](const std::string&, const std::string&) {}};
  std::string top;
};

TEST_F(LinksTest, TheWayThatWasNamedMayHaveLinks) {
  fs::create_symlink(top + "/mail", top + "/way");
  EXPECT_EQ(real_path(top + "/way/cur/"), top + "/mail/cur");
  EXPECT_EQ(real_path(top + "/way/new/deep"), top + "/mail/new/deep");
  EXPECT_EQ(real_path("/"), "/");
  EXPECT_EQ(real_path("/nowhere"), "/nowhere");
}

TEST_F(LinksTest, AFolderThatIsALinkIsToldAndNotTaken) {
  fs::create_symlink(top + "/secret", top + "/mail/.Work");
  const auto source = open_maildir(top + "/mail");
  ASSERT_TRUE(source);
  const auto found = (*source)->mailboxes(remarks);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().name, "INBOX");
  ASSERT_EQ(untaken.size(), 1U);
  EXPECT_TRUE(untaken[0].contains("/.Work: a symbolic link")) << untaken[0];
}

TEST_F(LinksTest, ALinkThatComesLaterIsNotFollowed) {
  fs::create_directories(top + "/mail/.Work/cur");
  const auto source = open_maildir(top + "/mail");
  const auto found = (*source)->mailboxes(remarks);
  ASSERT_EQ(found->size(), 2U);
  fs::remove_all(top + "/mail/.Work");
  fs::create_symlink(top + "/secret", top + "/mail/.Work");
  const auto messages = (*source)->messages((*found)[1], remarks);
  EXPECT_TRUE(!messages || messages->empty());

  const auto inbox = (*source)->messages((*found)[0], remarks);
  ASSERT_EQ(inbox->size(), 1U);
  fs::remove_all(top + "/mail/cur");
  fs::create_symlink(top + "/secret/cur", top + "/mail/cur");
  fs::rename(top + "/secret/cur/1.x:2,S", top + "/secret/cur/1.y:2,S");
  const auto bytes = (*source)->read((*found)[0], inbox->front());
  ASSERT_FALSE(bytes);
  EXPECT_TRUE(bytes.error().detail().contains("symbolic link")) << bytes.error().detail();
}

TEST_F(LinksTest, NothingIsWrittenThroughOne) {
  fs::create_directories(top + "/out");
  fs::create_symlink(top + "/secret", top + "/out/.Work");
  EXPECT_FALSE(MaildirWriter::open(top + "/out", "Work", 1, {}));
  EXPECT_FALSE(make_directories(top + "/out/.Work/new"));
  EXPECT_FALSE(write_file(top + "/out/.Work/a", top + "/out/a", "x"));
  EXPECT_FALSE(create_file(top + "/out/.Work/a"));
  EXPECT_FALSE(rename_file(top + "/mail/cur/1.y:2,S", top + "/out/.Work/a"));
  EXPECT_FALSE(sync_files(top + "/out/.Work"));
  remove_file(top + "/out/.Work/cur/1.x:2,S");
  EXPECT_TRUE(fs::exists(top + "/secret/cur/1.x:2,S"));
  EXPECT_FALSE(fs::exists(top + "/secret/new"));
  EXPECT_FALSE(fs::exists(top + "/secret/a"));
}

}  // namespace
}  // namespace rims::cli
