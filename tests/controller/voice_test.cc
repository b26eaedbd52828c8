// tests/controller/voice_test.cc - lines of a process that may be in anybody's hands

#include "controller/voice.h"

#include <fcntl.h>
#include <optional>
#include <string>
#include <tuple>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

namespace rims::controller {
namespace {

using std::chrono::seconds;
using Time = std::chrono::steady_clock::time_point;
using log::Level;

class VoiceTest : public testing::Test {
 protected:
  VoiceTest() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
    speaker_ = Fd(ends[1]);
    voice_.emplace(Fd(ends[0]), "rims-imapd", "rims-imapd 1 (process 7)",
                   [this](Level level, std::string_view text, bool known) {
                     heard_.emplace_back(level, std::string(text), known);
                   });
  }
  void say(const std::string& text) {
    ASSERT_EQ(write(speaker_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  using Line = std::tuple<Level, std::string, bool>;
  Fd speaker_;
  std::optional<Voice> voice_;
  std::vector<Line> heard_;
  Time now_{seconds(1000)};
};

TEST_F(VoiceTest, PassesOnLinesWithTheirLevel) {
  say("rims-imapd: ERROR no ro");
  EXPECT_TRUE(voice_->hear(now_));
  EXPECT_TRUE(heard_.empty()) << "half a line";
  say("om\nrims-imapd: FATAL the end\n\nrims-login: ERROR forged\nfree(): invalid pointer");
  EXPECT_TRUE(voice_->hear(now_));
  speaker_.reset();
  EXPECT_FALSE(voice_->hear(now_));
  const std::string who = "rims-imapd 1 (process 7): ";
  EXPECT_EQ(heard_, (std::vector<Line>{{Level::error, who + "no room", true},
                                       {Level::fatal, who + "the end", true},
                                       {Level::error, who + "rims-login: ERROR forged", false},
                                       {Level::error, who + "free(): invalid pointer", false}}));
}

TEST_F(VoiceTest, PassesOnSoManyLinesAndCountsTheRest) {
  for (int i = 0; i < 100; i++) say("x\n");
  voice_->hear(now_);
  EXPECT_EQ(heard_.size(), Voice::kMost);
  voice_->hear(now_ + Voice::kPeriod - seconds(1));
  heard_.clear();
  say("later\n");
  voice_->hear(now_ + Voice::kPeriod);
  ASSERT_EQ(heard_.size(), 2U);
  EXPECT_EQ(std::get<1>(heard_[0]), "rims-imapd 1 (process 7): 70 lines more were not shown");
  EXPECT_EQ(std::get<1>(heard_[1]), "rims-imapd 1 (process 7): later");
}

TEST_F(VoiceTest, KeepsNoLineThatNeverEnds) {
  for (int i = 0; i < 20; i++) {
    say(std::string(60'000, 'x'));
    voice_->hear(now_);
  }
  EXPECT_EQ(heard_.size(), Voice::kMost);
  for (const auto& line : heard_) EXPECT_LT(std::get<1>(line).size(), 10'000U);
}

}  // namespace
}  // namespace rims::controller
