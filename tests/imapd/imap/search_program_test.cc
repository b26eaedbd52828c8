// tests/imapd/imap/search_program_test.cc - keys that depend on the time, to the second

#include "imapd/imap/search_program.h"

#include <gtest/gtest.h>

#include "tests/imap/support.h"

namespace rims::imapd {
namespace {

constexpr int64_t kNow = 1'800'000'000;

// Does the key match this message?
bool matches(std::string_view key, const store::MessageEntry& entry) {
  const auto command = imap::parse_line("a SEARCH " + std::string(key));
  EXPECT_TRUE(command) << key;
  const store::Mailbox mailbox;
  const View view;
  const imap::NumberSet<Uid> saved;
  const auto program =
      SearchProgram::make(std::get<imap::Search>(command->args),
                          {.mailbox = mailbox, .view = view, .saved = saved, .now = kNow});
  EXPECT_TRUE(program) << key;
  SearchTrial trial;
  program->begin(trial);
  return program->test({.entry = &entry, .number = 1}, trial) == Match::yes;
}

// RFC 5032 §2: a message of just that time is both.
TEST(SearchProgram, OlderAndYoungerAreExactToTheSecond) {
  const auto of = [](int64_t date) { return store::MessageEntry{.date = date}; };
  EXPECT_TRUE(matches("OLDER 100", of(kNow - 101)));
  EXPECT_TRUE(matches("OLDER 100", of(kNow - 100)));
  EXPECT_FALSE(matches("OLDER 100", of(kNow - 99)));
  EXPECT_FALSE(matches("YOUNGER 100", of(kNow - 101)));
  EXPECT_TRUE(matches("YOUNGER 100", of(kNow - 100)));
  EXPECT_TRUE(matches("YOUNGER 100", of(kNow - 99)));
  EXPECT_TRUE(matches("YOUNGER 1", of(kNow + 1000))) << "a date in the future";
  EXPECT_TRUE(matches("OLDER 4294967295", of(kNow - 4'294'967'295)));
  EXPECT_FALSE(matches("OLDER 4294967295", of(0))) << "before 1970 is no overflow";
}

}  // namespace
}  // namespace rims::imapd
