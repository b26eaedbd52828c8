// tests/log/log_test.cc - rotation by count, size and period; hostile text; a full disk

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "log/line.h"
#include "log/rotating_file.h"

namespace rims::logger {
namespace {

namespace fs = std::filesystem;
using config::ShiftAge;

time_t at(int year, int month, int day, int hour = 12, int minute = 0) {
  tm t{};
  t.tm_year = year - 1900;
  t.tm_mon = month - 1;
  t.tm_mday = day;
  t.tm_hour = hour;
  t.tm_min = minute;
  t.tm_isdst = -1;
  return mktime(&t);
}

Fd open_directory(const std::string& path) {
  return Fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

class LogFile : public testing::Test {
 protected:
  LogFile() {
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
  }
  ~LogFile() override { fs::remove_all(dir_); }

  std::string text(const std::string& suffix = "") const {
    std::ifstream in(path_ + suffix);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
  }
  bool there(const std::string& suffix) const { return fs::exists(path_ + suffix); }
  size_t files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(dir_), fs::directory_iterator()));
  }

  static std::string make_directory() {
    char name[] = "/tmp/rims_log_XXXXXX";
    return mkdtemp(name);
  }

  const std::string dir_ = make_directory(), path_ = dir_ + "/imap.log";
  time_t now_ = at(2026, 11, 21);
  RotatingFile file_{open_directory(dir_), dir_ + "/", [this] { return now_; }};
};

TEST_F(LogFile, KeepsSoManyOldFilesOfSoManyBytes) {
  ASSERT_TRUE(file_.open(path_, {ShiftAge::count, 3, 20}));
  for (char c = 'a'; c <= 'f'; c++) file_.append(std::string(11, c) + "\n");
  EXPECT_EQ(text(), "fffffffffff\n");
  EXPECT_EQ(text(".0"), "eeeeeeeeeee\n");
  EXPECT_EQ(text(".1"), "ddddddddddd\n");
  EXPECT_EQ(text(".2"), "ccccccccccc\n");
  EXPECT_EQ(files(), 4u);
}

TEST_F(LogFile, CountsWhatTheFileHeldAtTheStart) {
  std::ofstream(path_) << std::string(19, 'x') << '\n';
  ASSERT_TRUE(file_.open(path_, {ShiftAge::count, 1, 25}));
  file_.append("new line\n");
  EXPECT_EQ(text(), "new line\n");
  EXPECT_EQ(text(".0").size(), 20u);
}

TEST_F(LogFile, NeverRotatesWithoutACountOrASize) {
  for (const Rotation r : {Rotation{ShiftAge::count, 0, 10}, Rotation{ShiftAge::count, 5, 0}}) {
    ASSERT_TRUE(file_.open(path_, r));
    for (int i = 0; i < 10; i++) file_.append("0123456789\n");
  }
  EXPECT_EQ(files(), 1u);
}

TEST_F(LogFile, ALineLargerThanTheFileStandsAlone) {
  ASSERT_TRUE(file_.open(path_, {ShiftAge::count, 9, 10}));
  file_.append(std::string(50, 'x') + "\n");
  file_.append(std::string(50, 'y') + "\n");
  EXPECT_EQ(files(), 2u);
  EXPECT_EQ(text(), std::string(50, 'y') + "\n");
}

TEST_F(LogFile, EndsADayAtMidnightUnderTheNameOfThatDay) {
  ASSERT_TRUE(file_.open(path_, {ShiftAge::daily, 0, 0}));
  file_.append("on the 21st\n");
  now_ = at(2026, 11, 21, 23, 59);
  file_.append("late\n");
  EXPECT_EQ(files(), 1u);
  now_ = at(2026, 11, 22, 0, 0);
  file_.append("on the 22nd\n");
  EXPECT_EQ(text(".20261121"), "on the 21st\nlate\n");
  EXPECT_EQ(text(), "on the 22nd\n");
}

TEST_F(LogFile, ATakenNameGetsANumber) {
  std::ofstream(path_ + ".20261121") << "older\n";
  ASSERT_TRUE(file_.open(path_, {ShiftAge::daily, 0, 0}));
  file_.append("one\n");
  now_ = at(2026, 11, 22);
  file_.append("two\n");
  EXPECT_EQ(text(".20261121"), "older\n");
  EXPECT_EQ(text(".20261121.1"), "one\n");
}

// The server was off at midnight: the file's own time says which day its lines are of.
TEST_F(LogFile, AnOldFileIsPutAwayAtTheFirstLine) {
  std::ofstream(path_) << "old\n";
  const timespec old[2] = {{.tv_sec = at(2026, 11, 3), .tv_nsec = 0},
                           {.tv_sec = at(2026, 11, 3), .tv_nsec = 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, path_.c_str(), old, 0), 0);
  ASSERT_TRUE(file_.open(path_, {ShiftAge::monthly, 0, 0}));
  file_.append("same month\n");
  EXPECT_EQ(files(), 1u);
  ASSERT_EQ(utimensat(AT_FDCWD, path_.c_str(), old, 0), 0);
  ASSERT_TRUE(file_.open(path_, {ShiftAge::daily, 0, 0}));
  file_.append("new\n");
  EXPECT_EQ(text(".20261103"), "old\nsame month\n");
  EXPECT_EQ(text(), "new\n");
}

TEST(LogPeriod, EndsWhereTheCalendarSaysSo) {
  setenv("TZ", "Europe/Berlin", 1);
  tzset();
  EXPECT_EQ(end_of_period(at(2026, 11, 21), ShiftAge::daily), at(2026, 11, 22, 0));
  EXPECT_EQ(end_of_period(at(2026, 11, 21), ShiftAge::weekly), at(2026, 11, 22, 0));  // Saturday
  EXPECT_EQ(end_of_period(at(2026, 11, 22), ShiftAge::weekly), at(2026, 11, 29, 0));  // Sunday
  EXPECT_EQ(end_of_period(at(2026, 12, 31, 23), ShiftAge::monthly), at(2027, 1, 1, 0));
  EXPECT_EQ(end_of_period(at(2028, 2, 28), ShiftAge::daily), at(2028, 2, 29, 0));
  // The clocks change that night, in both directions.
  EXPECT_EQ(end_of_period(at(2026, 10, 25, 1), ShiftAge::daily), at(2026, 10, 26, 0));
  EXPECT_EQ(end_of_period(at(2026, 3, 29, 1), ShiftAge::daily), at(2026, 3, 30, 0));
}

TEST_F(LogFile, ReopensWhereTheFileWasMovedAway) {
  ASSERT_TRUE(file_.open(path_, {}));
  file_.append("one\n");
  fs::rename(path_, path_ + ".moved");
  file_.append("two\n");
  ASSERT_TRUE(file_.open(path_, {}));
  file_.append("three\n");
  EXPECT_EQ(text(".moved"), "one\ntwo\n");
  EXPECT_EQ(text(), "three\n");
}

TEST_F(LogFile, RefusesLinksAndWhatIsNoFileAndKeepsTheFormerOne) {
  ASSERT_TRUE(file_.open(path_, {}));
  const std::string target = dir_ + "/target";
  std::ofstream(target) << "precious\n";
  fs::create_symlink(target, dir_ + "/link");
  fs::create_hard_link(target, dir_ + "/hard");
  ASSERT_EQ(mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  const int reader = open((dir_ + "/fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  for (const char* name : {"/link", "/hard", "/fifo", "/none/at/all", ""})
    EXPECT_FALSE(file_.open(dir_ + name, {})) << name;
  close(reader);
  file_.append("still here\n");
  EXPECT_EQ(text(), "still here\n");
}

TEST_F(LogFile, TheFileIsNotForOthers) {
  umask(027);
  ASSERT_TRUE(file_.open(path_, {}));
  struct stat st{};
  ASSERT_EQ(stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777u, 0640u);
}

// RLIMIT_FSIZE stands in for a full disk: a write is cut short, then refused.
TEST_F(LogFile, LinesThatFindNoRoomAreCountedAndTheCountIsWritten) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  ASSERT_TRUE(file_.open(path_, {}));
  file_.append("before\n");
  const rlimit full{.rlim_cur = 10, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  file_.append("first\n");  // "fir" fits
  file_.append("second\nthird\n");
  EXPECT_EQ(file_.lost(), 3u);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  file_.append("after\n");
  EXPECT_EQ(file_.lost(), 0u);
  EXPECT_EQ(text(), "before\nfir\n3 lines were lost here: the file could not be written\nafter\n");
}

TEST_F(LogFile, WritesOnWhenTheDirectoryDoesNotLetItRotate) {
  if (geteuid() == 0) GTEST_SKIP() << "root writes everywhere";
  ASSERT_TRUE(file_.open(path_, {ShiftAge::count, 2, 10}));
  file_.append("0123456789\n");
  fs::permissions(dir_, fs::perms::owner_read | fs::perms::owner_exec);
  file_.append("more\n");
  fs::permissions(dir_, fs::perms::owner_all);
  EXPECT_EQ(text(), "0123456789\nmore\n");
  EXPECT_EQ(file_.lost(), 0u);
}

TEST(LogLine, HasTimeLevelProgramPidAndText) {
  setenv("TZ", "Europe/Berlin", 1);
  tzset();
  EXPECT_EQ(format_line({.tv_sec = 1795289110, .tv_nsec = 123456789}, log::Level::info,
                        "rims-imapd", 4711, "s17: logged in"),
            "2026-11-21T20:25:10.123456+01:00 INFO  rims-imapd[4711] s17: logged in\n");
}

// A line break would let a process write lines in the name of another.
TEST(LogLine, IsOneLineWhateverIsInIt) {
  const std::string line = format_line({}, log::Level::error, "rims-login", 1,
                                       "a\nb\r\x1b[2J\x7f\xff 2026 INFO rims-auth[2] fake");
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_NE(line.find("a\\x0ab\\x0d\\x1b[2J\\x7f\\xff"), std::string::npos) << line;
}

}  // namespace
}  // namespace rims::logger
