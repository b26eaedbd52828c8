// tests/auth/directory_test.cc - the journal of the users: what is durable, what damage costs, and
// how long 100,000 users take

#include "auth/directory.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <optional>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/base/log.h"

namespace rims::auth {
namespace {

namespace fs = std::filesystem;

struct Lines : log::Sink {
  std::string text;
  void write(log::Level, std::string_view line) override { text += std::string(line) + "\n"; }
};

class DirectoryTest : public ::testing::Test {
 protected:
  DirectoryTest() {
    crypto_init();
    log::set_sink(&lines_);
    char name[] = "/tmp/rims-users-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~DirectoryTest() override {
    directory_.reset();
    log::set_sink(nullptr);
    fs::remove_all(path_);
  }

  Status open(uint64_t segment_bytes = Directory::kSegmentBytes) {
    directory_.reset();
    Fd base(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    directory_ = std::make_unique<Directory>(
        loop_, std::move(base), path_, [this] { return now_; }, segment_bytes);
    return run(loop_, directory_->open());
  }
  static users::User user(uint64_t id, const std::string& name) {
    users::User made;
    made.id = id;
    made.name = name;
    made.hash.value = Secret(std::string(100, 'h'));
    return made;
  }
  static Directory::Plan adding(std::string name) {
    return [name](const users::State& state, uint64_t id) -> Result<Directory::Planned> {
      if (state.find(name)) return fail(Fault::refused, "there is one");
      Directory::Planned planned;
      planned.keys.push_back(name);
      planned.records.push_back(users::encode(user(id, name)));
      return planned;
    };
  }
  Status add(const std::string& name) { return run(loop_, directory_->change(adding(name))); }
  [[nodiscard]] bool has(const std::string& name) const {
    return directory_->state().find(name) != nullptr;
  }
  [[nodiscard]] std::string segment(int number = 1) const {
    return fmt::format("{}/journal/{:08}", path_, number);
  }
  // Changes one byte of the record that has `text`.
  void hurt(const std::string& text) {
    std::fstream file(segment(), std::ios::in | std::ios::out | std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(file)), {});
    const size_t at = bytes.find(text);
    ASSERT_NE(at, std::string::npos);
    // Two bits: one would be mended.
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(bytes[at] ^ 3));
  }

  Lines lines_;
  Loop loop_;
  std::string path_;
  uint64_t now_ = 1'700'000'000;
  std::unique_ptr<Directory> directory_;
};

TEST_F(DirectoryTest, WhatWasAddedIsThereAfterTheNextOpening) {
  ASSERT_TRUE(open());
  EXPECT_TRUE(directory_->known());
  EXPECT_TRUE(add("foo"));
  EXPECT_TRUE(add("bar"));
  EXPECT_FALSE(add("foo"));
  EXPECT_TRUE(has("foo"));
  ASSERT_TRUE(open());
  EXPECT_TRUE(has("foo"));
  EXPECT_TRUE(has("bar"));
  EXPECT_EQ(directory_->state().size(), 2u);
  EXPECT_TRUE(add("baz"));
  EXPECT_EQ(directory_->state().find("baz")->id, 3u) << "numbers go on";
}

TEST_F(DirectoryTest, OnlyOneProcessHasIt) {
  ASSERT_TRUE(open());
  Directory other(loop_, Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), path_,
                  [] { return uint64_t{1}; });
  EXPECT_FALSE(run(loop_, other.open()));
  EXPECT_FALSE(other.known());
}

// Whoever reads the state sees nothing before the flush, and of two who want a name one gets it.
TEST_F(DirectoryTest, ChangesThatWaitTogetherAreOneWriteAndNeverGetTheSameName) {
  ASSERT_TRUE(open());
  std::vector<Status> outcomes(300);
  std::vector<std::string> names;
  for (size_t i = 0; i < outcomes.size(); i++) names.push_back(fmt::format("u{}", i / 3));
  const auto one = [&](size_t i) -> Task<void> {
    outcomes[i] = co_await directory_->change(adding(names[i]));
  };
  Scope all(loop_);
  for (size_t i = 0; i < outcomes.size(); i++) all.spawn(one(i));
  EXPECT_EQ(directory_->state().size(), 0u);
  run(loop_, all.join());
  EXPECT_EQ(std::ranges::count_if(outcomes, [](const Status& s) { return s.has_value(); }), 100);
  EXPECT_EQ(directory_->state().size(), 100u);
  ASSERT_TRUE(open());
  EXPECT_EQ(directory_->state().size(), 100u);
}

TEST_F(DirectoryTest, DamageCostsOneUserAndIsNamedByFileAndOffset) {
  ASSERT_TRUE(open());
  for (const char* name : {"first-user", "second-user", "third-user"}) ASSERT_TRUE(add(name));
  directory_.reset();
  hurt("second-user");
  lines_.text.clear();
  ASSERT_TRUE(open());
  EXPECT_TRUE(has("first-user"));
  EXPECT_FALSE(has("second-user"));
  EXPECT_TRUE(has("third-user"));
  EXPECT_NE(lines_.text.find("damaged: "), std::string::npos) << lines_.text;
  EXPECT_NE(lines_.text.find("journal/00000001 at offset "), std::string::npos) << lines_.text;
  EXPECT_TRUE(add("fourth-user"));
}

TEST_F(DirectoryTest, ARecordThatIsNoneOfOursCostsItself) {
  ASSERT_TRUE(open());
  ASSERT_TRUE(add("foo"));
  ASSERT_TRUE(run(loop_, directory_->change([](const users::State&, uint64_t) {
    return Result<Directory::Planned>(Directory::Planned{{"x"}, {"rubbish"}});
  })));
  ASSERT_TRUE(add("bar"));
  lines_.text.clear();
  ASSERT_TRUE(open());
  EXPECT_EQ(directory_->state().size(), 2u);
  EXPECT_NE(lines_.text.find("journal/00000001 at offset "), std::string::npos) << lines_.text;
  EXPECT_NE(lines_.text.find("a record that can not be used"), std::string::npos) << lines_.text;
}

TEST_F(DirectoryTest, AnInterruptedWriteIsCutOff) {
  ASSERT_TRUE(open());
  ASSERT_TRUE(add("foo"));
  ASSERT_TRUE(add("last-user"));
  directory_.reset();
  std::ifstream in(segment(), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const size_t end = bytes.find("last-user");
  ASSERT_NE(end, std::string::npos);
  fs::resize_file(segment(), end);
  ASSERT_TRUE(open());
  EXPECT_TRUE(has("foo"));
  EXPECT_FALSE(has("last-user"));
  EXPECT_TRUE(add("last-user"));
  ASSERT_TRUE(open());
  EXPECT_TRUE(has("last-user"));
}

// Each segment begins with a snapshot, so the loss of the others costs nobody.
TEST_F(DirectoryTest, TheLastSegmentAloneHasAllUsers) {
  ASSERT_TRUE(open(20'000));
  for (int i = 0; i < 150; i++) ASSERT_TRUE(add(fmt::format("u{}", i)));
  ASSERT_TRUE(run(loop_, directory_->change([](const users::State& state, uint64_t) {
    return Result<Directory::Planned>(
        Directory::Planned{{"u7"}, {users::encode(users::UserGone{state.find("u7")->id})}});
  })));
  for (int i = 150; i < 300; i++) ASSERT_TRUE(add(fmt::format("u{}", i)));
  directory_.reset();
  ASSERT_TRUE(open(20'000));
  EXPECT_EQ(directory_->state().size(), 299u);
  directory_.reset();
  int last = 1;
  while (fs::exists(segment(last + 1))) last++;
  ASSERT_GT(last, 2);
  for (int i = 1; i < last; i++) fs::remove(segment(i));
  ASSERT_TRUE(open(20'000));
  EXPECT_EQ(directory_->state().size(), 299u);
  EXPECT_FALSE(has("u7"));
}

TEST_F(DirectoryTest, WhatCanNotBeReadIsNotKnownAndReadAtTheNextChange) {
  std::ofstream(path_ + "/journal") << "no directory";
  EXPECT_FALSE(open());
  EXPECT_FALSE(directory_->known());
  EXPECT_FALSE(add("foo"));
  fs::remove(path_ + "/journal");
  EXPECT_TRUE(add("foo"));
  EXPECT_TRUE(directory_->known());
}

// The figures are for people; the bounds are wide, as this runs with sanitizers, too.
TEST_F(DirectoryTest, ManyUsersStartSoonAndAreFoundWithoutAScan) {
  constexpr size_t kUsers = 100'000;
  using Clock = std::chrono::steady_clock;
  const auto ms = [](Clock::time_point since) {
    return std::chrono::duration<double, std::milli>(Clock::now() - since).count();
  };
  ASSERT_TRUE(open());
  for (size_t i = 0; i < kUsers; i += 10'000)
    ASSERT_TRUE(run(loop_, directory_->change([i](const users::State&, uint64_t) {
      Directory::Planned planned;
      for (size_t n = i; n < i + 10'000; n++)
        planned.records.push_back(users::encode(user(n + 1, fmt::format("user{}@example.org", n))));
      return Result<Directory::Planned>(std::move(planned));
    })));
  auto since = Clock::now();
  ASSERT_TRUE(open());
  fmt::print("start with {} users: {:.0f} ms\n", kUsers, ms(since));
  EXPECT_LT(ms(since), 30'000);
  ASSERT_EQ(directory_->state().size(), kUsers);
  since = Clock::now();
  for (int i = 0; i < 100; i++) ASSERT_TRUE(add(fmt::format("new{}", i)));
  fmt::print("one change: {:.2f} ms with its flush\n", ms(since) / 100);
  since = Clock::now();
  size_t found = 0;
  for (size_t i = 0; i < kUsers; i++)
    found += directory_->state().recipient(fmt::format("user{}+x@example.org", i), "+", false) !=
             nullptr;
  fmt::print("a recipient: {:.2f} us\n", ms(since) / 100);
  EXPECT_EQ(found, kUsers);
}

}  // namespace
}  // namespace rims::auth
