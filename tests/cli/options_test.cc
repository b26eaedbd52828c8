// tests/cli/options_test.cc - options in every spelling the original took

#include "cli/options.h"

#include <gtest/gtest.h>

#include "common/base/version.h"

namespace rims::cli {
namespace {

struct Line {
  explicit Line(std::vector<std::string> given) : words(std::move(given)) {
    for (std::string& word : words) pointers.push_back(word.data());
  }
  std::vector<std::string> words;
  std::vector<char*> pointers;
};

class Options : public testing::Test {
 protected:
  Options() {
    parser.add_negatable('v', "verbose", "Talk.", verbose);
    parser.add_value('n', "host", "HOSTNAME", "Where.", host);
    parser.add_value(0, "hostility", "LEVEL", "How.", hostility);
    parser.add_choice(0, "auth-type", "METHOD", "Which.", {"login", "cram-md5"}, auth);
    parser.add({'w', "password", OptionKind::secret, "PASS", "What.",
                [this](std::string_view v) -> Status {
                  password = v;
                  return {};
                }});
  }
  std::vector<std::string> good(const std::vector<std::string>& words) {
    line = std::make_unique<Line>(words);
    auto operands = parser.parse(line->pointers);
    EXPECT_TRUE(operands.has_value()) << (operands ? "" : operands.error().reply());
    return operands ? *operands : std::vector<std::string>();
  }
  std::string wrong(const std::vector<std::string>& words) {
    line = std::make_unique<Line>(words);
    auto operands = parser.parse(line->pointers);
    return operands ? "" : operands.error().reply();
  }

  OptionParser parser{"rims test [options]"};
  bool verbose = false;
  std::string host, hostility, auth, password;
  std::unique_ptr<Line> line;
};

TEST_F(Options, EverySpellingOfAValue) {
  const std::vector<std::string> spellings[] = {{"-n", "here"},     {"-nhere"},
                                                {"--host", "here"}, {"--host=here"},
                                                {"-vn", "here"},    {"-vnhere"}};
  for (const auto& words : spellings) {
    host.clear();
    EXPECT_TRUE(good(words).empty());
    EXPECT_EQ(host, "here");
  }
  EXPECT_TRUE(good({"--host="}).empty());
  EXPECT_EQ(host, "");
  EXPECT_TRUE(good({"-n", "--verbose"}).empty()) << "a value may look like an option";
  EXPECT_EQ(host, "--verbose");
}

TEST_F(Options, FlagsAndTheirNegation) {
  EXPECT_TRUE(good({"-v"}).empty());
  EXPECT_TRUE(verbose);
  EXPECT_TRUE(good({"--no-verbose"}).empty());
  EXPECT_FALSE(verbose);
  EXPECT_TRUE(good({"--verbose", "--no-v"}).empty());
  EXPECT_FALSE(verbose);
  EXPECT_EQ(wrong({"--verbose=yes"}), "needless argument: --verbose");
  EXPECT_EQ(wrong({"--no-help"}), "invalid option: --no-help");
}

TEST_F(Options, AUniqueBeginningIsEnough) {
  EXPECT_TRUE(good({"--auth", "cram-md5", "--pass=x", "--hosti", "a"}).empty());
  EXPECT_EQ(auth, "cram-md5");
  EXPECT_EQ(hostility, "a");
  EXPECT_TRUE(good({"--host", "whole names win over longer ones"}).empty());
  EXPECT_EQ(wrong({"--hos", "x"}), "ambiguous option: --hos");
}

TEST_F(Options, OperandsStandAnywhereAndAfterTwoHyphens) {
  EXPECT_EQ(good({"a", "-v", "b", "-n", "here", "-"}), (std::vector<std::string>{"a", "b", "-"}));
  EXPECT_EQ(good({"a", "--", "-v", "--", "b"}), (std::vector<std::string>{"a", "-v", "--", "b"}));
}

TEST_F(Options, MistakesNameTheOption) {
  EXPECT_EQ(wrong({"-x"}), "invalid option: -x");
  EXPECT_EQ(wrong({"--nonsense"}), "invalid option: --nonsense");
  EXPECT_EQ(wrong({"-n"}), "missing argument: -n");
  EXPECT_EQ(wrong({"--host"}), "missing argument: --host");
  EXPECT_EQ(wrong({"--auth-type=none"}),
            "invalid argument: --auth-type: none (one of login, cram-md5)");
  EXPECT_TRUE(good({"--auth-type=LOGIN"}).empty());
  EXPECT_EQ(auth, "login");
}

TEST_F(Options, ASecretIsWipedFromTheArguments) {
  for (const auto& words : {std::vector<std::string>{"-w", "geheim"},
                            {"-wgeheim"},
                            {"--password=geheim"},
                            {"--pass", "geheim"},
                            {"-vwgeheim"}}) {
    password.clear();
    good(words);
    EXPECT_EQ(password, "geheim");
    for (const std::string& word : line->words)
      EXPECT_EQ(word.find("geheim"), std::string::npos) << word;
  }
}

TEST_F(Options, TheFirstOperandMayEndThem) {
  Line given({"-v", "start", "-n", "x"});
  auto rest = parser.parse_until_operand(given.pointers);
  ASSERT_TRUE(rest.has_value());
  ASSERT_EQ(rest->size(), 3U);
  EXPECT_STREQ(rest->front(), "start");
  EXPECT_EQ(host, "");
}

TEST_F(Options, HelpListsThemAll) {
  const std::string text = parser.help();
  EXPECT_EQ(text.substr(0, text.find('\n')), "Usage: rims test [options]");
  EXPECT_NE(text.find("    -v, --[no-]verbose               Talk.\n"), std::string::npos) << text;
  EXPECT_NE(text.find("        --hostility=LEVEL            How.\n"), std::string::npos) << text;
}

TEST_F(Options, EveryParserAnswersHelpAndVersion) {
  EXPECT_FALSE(parser.asked());
  testing::internal::CaptureStdout();
  EXPECT_FALSE(parser.answer());
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  good({"-vh", "operand"});
  EXPECT_TRUE(parser.asked());
  testing::internal::CaptureStdout();
  EXPECT_TRUE(parser.answer());
  EXPECT_EQ(testing::internal::GetCapturedStdout(), parser.help());

  OptionParser other("rims other");
  Line words({"--version"});
  ASSERT_TRUE(other.parse(words.pointers));
  testing::internal::CaptureStdout();
  EXPECT_TRUE(other.answer());
  EXPECT_EQ(testing::internal::GetCapturedStdout(), std::string(program_version()) + "\n");
}

}  // namespace
}  // namespace rims::cli
