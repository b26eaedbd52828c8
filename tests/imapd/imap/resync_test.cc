// tests/imapd/imap/resync_test.cc - a client that follows RFC 7162 §6 and is cut off now and then
//
// From a seed: one client keeps a copy of a mailbox by QRESYNC, while it and other sessions change
// it, the worker is replaced, the index is lost, and so are records of the journal. Its connection
// ends at any place of an answer. Each time that it comes back, what SELECT (QRESYNC ...) tells
// must make its copy equal to what a client sees that reads everything; and a message must not have
// two states with one MODSEQ. RIMS_SEED=N plays one seed, RIMS_RUNS=N so many.

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/imapd/stage.h"
#include "tests/support/numbers.h"

namespace rims::test {
namespace {

using Flags = std::set<std::string>;

// Of a journal: they make the mailboxes.
constexpr size_t kFirstRecords = 12;
// So many UIDs are passed over when records are lost.
constexpr uint32_t kSkipped = 20;

// What stands behind `name` and a space in a FETCH response: in parentheses, or one word.
std::optional<std::string> item(std::string_view line, std::string_view name) {
  for (const char before : {'(', ' '}) {
    const std::string wanted = before + std::string(name) + ' ';
    const size_t at = line.find(wanted);
    if (at == std::string_view::npos) continue;
    std::string_view rest = line.substr(at + wanted.size());
    if (rest.starts_with('(')) return std::string(rest.substr(1, rest.find(')') - 1));
    return std::string(rest.substr(0, rest.find_first_of(" )")));
  }
  return std::nullopt;
}

Flags flags_of(std::string_view list) {
  Flags flags;
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) != "\\Recent") flags.insert(std::string(list.substr(0, end)));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return flags;
}

// The copy that a client keeps, also while it is not connected.
struct Copy {
  uint64_t uidvalidity = 0, modseq = 0;
  std::map<uint32_t, Flags> messages;
};

class Resync {
 public:
  explicit Resync(uint64_t seed) : random_(seed) {}

  void play(int steps) {
    stage_.start();
    run(stage_.loop, story(steps));
  }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  [[nodiscard]] int reconnects() const { return reconnects_; }
  [[nodiscard]] int losses() const { return losses_; }

 private:
  uint32_t below(uint32_t n) { return std::uniform_int_distribution<uint32_t>(0, n - 1)(random_); }
  bool chance(uint32_t percent) { return below(100) < percent; }
  void say(const std::string& what) {
    if (wrong_.empty()) wrong_ = what + "\n" + log_;
  }
  void note(std::string_view who, std::string_view line) {
    log_ += fmt::format("{} {}\n", who, line);
    if (log_.size() > 20'000) log_.erase(0, log_.find('\n', 10'000) + 1);
  }

  // One state of one message for each MODSEQ.
  void check_modseq(uint32_t uid, uint64_t modseq, const Flags& flags) {
    const auto [place, fresh] = states_.try_emplace({uid, modseq}, flags);
    if (!fresh && place->second != flags)
      say(fmt::format("UID {} had other flags with MODSEQ {}", uid, modseq));
  }

  // One line of an answer, as the client takes it.
  void take(const std::string& line) {
    note("1 >", line);
    if (const size_t code = line.find("[HIGHESTMODSEQ "); code != std::string::npos)
      code_ = std::stoull(line.substr(code + 15));
    if (line.starts_with("* OK [UIDVALIDITY ")) {
      const auto validity = std::stoull(line.substr(18));
      if (validity != copy_.uidvalidity) copy_ = {.uidvalidity = validity};
    } else if (line.starts_with("* VANISHED (EARLIER) ")) {
      for (const uint32_t uid : numbers_in(std::string_view(line).substr(21))) {
        if (std::ranges::find(view_, uid) != view_.end() && selected_)
          say(fmt::format("EARLIER names UID {}, which is counted", uid));
        copy_.messages.erase(uid);
      }
    } else if (line.starts_with("* VANISHED ")) {
      for (const uint32_t uid : numbers_in(std::string_view(line).substr(11))) {
        exists_--;
        // 0: an arrival that it has not asked about.
        const auto at = std::ranges::find(view_, uid);
        if (at != view_.end())
          view_.erase(at);
        else if (exists_ < view_.size())
          say(fmt::format("VANISHED names UID {}, which was never told", uid));
        copy_.messages.erase(uid);
      }
    } else if (line.ends_with(" EXISTS")) {
      exists_ = std::stoul(line.substr(2));
    } else if (line.ends_with(" EXPUNGE")) {
      say("EXPUNGE after ENABLE QRESYNC");
    } else if (line.find(" FETCH (") != std::string::npos) {
      take_fetch(line);
    }
  }

  void take_fetch(const std::string& line) {
    const auto number = std::stoul(line.substr(2));
    const auto uid_item = item(line, "UID");
    const auto modseq = item(line, "MODSEQ");
    const auto list = item(line, "FLAGS");
    uint32_t uid = number <= view_.size() ? view_[number - 1] : 0;
    if (uid_item) {
      const auto told = static_cast<uint32_t>(std::stoul(*uid_item));
      if (uid != 0 && uid != told)
        say(fmt::format("number {} is UID {}, not {}", number, uid, told));
      uid = told;
    }
    // What it has not asked about it may not take in: there may be others before it.
    if (uid == 0 || (!asking_ && !copy_.messages.contains(uid))) return;
    if (modseq) sent_ = std::max<uint64_t>(sent_, std::stoull(*modseq));
    if (list) copy_.messages[uid] = flags_of(*list);
    if (!list && modseq && own_change_) apply_own(uid);
    if (list && modseq) check_modseq(uid, std::stoull(*modseq), flags_of(*list));
  }

  void apply_own(uint32_t uid) {
    if (own_change_->first == '+')
      copy_.messages[uid].insert(own_change_->second);
    else
      copy_.messages[uid].erase(own_change_->second);
  }

  // RFC 7162 §6: what the client has for HIGHESTMODSEQ, at each tagged answer.
  void tagged() {
    if (code_)
      copy_.modseq = *code_;
    else
      copy_.modseq = std::max(copy_.modseq, sent_);
    code_.reset();
    sent_ = 0;
  }

  // Sends it and takes the answer; now and then the connection ends on the way.
  Task<bool> ask(std::string text, bool may_cut = true) {
    note("1 <", text);
    co_await client_->send("t " + text + "\r\n");
    const uint32_t cut = may_cut && chance(8) ? below(6) : UINT32_MAX;
    for (uint32_t i = 0;; i++) {
      if (i == cut) {
        note("1", "cut");
        client_.reset();
        co_return false;
      }
      const auto line = co_await client_->line();
      if (!line) {
        say("the connection ended");
        co_return false;
      }
      take(*line);
      if (!line->starts_with("t ")) continue;
      if (line->starts_with("t BAD")) say(*line);
      tagged();
      co_return true;
    }
  }

  std::string known() {
    if (copy_.messages.empty() || chance(50)) return {};
    std::string text = fmt::format(" 1:{}", copy_.messages.rbegin()->first);
    if (chance(50)) return text;
    // A few right pairs of number and UID.
    std::string numbers, uids;
    uint32_t number = 0;
    for (const auto& [uid, flags] : copy_.messages) {
      number++;
      if (!chance(30)) continue;
      numbers += fmt::format("{}{}", numbers.empty() ? "" : ",", number);
      uids += fmt::format("{}{}", uids.empty() ? "" : ",", uid);
    }
    return numbers.empty() ? text : fmt::format("{} ({} {})", text, numbers, uids);
  }

  // Comes back, and is in step again.
  Task<void> reconnect() {
    reconnects_++;
    view_.clear();
    exists_ = 0;
    code_.reset();
    sent_ = 0;
    selected_ = false;
    own_change_.reset();
    client_ = co_await stage_.log_in("foo");
    [[maybe_unused]] const bool enabled = co_await ask("ENABLE QRESYNC", false);
    std::string command = "SELECT INBOX";
    if (copy_.uidvalidity != 0 && copy_.modseq != 0)
      command += fmt::format(" (QRESYNC ({} {}{}))", copy_.uidvalidity, copy_.modseq, known());
    asking_ = std::exchange(records_lost_, false);  // then it is told of all that there is
    [[maybe_unused]] const bool selected = co_await ask(command, false);
    asking_ = false;
    for (const auto& [uid, flags] : copy_.messages) view_.push_back(uid);
    selected_ = true;
    co_await ask_for_new(false);
    co_await compare();
  }

  // Messages that the client does not know yet.
  Task<void> ask_for_new(bool may_cut) {
    const uint32_t last = copy_.messages.empty() ? 0 : copy_.messages.rbegin()->first;
    if (view_.size() >= exists_) co_return;
    asking_ = true;
    const bool whole = co_await ask(fmt::format("UID FETCH {}:* (FLAGS)", last + 1), may_cut);
    asking_ = false;
    if (!whole) co_return;
    for (const auto& [uid, flags] : copy_.messages)
      if (std::ranges::find(view_, uid) == view_.end()) view_.push_back(uid);
    std::ranges::sort(view_);
  }

  // All of the mailbox, as a client sees it that knows nothing.
  Task<void> compare() {
    const auto fresh = co_await stage_.log_in("foo");
    Copy all;
    auto lines = co_await fresh->command("f", "EXAMINE INBOX");
    for (const auto& line : lines)
      if (line.starts_with("* OK [HIGHESTMODSEQ ")) all.modseq = std::stoull(line.substr(20));
    lines = co_await fresh->command("f", "UID FETCH 1:* (FLAGS MODSEQ)");
    for (const auto& line : lines) {
      if (line.find(" FETCH (") == std::string::npos) continue;
      const auto uid = item(line, "UID");
      const auto number = static_cast<uint32_t>(std::stoul(*uid));
      all.messages[number] = flags_of(*item(line, "FLAGS"));
      const uint64_t modseq = std::stoull(*item(line, "MODSEQ"));
      check_modseq(number, modseq, all.messages[number]);
      if (modseq > all.modseq) say("a MODSEQ above HIGHESTMODSEQ");
    }
    if (all.modseq < highest_) say("HIGHESTMODSEQ went back");
    highest_ = all.modseq;
    if (copy_.modseq > all.modseq) say("the client has a MODSEQ that the mailbox has not");
    if (copy_.messages == all.messages) co_return;
    for (const auto& [uid, flags] : all.messages)
      if (!copy_.messages.contains(uid)) note("!", fmt::format("UID {} is missing", uid));
    for (const auto& [uid, flags] : copy_.messages) {
      const auto there = all.messages.find(uid);
      if (there == all.messages.end())
        note("!", fmt::format("UID {} is gone", uid));
      else if (there->second != flags)
        note("!", fmt::format("UID {} has other flags", uid));
    }
    say("the copy is not what the mailbox is");
  }

  std::string set_of(uint32_t highest) {
    const uint32_t first = 1 + below(highest), last = 1 + below(highest);
    if (chance(40)) return std::to_string(first);
    return fmt::format("{}:{}", std::min(first, last), std::max(first, last));
  }

  std::string flag() {
    constexpr const char* kFlags[] = {"\\Seen", "\\Flagged", "\\Deleted", "$Label", "\\Deleted"};
    return kFlags[below(5)];
  }

  // Another session does something, by UID so that it need not know the numbers.
  Task<void> disturb() {
    if (!other_ || chance(5)) {
      other_ = co_await stage_.log_in("foo");
      [[maybe_unused]] const auto lines = co_await other_->command("o", "SELECT INBOX");
    }
    std::string command;
    const uint32_t highest = next_ + 3;
    switch (below(10)) {
      case 0:
      case 1:
      case 2: {
        const std::string bytes = standard_message(1);
        command = fmt::format("APPEND INBOX ({}) {{{}+}}\r\n{}", chance(50) ? "\\Seen" : "",
                              bytes.size(), bytes);
        next_++;
        break;
      }
      case 3:
        command = "EXPUNGE";
        break;
      case 4:
        command = fmt::format("UID MOVE {} {}", 1 + below(highest), chance(50) ? "Trash" : "INBOX");
        next_++;
        break;
      case 5:
        command = fmt::format("UID COPY {} INBOX", 1 + below(highest));
        next_++;
        break;
      default:
        command = fmt::format("UID STORE {} {}FLAGS.SILENT ({})", set_of(highest),
                              chance(65) ? "+" : "-", flag());
    }
    note("2 <", command.substr(0, command.find('\r')));
    [[maybe_unused]] const auto lines = co_await other_->command("o", command);
  }

  Task<void> act() {
    own_change_.reset();
    const auto count = static_cast<uint32_t>(view_.size());
    if (count == 0 || exists_ != count) {
      [[maybe_unused]] const bool told = co_await ask("NOOP");
      if (client_) co_await ask_for_new(true);
      co_return;
    }
    std::string command;
    switch (below(8)) {
      case 0:
        command = "NOOP";
        break;
      case 1:
        command = fmt::format("FETCH {} (FLAGS MODSEQ)", set_of(count));
        break;
      case 2:
        command = fmt::format("FETCH {} FLAGS", set_of(count));
        break;
      case 3:
        command = "EXPUNGE";
        break;
      case 4:
        command = fmt::format("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {} VANISHED)",
                              std::max<uint64_t>(1, copy_.modseq));
        break;
      case 5:
        command = fmt::format("FETCH {} BODY[TEXT]", 1 + below(count));
        break;
      default: {
        own_change_ = {chance(70) ? '+' : '-', flag()};
        const bool by_uid = chance(50);
        const std::string set = by_uid ? std::to_string(view_[below(count)]) : set_of(count);
        command = fmt::format("{}STORE {} {}{}FLAGS{} ({})", by_uid ? "UID " : "", set,
                              chance(50) ? fmt::format("(UNCHANGEDSINCE {}) ", copy_.modseq) : "",
                              own_change_->first, chance(50) ? ".SILENT" : "", own_change_->second);
      }
    }
    if (co_await ask(command)) {
      own_change_.reset();
      if (client_ && chance(70)) co_await ask_for_new(true);
    }
  }

  // The journal loses its end, as when an older copy of it is restored, or one record. What the
  // store then writes itself is written here.
  void lose() {
    using store::RecordType;
    auto& records = stage_.journals.disk("foo").records;
    const uint64_t last = records.back().seq;
    store::Gap gap{.skip = kSkipped, .damage = 0};
    const auto some = static_cast<uint32_t>(records.size() - kFirstRecords);
    if (chance(50)) {
      records.resize(records.size() - below(std::min(some, kSkipped)));
      note("", fmt::format("restored to record {}", records.back().seq));
    } else {
      const size_t which = kFirstRecords + below(some);
      const RecordType type = records[which].type;
      if (type == RecordType::append || type == RecordType::flags || type == RecordType::expunge) {
        note("", fmt::format("record {} ({}) is lost", records[which].seq, name(type)));
        records.erase(records.begin() + static_cast<ptrdiff_t>(which));
        gap.damage = kSkipped;
        states_.clear();  // a change that came later is of another state now
      }
    }
    records.push_back({.type = store::Gap::kType,
                       .version = store::Gap::kVersion,
                       .seq = last + 1000,
                       .time = records.back().time,
                       .meta = gap.encode(),
                       .aux = {},
                       .body = {}});
    stage_.key_values.files().clear();
    next_ += kSkipped;
    highest_ = 0;
    records_lost_ = true;
    losses_++;
  }

  Task<void> story(int steps) {
    for (int i = 0; i < 3; i++) co_await disturb();
    for (int i = 0; i < steps && wrong_.empty(); i++) {
      if (!client_) co_await reconnect();
      if (chance(60)) co_await disturb();
      if (client_) co_await act();
      if (chance(3)) client_.reset();
      if (chance(2)) {
        client_.reset();
        other_.reset();
        co_await stage_.stop();
        const bool index_lost = chance(50);
        if (index_lost) stage_.key_values.files().clear();
        note("", index_lost ? "restart without index" : "restart");
        if (chance(40)) lose();
        stage_.start();
      }
    }
    client_.reset();
    if (wrong_.empty()) co_await reconnect();
    client_.reset();
    other_.reset();
    co_await stage_.stop();
  }

  std::mt19937_64 random_;
  Stage stage_;
  std::unique_ptr<TestClient> client_, other_;
  Copy copy_;
  std::vector<uint32_t> view_;  // the UIDs that it knows of what it counts, by number
  size_t exists_ = 0;
  bool selected_ = false, asking_ = false, records_lost_ = false;
  std::optional<uint64_t> code_;
  uint64_t sent_ = 0, highest_ = 0;
  std::optional<std::pair<char, std::string>> own_change_;
  std::map<std::pair<uint32_t, uint64_t>, Flags> states_;
  uint32_t next_ = 0;
  int reconnects_ = 0, losses_ = 0;
  std::string wrong_, log_;
};

TEST(Resync, TheCopyOfAClientThatIsCutOffIsRightAgain) {
  const char* chosen = std::getenv("RIMS_SEED");
  const char* runs = std::getenv("RIMS_RUNS");
  const uint64_t first = chosen ? std::stoull(chosen) : 1;
  const uint64_t count = chosen ? 1 : runs ? std::stoull(runs) : 12;
  int reconnects = 0, losses = 0;
  for (uint64_t seed = first; seed < first + count; seed++) {
    Resync test(seed);
    test.play(200);
    reconnects += test.reconnects();
    losses += test.losses();
    ASSERT_EQ(test.wrong(), "") << "RIMS_SEED=" << seed;
  }
  EXPECT_GE(reconnects, static_cast<int>(count) * 10);
  if (!chosen) {
    EXPECT_GE(losses, static_cast<int>(count) / 2);
  }
}

// RFC 7162 §3.2.5: one answer, which is as long as the changes are many, not as the mailbox is
// large.
TEST(Resync, OfALargeMailboxIsAsLongAsItsChanges) {
  Stage stage;
  stage.start();
  const auto reply = run(stage.loop, stage.deliver("foo", "INBOX", standard_message(1)));
  ASSERT_EQ(reply.status, ipc::Delivery::delivered);
  auto client = run(stage.loop, stage.log_in("foo"));
  const auto command = [&](const std::string& text) {
    return run(stage.loop, client->command("t", text));
  };
  [[maybe_unused]] auto lines = command("SELECT INBOX");
  for (int doubled = 0; doubled < 17; doubled++) lines = command("UID COPY 1:* INBOX");
  lines = command("STATUS INBOX (MESSAGES UIDVALIDITY HIGHESTMODSEQ)");
  const std::string status = lines[lines.size() - 2];
  EXPECT_TRUE(status.find("MESSAGES 131072 ") != std::string::npos) << status;
  const auto number = [&status](std::string_view name) {
    return std::stoull(status.substr(status.find(name) + name.size()));
  };
  const uint64_t modseq = number("HIGHESTMODSEQ ");
  const std::string parameters =
      fmt::format("(QRESYNC ({} {} 1:131072))", number("UIDVALIDITY "), modseq);
  lines = command("UID STORE 70000 +FLAGS.SILENT (\\Flagged)");
  lines = command("UID STORE 5,60000:60009,131072 +FLAGS.SILENT (\\Deleted)");
  lines = command("EXPUNGE");
  lines = command("UNSELECT");

  client = run(stage.loop, stage.log_in("foo"));
  lines = command("ENABLE QRESYNC");
  lines = command("EXAMINE INBOX " + parameters);
  ASSERT_EQ(lines.size(), 12U);
  EXPECT_EQ(lines[2], "* 131060 EXISTS");
  EXPECT_EQ(lines[9], "* VANISHED (EARLIER) 5,60000:60009,131072");
  EXPECT_TRUE(lines[10].starts_with("* 69989 FETCH (UID 70000 FLAGS (\\Flagged) MODSEQ ("))
      << lines[10];
  lines = command(fmt::format("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {} VANISHED)", modseq));
  EXPECT_EQ(lines.size(), 3U);
  client.reset();
  run(stage.loop, stage.stop());
}

}  // namespace
}  // namespace rims::test
