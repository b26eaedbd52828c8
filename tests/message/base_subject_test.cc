// tests/message/base_subject_test.cc - RFC 5256 §2.1: what replying and forwarding adds is not the
// subject

#include "common/message/base_subject.h"

#include <ctime>
#include <string>

#include <gtest/gtest.h>

namespace rims::message {
namespace {

struct Case {
  const char* subject;
  const char* base;
  bool is_reply = false;
};

constexpr Case kCases[] = {
    {"", ""},
    {"hello", "hello"},
    {"  hello  \t world ", "hello world"},
    {"Re: hello", "hello", true},
    {"re:hello", "hello", true},
    {"RE : hello", "hello", true},
    {"Re: Fw: FWD: re: hello", "hello", true},
    {"Re[2]: hello", "hello", true},
    {"Re [list] : hello", "hello", true},
    {"[list] Re: hello", "hello", true},
    {"[a] [b]Re: hello", "hello", true},
    {"[list] hello", "hello"},
    {"[a][b] hello", "hello"},
    {"Re: [list] Re: hello", "hello", true},
    {"hello (fwd)", "hello", true},
    {"hello(FWD) (fwd)  ", "hello", true},
    {"[fwd: hello]", "hello", true},
    {"[Fwd: Re: [list] hello (fwd)]", "hello", true},
    {"[fwd: [fwd: hello]]", "hello", true},
    {"Re: [fwd: hello] (fwd)", "hello", true},
    {"Re:", "", true},
    {"(fwd)", "", true},
    // A blob that is all there is, is the subject.
    {"[list]", "[list]"},
    {"[a] [b]", "[b]"},
    {"Re: [list]", "[list]", true},
    // No leaders, trailers or blobs.
    {"Regarding: hello", "Regarding: hello"},
    {"refund", "refund"},
    {"Re hello", "Re hello"},
    {"Re [a[b]: hello", "Re [a[b]: hello"},
    {"[a hello", "[a hello"},
    {"[a [b] hello", "[a [b] hello"},
    {"hello (fwd) there", "hello (fwd) there"},
    {"[fwd: hello] there", "there"},
    {"fwd", "fwd"},
    {"Aw: hello", "Aw: hello"},
};

TEST(BaseSubject, IsWhatRepliesHaveInCommon) {
  for (const Case& one : kCases) {
    const BaseSubject base = base_subject(one.subject);
    EXPECT_EQ(base.text, one.base) << one.subject;
    EXPECT_EQ(base.is_reply, one.is_reply) << one.subject;
  }
}

TEST(BaseSubject, OfAnyLengthIsFoundInOneLook) {
  const auto many = [](const std::string& text) {
    std::string all;
    while (all.size() < 200'000) all += text;
    return all;
  };
  const std::clock_t begin = std::clock();
  EXPECT_EQ(base_subject(many("Re: ") + "x").text, "x");
  EXPECT_EQ(base_subject(many("[a]") + "x").text, "x");
  EXPECT_EQ(base_subject(many("[a]")).text, "[a]");
  EXPECT_EQ(base_subject(many("[a] Re: ") + "x").text, "x");
  EXPECT_EQ(base_subject("x" + many("(fwd) ")).text, "x");
  EXPECT_EQ(base_subject(many("[fwd:") + "x").is_reply, false);
  EXPECT_EQ(base_subject(many("[fwd:") + "x" + std::string(200'000 / 5, ']')).text, "x");
  EXPECT_FALSE(base_subject(many("re[")).is_reply);
  // Each takes some milliseconds; if it looked twice at every byte, seconds.
  EXPECT_LT(std::clock() - begin, 3 * CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace rims::message
