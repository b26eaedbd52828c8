// tests/imapd/imap/command_table_test.cc - every command has a row, and its row is played

#include "imapd/imap/command_table.h"

#include <filesystem>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/imapd/script.h"

namespace rims::imapd {
namespace {

// The commands that transcripts send: the word behind the tag, "UID FETCH" for UID forms.
std::set<std::string> played() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(RIMS_SCRIPTS)) {
    if (entry.path().extension() != ".imap") continue;
    for (const test::Step& step : test::read_script(entry.path().string())) {
      if (step.kind != test::Step::Kind::send) continue;
      const size_t tag_end = step.text.find(' ');
      if (tag_end == std::string::npos) continue;
      size_t end = step.text.find(' ', tag_end + 1);
      std::string name = step.text.substr(tag_end + 1, end - tag_end - 1);
      if (name == "UID" && end != std::string::npos) {
        const size_t begin = end;
        end = step.text.find(' ', begin + 1);
        name += step.text.substr(begin, end - begin);
      }
      names.insert(name);
    }
  }
  return names;
}

TEST(CommandTable, HasARowWithANameForEveryCommandOfTheGrammar) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kCommandRows; i++) {
    EXPECT_FALSE(row_at(i).name.empty());
    names.insert(row_at(i).name);
  }
  EXPECT_EQ(names.size(), kCommandRows) << "each name once";
}

TEST(CommandTable, NamesItsRowsAsTheGrammarDoes) {
  const imap::Command fetch{.tag = "a", .by_uid = false, .args = imap::Fetch{}};
  EXPECT_EQ(row_of(fetch).name, imap::name(fetch));
  const imap::Command status{.tag = "a", .by_uid = false, .args = imap::StatusQuery{}};
  EXPECT_EQ(row_of(status).name, imap::name(status));
}

TEST(CommandTable, EveryRowHasATranscript) {
  const auto names = played();
  for (size_t i = 0; i < kCommandRows; i++)
    EXPECT_TRUE(names.contains(std::string(row_at(i).name))) << row_at(i).name;
  for (const char* name : {"UID FETCH", "UID STORE", "UID SEARCH", "UID SORT", "UID THREAD",
                           "UID COPY", "UID MOVE", "UID REPLACE", "UID EXPUNGE"})
    EXPECT_TRUE(names.contains(name)) << name;
}

// RFC 3501 §7.4.1, RFC 5256 §3: no EXPUNGE while one of these is answered; their UID forms may.
TEST(CommandTable, OnlyCommandsWithNumbersHoldExpungesBack) {
  std::set<std::string_view> holding;
  for (size_t i = 0; i < kCommandRows; i++)
    if (row_at(i).uses_numbers) holding.insert(row_at(i).name);
  EXPECT_EQ(holding, std::set<std::string_view>({"FETCH", "SEARCH", "SORT", "STORE", "THREAD"}));
  const imap::Command by_number{.tag = "a", .by_uid = false, .args = imap::Fetch{}};
  const imap::Command by_uid{.tag = "a", .by_uid = true, .args = imap::Fetch{}};
  EXPECT_FALSE(may_tell_expunges(row_of(by_number), by_number));
  EXPECT_TRUE(may_tell_expunges(row_of(by_uid), by_uid));
  // RFC 7162 §3.2.10.2: nor while UID SEARCH with message numbers is.
  imap::Search search;
  search.key.kind = imap::SearchKey::Kind::negation;
  search.key.keys.resize(1);
  const imap::Command without{.tag = "a", .by_uid = true, .args = search};
  EXPECT_TRUE(may_tell_expunges(row_of(without), without));
  search.key.keys[0].kind = imap::SearchKey::Kind::sequence;
  const imap::Command with{.tag = "a", .by_uid = true, .args = search};
  EXPECT_FALSE(may_tell_expunges(row_of(with), with));
}

// RFC 3501 §6.3.2: no change of the mailbox is permitted after EXAMINE.
TEST(CommandTable, WhatChangesMessagesIsMarked) {
  std::set<std::string_view> changing;
  for (size_t i = 0; i < kCommandRows; i++)
    if (row_at(i).changes_messages) changing.insert(row_at(i).name);
  EXPECT_EQ(changing, std::set<std::string_view>({"STORE", "EXPUNGE", "MOVE", "REPLACE"}));
}

TEST(CommandTable, TheDeliveryUserMayDoLittle) {
  std::set<std::string_view> open;
  for (size_t i = 0; i < kCommandRows; i++)
    if (row_at(i).post_only) open.insert(row_at(i).name);
  EXPECT_EQ(open, std::set<std::string_view>({"APPEND", "CAPABILITY", "COMPRESS", "ID", "LOGOUT",
                                              "NOOP", "UNAUTHENTICATE"}));
}

}  // namespace
}  // namespace rims::imapd
