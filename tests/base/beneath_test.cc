// tests/base/beneath_test.cc - paths that lead out of their directory, and links on the way

#include "common/base/beneath.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/stat.h>

#include <gtest/gtest.h>

namespace rims {
namespace {

namespace fs = std::filesystem;

class Beneath : public testing::Test {
 protected:
  Beneath() {
    char name[] = "/tmp/rims_beneath_XXXXXX";
    top_ = mkdtemp(name);
    fs::create_directories(top_ + "/in/a/b");
    dir_ = Fd(open((top_ + "/in").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (const char* file : {"/out", "/in/file", "/in/a/b/file"}) make(top_ + file);
    fs::create_symlink("file", top_ + "/in/link");
    fs::create_symlink(top_ + "/out", top_ + "/in/out");
    fs::create_symlink("a", top_ + "/in/to_a");
    fs::create_symlink("nowhere", top_ + "/in/dangling");
  }
  ~Beneath() override { fs::remove_all(top_); }
  static void make(const std::string& path) {
    EXPECT_TRUE(Fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)));
  }
  int error(const char* path, int flags = O_RDONLY) const {
    errno = 0;
    const Fd fd = open_beneath(dir_.get(), path, flags, 0600);
    if (!fd) return errno;
    EXPECT_NE(fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0) << path;
    return 0;
  }
  std::string top_;
  Fd dir_;
};

TEST_F(Beneath, OpensWhatIsThere) {
  for (const char* path : {"file", "a/b/file", "./file", "a//b/./file", "a", "a/", ".", "a/b"})
    EXPECT_EQ(error(path), 0) << path;
  EXPECT_EQ(error("a/b", O_RDONLY | O_DIRECTORY), 0);
}

TEST_F(Beneath, MakesAFileWithItsMode) {
  EXPECT_EQ(error("a/b/new", O_WRONLY | O_CREAT | O_EXCL), 0);
  struct stat st{};
  ASSERT_EQ(stat((top_ + "/in/a/b/new").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_EQ(error("a/b/new", O_WRONLY | O_CREAT | O_EXCL), EEXIST);
}

TEST_F(Beneath, NeverLeavesTheDirectory) {
  for (const char* path : {"..", "../out", "a/../file", "a/b/../../../out", "/etc/passwd"})
    EXPECT_EQ(error(path), EXDEV) << path;
}

TEST_F(Beneath, FollowsNoLink) {
  for (const char* path : {"link", "out", "to_a/b/file", "dangling"})
    EXPECT_EQ(error(path), ELOOP) << path;
  EXPECT_EQ(error("to_a", O_RDONLY | O_DIRECTORY), ELOOP);
  EXPECT_EQ(error("to_a/"), ELOOP);
  EXPECT_EQ(error("dangling", O_WRONLY | O_CREAT), ELOOP);
  EXPECT_FALSE(fs::exists(top_ + "/in/nowhere"));
}

TEST_F(Beneath, SaysWhatIsWrong) {
  EXPECT_EQ(error(""), ENOENT);
  EXPECT_EQ(error("no/file"), ENOENT);
  EXPECT_EQ(error("file/more"), ENOTDIR);
  EXPECT_EQ(error("file/"), ENOTDIR);
  EXPECT_EQ(error("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
}

}  // namespace
}  // namespace rims
