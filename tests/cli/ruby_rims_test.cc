// The store of the original RIMS as a crash leaves it: its files disagree, or one needs recovery.

#include "cli/formats/ruby_rims.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sys/stat.h>

#include <fmt/format.h>
#include <gdbm.h>
#include <gtest/gtest.h>

#include "cli/formats/date_in_message.h"
#include "common/mail/types.h"

namespace rims::cli {
namespace {

namespace fs = std::filesystem;
using Values = std::map<std::string, std::string>;

void write_gdbm(const std::string& path, const Values& values) {
  GDBM_FILE file = gdbm_open(path.c_str(), 512, GDBM_NEWDB, 0600, nullptr);
  ASSERT_TRUE(file) << path;
  const auto bytes = [](std::string& text) {
    return datum{.dptr = text.data(), .dsize = static_cast<int>(text.size())};
  };
  for (const auto& [key, value] : values) {
    std::string k = key, v = value;
    ASSERT_EQ(gdbm_store(file, bytes(k), bytes(v), GDBM_REPLACE), 0);
  }
  gdbm_close(file);
}

// {mailbox => [uid]}, in Ruby's Marshal format; numbers below 123.
std::string places(int mailbox, int uid) {
  std::string text("\x04\x08{\x06i");
  text += static_cast<char>(mailbox + 5);
  text += "[\x06i";
  return text += static_cast<char>(uid + 5);
}

std::string time_value(int64_t seconds) {  // the old form: seconds and microseconds
  std::string text("\x04\x08u:\x09Time\x0d", 10);
  for (int i = 0; i < 4; i++) text += static_cast<char>(seconds >> (8 * i) & 0xff);
  return text + std::string(4, '\0');
}

class RubyRimsTest : public testing::Test {
 protected:
  RubyRimsTest() {
    char name[] = "/tmp/rims-ruby-test-XXXXXX";
    top = fs::canonical(mkdtemp(name));
    fs::create_directories(top + "/store");
    fs::create_directories(top + "/tmp");
    setenv("TMPDIR", (top + "/tmp").c_str(), 1);
    meta = {{"mbox_set", "1"}, {"mbox_id2name-1", "INBOX"}, {"mbox_id2uid-1", "9"}};
    for (int id = 0; id < 3; id++) {
      message[std::to_string(id)] = fmt::format("Subject: {}\r\n\r\n{}\r\n", id, id);
      meta[fmt::format("msg_id2mbox-{}", id)] = places(1, id + 1);
      meta[fmt::format("msg_id2date-{}", id)] = time_value(1'400'000'000 + id);
      inbox[std::to_string(id + 1)] = std::to_string(id);
    }
  }
  ~RubyRimsTest() override {
    EXPECT_TRUE(fs::is_empty(top + "/tmp")) << "a copy is left";
    unsetenv("TMPDIR");
    fs::remove_all(top);
  }

  void write() {
    write_gdbm(top + "/store/meta.gdbm", meta);
    write_gdbm(top + "/store/message.gdbm", message);
    write_gdbm(top + "/store/mailbox_1.gdbm", inbox);
  }
  // As a crash leaves a file: it has blocks that its header does not know.
  void break_file(const std::string& name) {
    std::ofstream(top + "/store/" + name, std::ios::app) << std::string(100, '\0');
  }

  struct Read {
    std::string text;
    uint8_t flags = 0;
    int64_t date = 0;
    bool operator==(const Read&) const = default;
  };
  // By mailbox and uid; those without one have uid 1000 + number.
  using Found = std::map<std::string, std::map<uint32_t, Read>>;
  Found import() {
    Found all;
    auto source = open_ruby_rims(top + "/store", "foo");
    EXPECT_TRUE(source);
    const auto mailboxes = (*source)->mailboxes(remarks);
    EXPECT_TRUE(mailboxes) << mailboxes.error().detail();
    if (!mailboxes) return all;
    for (const auto& mailbox : *mailboxes) {
      validities[mailbox.name] = mailbox.uidvalidity;
      auto& there = all[mailbox.name];
      const auto messages = (*source)->messages(mailbox, remarks);
      for (const auto& m : *messages) {
        const auto text = (*source)->read(mailbox, m);
        EXPECT_TRUE(text) << text.error().detail();
        there[m.uid != 0 ? m.uid : static_cast<uint32_t>(1000 + m.offset)] = {*text, m.flags,
                                                                              m.date};
      }
    }
    return all;
  }
  [[nodiscard]] bool noted(const std::string& what) const {
    return std::ranges::any_of(notes, [&](const std::string& n) { return n.contains(what); });
  }
  Read of(int id) { return {message[std::to_string(id)], 0, 1'400'000'000 + id}; }

  std::string top;
  Values meta, message, inbox;
  std::map<std::string, uint32_t> validities;
  std::vector<std::string> notes, untaken;
  Remarks remarks{.not_taken = [this](const std::string& w,
                                      const std::string& r) { untaken.push_back(w + ": " + r); },
                  .note = [this](const std::string& w,
                                 const std::string& r) { notes.push_back(w + ": " + r); }};
};

TEST_F(RubyRimsTest, WhatOnlyMetaPlacesIsTakenThere) {
  inbox.erase("3");
  write();
  EXPECT_EQ(import(), (Found{{"INBOX", {{1, of(0)}, {2, of(1)}, {3, of(2)}}}}));
  EXPECT_EQ(notes.size(), 1U);
  EXPECT_TRUE(noted("mailbox_1.gdbm, uid 3, message 2: only meta.gdbm places it here"));
  EXPECT_TRUE(untaken.empty());
}

TEST_F(RubyRimsTest, WhatOnlyTheMailboxPlacesIsInNoOtherMailbox) {
  meta.erase("msg_id2mbox-2");
  meta.erase("msg_id2date-2");
  message["2"] = "Date: Fri, 2 Jan 2015 01:02:03 +0100\r\n\r\n2\r\n";
  inbox["3"] = "2,deleted";
  write();
  EXPECT_EQ(import()["INBOX"][3], (Read{message["2"], store::kDeleted, 1'420'156'923}));
  EXPECT_EQ(notes.size(), 1U);
  EXPECT_TRUE(noted("uid 3, message 2: its date: there is none; the Date field is taken"));
  EXPECT_TRUE(untaken.empty());
}

TEST_F(RubyRimsTest, OneUidForTwoMessagesCostsNeither) {
  inbox["3"] = "1";
  write();
  EXPECT_EQ(import(), (Found{{"INBOX", {{1, of(0)}, {2, of(1)}, {3, of(1)}, {1002, of(2)}}}}));
  EXPECT_TRUE(noted("its uid 3 is that of message 1"));
  // In meta.gdbm alone, too.
  notes.clear();
  inbox.erase("3");
  meta["msg_id2mbox-1"] = places(1, 3);
  write();
  EXPECT_EQ(import(), (Found{{"INBOX", {{1, of(0)}, {2, of(1)}, {3, of(1)}, {1002, of(2)}}}}));
  EXPECT_TRUE(noted("its uid 3 is that of message 1"));
}

TEST_F(RubyRimsTest, ADamagedEntryIsTakenFromMeta) {
  inbox["2"] = "md5 00000000000000000000000000000000\n1";
  inbox["7"] = "what";
  write();
  EXPECT_EQ(import(), (Found{{"INBOX", {{1, of(0)}, {2, of(1)}, {3, of(2)}}}}));
  EXPECT_TRUE(noted("the checksum is wrong; only meta.gdbm places it here"));
  ASSERT_EQ(untaken.size(), 1U);
  EXPECT_TRUE(untaken[0].contains("uid 7: no message number")) << untaken[0];
}

TEST_F(RubyRimsTest, AMessageInNoMailboxComesIntoLostAndFound) {
  message["5"] = "Subject: 5\r\n\r\nlost\r\n";
  message["6"] = "Subject: 6\r\n\r\nlost\r\n";
  meta["msg_id2date-5"] = time_value(1'400'000'005);
  meta["msg_id2date-6"] = time_value(1'300'000'000);
  meta["msg_id2flag-5"] = "seen";
  write();
  auto found = import();
  EXPECT_EQ(found["INBOX"].size(), 3U);
  EXPECT_EQ(found["lost+found"].size(), 2U);
  EXPECT_EQ(found["lost+found"][1005], (Read{message["5"], store::kSeen, 1'400'000'005}));
  EXPECT_EQ(validities["lost+found"], 0U);
  EXPECT_EQ(notes.size(), 2U);
  EXPECT_TRUE(noted("message 6: it is in no mailbox; it becomes part of lost+found"));
  EXPECT_TRUE(untaken.empty());
  // The original's own recovery has made such a mailbox already.
  meta["mbox_set"] = "1,2";
  meta["mbox_id2name-2"] = "lost+found";
  meta["msg_id2mbox-5"] = places(2, 1);
  write();
  write_gdbm(top + "/store/mailbox_2.gdbm", {{"1", "5"}});
  found = import();
  EXPECT_EQ(found.size(), 2U);
  EXPECT_EQ(validities["lost+found"], 2U);
  EXPECT_TRUE(found["lost+found"].contains(1));
  EXPECT_TRUE(found["lost+found"].contains(1006));
}

TEST_F(RubyRimsTest, AMailboxInNoListIsFoundByItsFile) {
  meta.erase("mbox_set");
  message["5"] = "Subject: 5\r\n\r\n5\r\n";
  meta["msg_id2date-5"] = time_value(1'400'000'005);
  write();
  write_gdbm(top + "/store/mailbox_4.gdbm", {{"2", "5,deleted"}});
  write_gdbm(top + "/store/mailbox_5.gdbm", {{"2", "77"}});  // deleted with its messages
  auto found = import();
  EXPECT_EQ(found.size(), 2U);
  EXPECT_EQ(found["INBOX"].size(), 3U);
  EXPECT_EQ(found["Recovered-4"],
            (std::map<uint32_t, Read>{{2, {message["5"], store::kDeleted, 1'400'000'005}}}));
  EXPECT_TRUE(noted("no mailboxes are listed"));
  EXPECT_TRUE(noted("mailbox_4.gdbm: this mailbox is in no list, but has messages"));
}

TEST_F(RubyRimsTest, AFileThatNeedsRecoveryIsReadFromACopy) {
  for (int id = 3; id < 100; id++) {
    message[std::to_string(id)] =
        fmt::format("Subject: {}\r\n\r\n{}\r\n", id, std::string(300, 'x'));
    meta[fmt::format("msg_id2mbox-{}", id)] = places(1, id + 1);
    meta[fmt::format("msg_id2date-{}", id)] = time_value(1'400'000'000 + id);
    inbox[std::to_string(id + 1)] =
        id % 2 == 0 ? std::to_string(id) : fmt::format("{},deleted", id);
  }
  write();
  const auto wanted = import();
  EXPECT_TRUE(notes.empty());
  for (const char* name : {"message.gdbm", "meta.gdbm", "mailbox_1.gdbm"}) {
    write();
    break_file(name);
    const auto before = fs::file_size(top + "/store/" + name);
    notes.clear();
    EXPECT_EQ(import(), wanted) << name;
    EXPECT_EQ(fs::file_size(top + "/store/" + name), before) << "the original was written";
    ASSERT_EQ(notes.size(), 1U) << name;
    EXPECT_TRUE(noted(std::string(name) + ": ") && noted("are read from a copy")) << notes[0];
  }
  EXPECT_TRUE(untaken.empty());
  // Without room for the copy, what to do is told.
  setenv("TMPDIR", "/proc/self", 1);
  break_file("message.gdbm");
  const auto source = open_ruby_rims(top + "/store", "foo");
  const auto mailboxes = (*source)->mailboxes(remarks);
  ASSERT_FALSE(mailboxes);
  EXPECT_TRUE(mailboxes.error().detail().contains("could not be recovered"))
      << mailboxes.error().detail();
}

TEST_F(RubyRimsTest, WhatARecoveryCanNotBringBackIsTold) {
  for (int id = 3; id < 100; id++) {
    message[std::to_string(id)] =
        fmt::format("Subject: {}\r\n\r\n{}\r\n", id, std::string(3000, 'x'));
    meta[fmt::format("msg_id2mbox-{}", id)] = places(1, id + 1);
    inbox[std::to_string(id + 1)] = std::to_string(id);
  }
  write();
  const std::string path = top + "/store/message.gdbm";
  fs::resize_file(path, fs::file_size(path) * 7 / 10);
  const auto source = open_ruby_rims(top + "/store", "foo");
  const auto mailboxes = (*source)->mailboxes(remarks);
  ASSERT_TRUE(mailboxes) << mailboxes.error().detail();
  ASSERT_EQ(untaken.size(), 1U);
  EXPECT_TRUE(untaken[0].starts_with(path + ": ")) << untaken[0];
  EXPECT_TRUE(untaken[0].contains(" entries are read from a copy that was recovered; "))
      << untaken[0];
  EXPECT_TRUE(untaken[0].contains(" are lost")) << untaken[0];
  const auto messages = (*source)->messages(mailboxes->front(), remarks);
  ASSERT_EQ(messages->size(), 100U);
  const auto whole = std::ranges::count_if(*messages, [&](const FoundMessage& m) {
    const auto text = (*source)->read(mailboxes->front(), m);
    if (text) EXPECT_EQ(*text, message[std::to_string(m.offset)]);
    return text.has_value();
  });
  EXPECT_GT(whole, 30);
  EXPECT_LT(whole, 100);
}

TEST_F(RubyRimsTest, WithoutADateThatOfTheMessageIsTaken) {
  for (int id = 0; id < 3; id++) meta.erase(fmt::format("msg_id2date-{}", id));
  meta["msg_id2date-2"] = "nonsense";
  message["0"] =
      "Received: from a by b; Fri, 2 Jan 2015 01:02:04 +0100\r\nReceived: from x by a; Thu, 1 Jan "
      "2015 00:00:00 +0000\r\nDate: Fri, 2 Jan 2015 01:02:03 +0100\r\n\r\n0\r\n";
  message["1"] = "Date: Fri, 2 Jan 2015 01:02:03 +0100\r\n\r\n1\r\n";
  write();
  auto found = import()["INBOX"];
  struct stat st{};
  ASSERT_EQ(stat((top + "/store/message.gdbm").c_str(), &st), 0);
  EXPECT_EQ(found[1].date, 1'420'156'924);
  EXPECT_EQ(found[2].date, 1'420'156'923);
  EXPECT_EQ(found[3].date, st.st_mtim.tv_sec);
  EXPECT_TRUE(noted("uid 1, message 0: its date: there is none; the Received field is taken"));
  EXPECT_TRUE(noted("uid 2, message 1: its date: there is none; the Date field is taken"));
  EXPECT_TRUE(noted("the time of the file is taken"));
  EXPECT_TRUE(untaken.empty());
}

TEST(DateInMessage, AReceivedFieldWithoutADateIsPassedOver) {
  const auto date = date_in_message(
      "Received: from a by b; yesterday\r\nDate: Fri, 2 Jan 2015 01:02:03 +0100\r\n\r\n", 7);
  EXPECT_EQ(date.seconds, 1'420'156'923);
  EXPECT_EQ(date.zone, 60);
  EXPECT_EQ(date.from, "the Date field");
  EXPECT_EQ(date_in_message("\r\nDate: Fri, 2 Jan 2015 01:02:03 +0100\r\n", 7).seconds, 7);
}

}  // namespace
}  // namespace rims::cli
