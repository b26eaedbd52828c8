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

// RFC 8514 §4.3: the day of saving, in the zone in which SAVEDATE shows it; where it is not known,
// INTERNALDATE's.
TEST(SearchProgram, ComparesTheDayOfSaving) {
  constexpr int64_t kOld = 1'000'000'000;     // 9-Sep-2001
  constexpr uint32_t kSaved = 1'704'067'199;  // 31-Dec-2023 23:59:59
  const store::MessageEntry last{.date = kOld, .saved = kSaved, .zone = 600};
  EXPECT_TRUE(matches("SAVEDON 31-Dec-2023", last));
  EXPECT_FALSE(matches("SAVEDON 1-Jan-2024", last));
  EXPECT_TRUE(matches("SAVEDBEFORE 1-Jan-2024", last));
  EXPECT_FALSE(matches("SAVEDBEFORE 31-Dec-2023", last));
  EXPECT_TRUE(matches("SAVEDSINCE 31-Dec-2023", last));
  EXPECT_FALSE(matches("SAVEDSINCE 1-Jan-2024", last));
  EXPECT_TRUE(matches("SAVEDATESUPPORTED", last));
  const store::MessageEntry next{.date = kOld, .saved = kSaved + 1};
  EXPECT_TRUE(matches("SAVEDON 1-Jan-2024", next));
  const store::MessageEntry unknown{.date = kOld};
  EXPECT_TRUE(matches("SAVEDON 9-Sep-2001", unknown));
  EXPECT_FALSE(matches("SAVEDSINCE 10-Sep-2001", unknown));
}

}  // namespace
}  // namespace rims::imapd
