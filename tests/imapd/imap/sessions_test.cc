// tests/imapd/imap/sessions_test.cc - many sessions of one account, each answer held against a
// model
//
// From a seed, sessions of every kind (IMAP4rev1, CONDSTORE, QRESYNC, IMAP4rev2, UIDONLY) do what
// clients do to two mailboxes, one command after the other, while what each of them was told lags
// behind by as much as chance wants. The model says what each answer must be: which numbers name
// which messages, what was found and changed, which flags are told, and what is not told before it
// may be (RFC 3501 §7.4.1; 2180 §4; 9051 §7.5.1; 9586 §3). Each pair of commands of two sessions
// comes one after the other. RIMS_SEED=N plays one seed, RIMS_RUNS=N so many, RIMS_SECONDS=N as
// many as there is time for.

#include <algorithm>
#include <array>
#include <chrono>
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
using Uids = std::vector<uint32_t>;

constexpr std::array kMailboxes{"INBOX", "Trash"};
constexpr std::array kFlags{"\\Seen", "\\Flagged", "\\Deleted", "$Label"};

// What is in a mailbox now.
struct Box {
  std::map<uint32_t, Flags> messages;
  uint32_t next = 1;
};

enum class Kind : uint8_t { rev1, condstore, qresync, rev2, uidonly };
constexpr std::array kEnable{"", "CONDSTORE", "QRESYNC", "IMAP4rev2", "UIDONLY"};

// One client, and what it believes.
struct Client {
  Kind kind{};
  std::unique_ptr<TestClient> connection;
  size_t mailbox = 0;
  bool selected = false;
  Uids view;                        // by number
  std::map<uint32_t, Flags> flags;  // of those in the view
  [[nodiscard]] bool by_uid_only() const { return kind == Kind::uidonly; }
  [[nodiscard]] bool hears_uids() const { return kind == Kind::qresync || kind == Kind::uidonly; }
};

enum class Verb : uint8_t {
  noop,
  append,
  fetch,
  fetch_body,
  store,
  store_silent,
  search,
  copy,
  move,
  expunge,
  uid_expunge,
  close,
  select,
  last = select
};
constexpr size_t kVerbs = static_cast<size_t>(Verb::last) + 1;

std::string in_parentheses(std::string_view line, std::string_view name) {
  const size_t at = line.find(name);
  if (at == std::string_view::npos) return "(none)";
  line.remove_prefix(at + name.size());
  return std::string(line.substr(0, line.find(')')));
}

Flags flags_in(std::string_view line) {
  std::string list = in_parentheses(line, "FLAGS (");
  Flags flags;
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(' ', at), list.size());
    if (const std::string flag = list.substr(at, end - at); flag != "\\Recent") flags.insert(flag);
    at = end + 1;
  }
  return flags;
}

class Play {
 public:
  explicit Play(uint64_t seed) : random_(seed) {}

  void play(int steps) {
    stage_.start();
    run(stage_.loop, story(steps));
  }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  // Which command of one session was followed by which of another.
  [[nodiscard]] const std::set<std::pair<Verb, Verb>>& pairs() const { return pairs_; }

 private:
  uint32_t below(size_t n) {
    return std::uniform_int_distribution<uint32_t>(0, static_cast<uint32_t>(n) - 1)(random_);
  }
  bool chance(uint32_t percent) { return below(100) < percent; }
  void say(const std::string& what) {
    if (wrong_.empty()) wrong_ = what + "\n" + log_;
  }
  void note(size_t who, std::string_view line) {
    log_ += fmt::format("{}{} {}\n", who, kEnable[static_cast<size_t>(clients_[who].kind)], line);
    if (log_.size() > 12'000) log_.erase(0, log_.find('\n', 6'000) + 1);
  }
  Box& box_of(const Client& client) { return boxes_[client.mailbox]; }

  // --- what a client is told ---

  void take_exists(Client& client, size_t count) {
    const uint32_t last = client.view.empty() ? 0 : client.view.back();
    for (const auto& [uid, flags] : box_of(client).messages) {
      if (uid <= last) continue;
      client.view.push_back(uid);
      client.flags[uid] = flags;
    }
    if (client.view.size() != count)
      say(fmt::format("EXISTS says {}, but it is {}", count, client.view.size()));
  }

  void take_gone(Client& client, size_t index) {
    const uint32_t uid = client.view[index];
    if (!expunges_allowed_) say(fmt::format("UID {} was expunged in the wrong answer", uid));
    if (box_of(client).messages.contains(uid)) say(fmt::format("UID {} is still there", uid));
    client.view.erase(client.view.begin() + index);
    client.flags.erase(uid);
  }

  void take_vanished(Client& client, std::string_view set) {
    if (!client.hears_uids()) say("VANISHED was not asked for");
    for (const uint32_t uid : numbers_in(set)) {
      const auto at = std::ranges::find(client.view, uid);
      if (at == client.view.end())
        say(fmt::format("VANISHED names UID {}, which is not counted", uid));
      else
        take_gone(client, static_cast<size_t>(at - client.view.begin()));
    }
  }

  void take_fetch(Client& client, const std::string& line, uint32_t number, bool by_uid) {
    uint32_t uid = number;
    if (by_uid != client.by_uid_only()) say("FETCH of the wrong kind");
    if (!by_uid) {
      if (number == 0 || number > client.view.size()) return say("FETCH of an unknown number");
      uid = client.view[number - 1];
    } else if (std::ranges::find(client.view, uid) == client.view.end()) {
      return say("UIDFETCH of an unknown UID");
    }
    for (const char* before : {"(UID ", " UID "})
      if (const size_t at = line.find(before); at != std::string::npos && !line.contains("BODY["))
        if (std::stoul(line.substr(at + 5)) != uid) say("the number is of another UID");
    told_.push_back(uid);
    if (!line.contains("FLAGS (")) return;
    client.flags[uid] = flags_in(line);
    if (client.kind == Kind::rev2 && line.contains("\\Recent")) say("IMAP4rev2 has no \\Recent");
    const auto there = box_of(client).messages.find(uid);
    if (there == box_of(client).messages.end())
      say(fmt::format("flags of UID {}, which is gone", uid));
    else if (there->second != client.flags[uid])
      say(fmt::format("UID {} has other flags", uid));
  }

  void take(size_t who, const std::string& line) {
    Client& client = clients_[who];
    note(who, "> " + line.substr(0, 300));
    if (const size_t code = line.find("[COPYUID "); code != std::string::npos)
      copied_ = line.substr(code + 9, line.find(']') - code - 9);
    if (line.starts_with("* VANISHED ")) {
      take_vanished(client, std::string_view(line).substr(11));
    } else if (line.starts_with("* SEARCH")) {
      if (client.kind == Kind::rev2) say("SEARCH to IMAP4rev2");
      found_ = numbers_in(std::string_view(line).substr(8));
    } else if (line.starts_with("* ESEARCH ")) {
      const size_t all = line.find(" ALL ");
      found_ =
          all == std::string::npos ? Uids() : numbers_in(std::string_view(line).substr(all + 5));
    } else if (line.ends_with(" RECENT")) {
      if (client.kind == Kind::rev2) say("RECENT to IMAP4rev2");
    } else if (line.starts_with("* ") && line.size() > 2 && line[2] >= '0' && line[2] <= '9') {
      const auto number = static_cast<uint32_t>(std::stoul(line.substr(2)));
      const std::string rest = line.substr(line.find(' ', 2) + 1);
      if (rest == "EXISTS") {
        take_exists(client, number);
      } else if (rest == "EXPUNGE") {
        if (client.hears_uids()) return say("EXPUNGE instead of VANISHED");
        if (number == 0 || number > client.view.size()) return say("EXPUNGE of an unknown number");
        take_gone(client, number - 1);
      } else if (rest.starts_with("FETCH (") || rest.starts_with("UIDFETCH (")) {
        take_fetch(client, line, number, rest.starts_with("UIDFETCH"));
      } else {
        say("what is that: " + line);
      }
    }
  }

  // Sends it, takes all of the answer, and returns the tagged line without its tag.
  Task<std::string> ask(size_t who, std::string text) {
    Client& client = clients_[who];
    told_.clear();
    found_.reset();
    note(who, "< " + text.substr(0, text.find('\r')));
    co_await client.connection->send("t " + text + "\r\n");
    while (true) {
      const auto line = co_await client.connection->line();
      if (!line) {
        say("the connection ended");
        co_return "";
      }
      take(who, *line);
      if (line->starts_with("t ")) co_return line->substr(2);
    }
  }

  // --- what must be so after each command ---

  // All that may be told was told: arrivals and flags always, expunges where they may be.
  void check_told(const Client& client) {
    if (!client.selected) return;
    const Box& box = boxes_[client.mailbox];
    for (const auto& [uid, flags] : box.messages) {
      const auto known = client.flags.find(uid);
      if (known == client.flags.end())
        say(fmt::format("UID {} was not told of", uid));
      else if (known->second != flags)
        say(fmt::format("a change of UID {} was not told", uid));
    }
    if (expunges_allowed_ && client.view.size() != box.messages.size())
      say("an expunge was not told");
    if (!std::ranges::is_sorted(client.view)) say("the view is not in order");
  }

  // --- the commands ---

  struct Chosen {
    std::string set;  // as it is written
    Uids uids;        // that it names and that are still there
    bool by_uid = false, some_gone = false;
  };

  // Numbers or UIDs of what the client counts.
  Chosen choose(const Client& client) {
    const Box& box = boxes_[client.mailbox];
    Chosen chosen;
    chosen.by_uid = client.by_uid_only() || chance(50);
    const size_t first = below(client.view.size());
    const size_t last = chance(60) ? first : first + below(client.view.size() - first);
    for (size_t i = first; i <= last; i++) {
      if (box.messages.contains(client.view[i]))
        chosen.uids.push_back(client.view[i]);
      else
        chosen.some_gone = true;
    }
    if (chosen.by_uid)
      chosen.set = fmt::format("{}:{}", client.view[first], client.view[last]);
    else if (last + 1 == client.view.size() && chance(50))
      chosen.set = fmt::format("{}:*", first + 1);
    else
      chosen.set = fmt::format("{}:{}", first + 1, last + 1);
    return chosen;
  }

  void expect(std::string_view reply, std::string_view begin) {
    if (!reply.starts_with(begin)) say(fmt::format("expected {}, got {}", begin, reply));
  }

  // OK, or for numbers of which some are gone what RFC 2180 §4.1 and §4.2 have.
  void expect_done(std::string_view reply, const Chosen& chosen) {
    expect(reply, chosen.some_gone && !chosen.by_uid ? "NO [EXPUNGEISSUED]" : "OK");
  }

  // Each of `uids` was told, in order, and what else was told is news.
  void expect_told(const Uids& uids) {
    size_t at = 0;
    for (const uint32_t uid : told_)
      if (at < uids.size() && uid == uids[at]) at++;
    if (at < uids.size()) say(fmt::format("UID {} was not answered", uids[at]));
  }

  Task<void> fetch(size_t who, bool body) {
    Client& client = clients_[who];
    const Chosen chosen = choose(client);
    expunges_allowed_ = chosen.by_uid;
    if (body)
      for (const uint32_t uid : chosen.uids) box_of(client).messages[uid].insert("\\Seen");
    const std::string reply =
        co_await ask(who, fmt::format("{}FETCH {} {}", chosen.by_uid ? "UID " : "", chosen.set,
                                      body ? "BODY[HEADER.FIELDS (SUBJECT)]" : "FLAGS"));
    expect_done(reply, chosen);
    expect_told(chosen.uids);
  }

  Task<void> store(size_t who, bool silent) {
    Client& client = clients_[who];
    const Chosen chosen = choose(client);
    expunges_allowed_ = chosen.by_uid;
    const std::string flag = kFlags[below(kFlags.size())];
    const uint32_t how = below(5);
    const auto apply = [&](Flags& flags) {
      if (how >= 4) flags = {flag};
      if (how == 3) flags.erase(flag);
      if (how < 3) flags.insert(flag);
    };
    for (const uint32_t uid : chosen.uids) {
      apply(box_of(client).messages[uid]);
      if (silent) apply(client.flags[uid]);
    }
    const std::string reply = co_await ask(
        who, fmt::format("{}STORE {} {}FLAGS{} ({})", chosen.by_uid ? "UID " : "", chosen.set,
                         how >= 4   ? ""
                         : how == 3 ? "-"
                                    : "+",
                         silent ? ".SILENT" : "", flag));
    if (silent) {
      expect(reply, "OK");
    } else {
      expect_done(reply, chosen);
      expect_told(chosen.uids);
    }
  }

  Task<void> search(size_t who) {
    Client& client = clients_[who];
    const bool by_uid = client.by_uid_only() || chance(50);
    expunges_allowed_ = by_uid;
    const bool deleted = chance(50);
    Uids expected;
    const Uids view = client.view;
    for (size_t i = 0; i < view.size(); i++) {
      const auto there = box_of(client).messages.find(view[i]);
      if (there != box_of(client).messages.end() && there->second.contains("\\Deleted") == deleted)
        expected.push_back(by_uid ? view[i] : static_cast<uint32_t>(i) + 1);
    }
    const std::string reply = co_await ask(
        who, fmt::format("{}SEARCH {}", by_uid ? "UID " : "", deleted ? "DELETED" : "UNDELETED"));
    expect(reply, "OK");
    if (!found_ || *found_ != expected) say("that was not what is there");
  }

  // The model knows the new UIDs before the answer is read: they follow in order.
  Task<void> copy(size_t who, bool moves) {
    Client& client = clients_[who];
    const Chosen chosen = choose(client);
    const size_t target = below(kMailboxes.size());
    Box &from = box_of(client), &to = boxes_[target];
    const bool refused = chosen.some_gone && !chosen.by_uid;
    const bool does = !refused && !chosen.uids.empty();
    Uids made;
    if (does)
      for (const uint32_t uid : chosen.uids) {
        const Flags flags = from.messages.at(uid);
        if (moves) from.messages.erase(uid);
        made.push_back(to.next);
        to.messages[to.next++] = flags;
      }
    copied_.clear();
    const std::string reply =
        co_await ask(who, fmt::format("{}{} {} {}", chosen.by_uid ? "UID " : "",
                                      moves ? "MOVE" : "COPY", chosen.set, kMailboxes[target]));
    expect(reply, refused ? "NO [EXPUNGEISSUED]" : "OK");
    if (!does) co_return;
    if (copied_.empty()) co_return say("no COPYUID");
    const size_t middle = copied_.find(' ') + 1, end = copied_.rfind(' ');
    if (numbers_in(copied_.substr(middle, end - middle)) != chosen.uids ||
        numbers_in(copied_.substr(end + 1)) != made)
      say("COPYUID is not as expected: " + copied_);
  }

  static std::string list(const Uids& uids) {
    std::string text;
    for (const uint32_t uid : uids) text += fmt::format("{}{}", text.empty() ? "" : ",", uid);
    return text;
  }
  // The last set of a response code.
  static std::string in_brackets(const std::string& reply) {
    const std::string code = reply.substr(0, reply.find(']'));
    return code.substr(code.rfind(' ') + 1);
  }

  Task<void> append(size_t who) {
    const size_t target = below(kMailboxes.size());
    const bool seen = chance(50);
    const std::string bytes = standard_message(1);
    Box& box = boxes_[target];
    box.messages[box.next++] = seen ? Flags{"\\Seen"} : Flags{};
    expunges_allowed_ = true;
    const std::string reply =
        co_await ask(who, fmt::format("APPEND {} ({}) {{{}+}}\r\n{}", kMailboxes[target],
                                      seen ? "\\Seen" : "", bytes.size(), bytes));
    expect(reply, "OK [APPENDUID ");
    if (numbers_in(in_brackets(reply)) != Uids{box.next - 1}) say("APPENDUID is not as expected");
  }

  // With UIDs of what the client counts; or all that are marked, also those that it does not know.
  Task<void> expunge(size_t who, bool some) {
    Client& client = clients_[who];
    Uids named;
    if (some)
      for (const uint32_t uid : client.view)
        if (chance(50)) named.push_back(uid);
    if (named.empty()) some = false;
    std::erase_if(box_of(client).messages, [&](const auto& message) {
      return message.second.contains("\\Deleted") &&
             (!some || std::ranges::find(named, message.first) != named.end());
    });
    expect(co_await ask(who, some ? "UID EXPUNGE " + list(named) : "EXPUNGE"), "OK");
  }

  Task<void> close(size_t who) {
    Client& client = clients_[who];
    std::erase_if(box_of(client).messages,
                  [](const auto& message) { return message.second.contains("\\Deleted"); });
    const auto before = client.view;
    expect(co_await ask(who, "CLOSE"), "OK");
    if (client.view != before) say("CLOSE told of expunges");
    client.selected = false;
  }

  Task<void> select(size_t who) {
    Client& client = clients_[who];
    client.selected = false;
    client.mailbox = below(kMailboxes.size());
    client.view.clear();
    client.flags.clear();
    expunges_allowed_ = true;
    expect(co_await ask(who, fmt::format("SELECT {}", kMailboxes[client.mailbox])), "OK");
    client.selected = true;
  }

  Task<void> log_in(size_t who) {
    Client& client = clients_[who];
    client.connection = co_await stage_.log_in("foo");
    client.selected = false;
    client.view.clear();
    client.flags.clear();
    const std::string what = kEnable[static_cast<size_t>(client.kind)];
    if (!what.empty()) expect(co_await ask(who, "ENABLE " + what), "OK");
    co_await select(who);
  }

  Task<void> act(size_t who) {
    Client& client = clients_[who];
    auto verb = static_cast<Verb>(below(kVerbs));
    if (!client.selected) verb = chance(60) ? Verb::select : Verb::append;
    const bool names_some = verb == Verb::fetch || verb == Verb::fetch_body ||
                            verb == Verb::store || verb == Verb::store_silent ||
                            verb == Verb::copy || verb == Verb::move || verb == Verb::uid_expunge;
    if (names_some && client.view.empty()) verb = Verb::append;
    if (last_ && last_->first != who) pairs_.emplace(last_->second, verb);
    last_ = {who, verb};
    expunges_allowed_ = true;
    switch (verb) {
      case Verb::noop:
        expect(co_await ask(who, "NOOP"), "OK");
        break;
      case Verb::append:
        co_await append(who);
        break;
      case Verb::fetch:
      case Verb::fetch_body:
        co_await fetch(who, verb == Verb::fetch_body);
        break;
      case Verb::store:
      case Verb::store_silent:
        co_await store(who, verb == Verb::store_silent);
        break;
      case Verb::search:
        co_await search(who);
        break;
      case Verb::copy:
      case Verb::move:
        co_await copy(who, verb == Verb::move);
        break;
      case Verb::expunge:
      case Verb::uid_expunge:
        co_await expunge(who, verb == Verb::uid_expunge);
        break;
      case Verb::close:
        co_await close(who);
        break;
      case Verb::select:
        co_await select(who);
        break;
    }
    check_told(client);
  }

  Task<void> story(int steps) {
    for (const Kind kind :
         {Kind::rev1, Kind::condstore, Kind::qresync, Kind::rev2, Kind::uidonly, Kind::rev1})
      clients_.push_back({.kind = kind, .connection = {}, .view = {}, .flags = {}});
    for (size_t who = 0; who < clients_.size(); who++) co_await log_in(who);
    for (int i = 0; i < 6; i++) co_await append(0);
    for (int i = 0; i < steps && wrong_.empty(); i++) {
      const size_t who = below(clients_.size());
      if (chance(1)) {
        clients_[who].connection.reset();
        co_await log_in(who);
      } else {
        co_await act(who);
      }
    }
    for (Client& client : clients_) client.connection.reset();
    co_await stage_.stop();
  }

  std::mt19937_64 random_;
  Stage stage_;
  std::array<Box, kMailboxes.size()> boxes_;
  std::vector<Client> clients_;
  std::optional<std::pair<size_t, Verb>> last_;
  std::set<std::pair<Verb, Verb>> pairs_;
  // Of the command in work.
  bool expunges_allowed_ = true;
  Uids told_;
  std::optional<Uids> found_;
  std::string copied_;  // COPYUID
  std::string wrong_, log_;
};

TEST(Sessions, AreToldOneTruthAndWhenTheyMayBe) {
  const char* chosen = std::getenv("RIMS_SEED");
  const char* runs = std::getenv("RIMS_RUNS");
  const char* seconds = std::getenv("RIMS_SECONDS");
  const uint64_t first = chosen ? std::stoull(chosen) : 1;
  const uint64_t count = chosen ? 1 : runs ? std::stoull(runs) : 12;
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(seconds ? std::stoull(seconds) : 0);
  std::set<std::pair<Verb, Verb>> pairs;
  for (uint64_t seed = first;
       seconds ? std::chrono::steady_clock::now() < end : seed < first + count; seed++) {
    Play play(seed);
    play.play(400);
    pairs.insert(play.pairs().begin(), play.pairs().end());
    ASSERT_EQ(play.wrong(), "") << "RIMS_SEED=" << seed;
  }
  if (!chosen) {
    EXPECT_EQ(pairs.size(), kVerbs * kVerbs) << "not every pair of commands was met";
  }
}

}  // namespace
}  // namespace rims::test
