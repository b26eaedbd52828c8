// tests/crash/index_damage_test.cc - index files destroyed in every way, and rebuilt to the same
// answers
//
//   RIMS_INDEX_RUNS   how many destructions (1,000; RIMS_LONG=1: 50,000)
//   RIMS_CRASH_SEED   other choices
//
// The account is small. Its index could wrongly be taken for an older one, for one that a killed
// process has left behind, or for that of another account; they are put in its place, too, and
// agree in all they can. One that is ahead of the journal is evidence that the journal lost its
// end: then no number that it knows is given out again, and all else is as the journal says.

#include <cstdio>
#include <functional>
#include <map>
#include <random>
#include <sys/stat.h>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/index/gdbm_key_value.h"
#include "common/index/index_codec.h"
#include "common/index/structure_files.h"
#include "common/mail/bytes.h"
#include "common/maintenance/inspect.h"
#include "common/message/kept_fields.h"
#include "common/message/structure.h"
#include "tests/account/file_fixture.h"
#include "tests/crash/harness.h"

namespace rims::store {
namespace {

using Files = std::map<std::string, std::string>;  // by name, of one directory

// GDBM files, with one of the rules of the index left out.
class Mutant final : public KeyValueFactory {
 public:
  enum class Without : uint8_t { nothing, dirty_mark, generations, checksums, evidence };
  explicit Mutant(Without without) : without_(without), files_(without != Without::checksums) {}
  Result<std::unique_ptr<KeyValueStore>> open(const std::string& user, const AccountDir* dir,
                                              const std::string& name, OpenMode mode) override {
    // An index that is thrown away is read once more, for what it knows.
    if (without_ == Without::evidence && mode == OpenMode::read_only)
      return fail(Fault::storage, "no evidence");
    TRY(auto store, files_.open(user, dir, name, mode));
    return std::make_unique<View>(std::move(store), without_);
  }
  std::vector<std::string> names(const std::string& user, const AccountDir* dir) override {
    return files_.names(user, dir);
  }
  Status remove(const std::string& user, const AccountDir* dir, const std::string& name) override {
    return files_.remove(user, dir, name);
  }

 private:
  class View final : public KeyValueStore {
   public:
    View(std::unique_ptr<KeyValueStore> store, Without without)
        : store_(std::move(store)), without_(without) {}
    Result<std::optional<std::string>> get(std::string_view key) override {
      return store_->get(key);
    }
    Status put(std::string_view key, std::string_view value) override {
      std::string changed(value);
      if (without_ == Without::dirty_mark && key == "meta" && value[4] == 1) return {};
      if (without_ == Without::generations) {
        size_t at = value.size();
        if (key.starts_with('c')) at = 0;
        if (key == "meta") at = 48;
        // That of a mailbox has its id and uidvalidity first.
        if (key == "head") at = get_int<uint32_t>(value.data() + 4) != 0 ? 16 : 8;
        if (at < value.size() && get_int<uint64_t>(value.data() + at) != 0)
          put_int(changed.data() + at, uint64_t{1});
      }
      return store_->put(key, changed);
    }
    Status remove(std::string_view key) override { return store_->remove(key); }
    Status for_each(const std::function<void(std::string_view, std::string_view)>& f) override {
      return store_->for_each(f);
    }
    Status sync() override { return store_->sync(); }

   private:
    std::unique_ptr<KeyValueStore> store_;
    Without without_;
  };

  Without without_;
  GdbmFiles files_;
};

class IndexDamageTest : public FileTest {
 protected:
  IndexDamageTest() { quick_ = true; }
  void SetUp() override {
    if (!getenv("RIMS_VERBOSE")) log::set_sink(&quiet_);
    FileTest::SetUp();
  }
  void TearDown() override {
    check_at_end_.clear();
    FileTest::TearDown();
    log::set_sink(nullptr);
  }
  Options options() override {
    Options o = FileTest::options();
    o.key_values = &*mutant_;
    return o;
  }

  // Numbers that are skipped after a stop that was not orderly.
  static constexpr uint32_t kUnseen = 10'000;
  // One chunk of structures, and a few that are in none.
  static constexpr uint32_t kMessages = StructureFiles::kPerChunk + 4;

  // Every answer that the account gives.
  struct Answers {
    AccountState state;
    std::map<MessageId, std::string> messages;
    std::map<MailboxId, std::vector<std::vector<UidRange>>>
        vanished;  // since 0, and since the middle
  };
  Result<Answers> ask(const std::shared_ptr<Account>& account) {
    Answers a;
    TRY(const auto* state, run(loop_, account->whole_state()));
    a.state = *state;
    for (const auto& [id, mailbox] : a.state.mailboxes()) {
      for (const ModSeq since : {ModSeq(0), middle_}) {
        TRY(auto gone, run(loop_, account->vanished(id, since)));
        a.vanished[id].push_back(std::move(gone));
      }
      for (const auto& e : mailbox->messages()) {
        if (a.messages.contains(e.message)) continue;
        TRY(const std::string bytes, run(loop_, account->read(e.message)));
        TRY(const std::string structure, run(loop_, account->read_structure(e.message)));
        a.messages[e.message] = bytes + structure;
      }
    }
    std::vector<MessageId> all;
    for (const auto& [id, bytes] : a.messages) all.push_back(id);
    for (size_t from = 0; from < all.size();) {
      TRY(const auto kept,
          run(loop_, account->read_structures(std::span(all).subspan(from),
                                              {.structure = true, .fields = true})));
      for (size_t i = 0; i < kept.size(); i++, from++) {
        TRY(const auto structure, message::StructureView::open(kept[i].structure));
        TRY(const auto fields, message::KeptFields::open(kept[i].fields));
        a.messages[all[from]] += structure.envelope();
        a.messages[all[from]] += fields.header();
      }
    }
    return a;
  }
  static std::string difference(const Answers& before, const Answers& now) {
    if (auto different = now.state.difference(before.state); !different.empty()) return different;
    if (now.vanished != before.vanished) return "the history of what was expunged";
    return now.messages == before.messages ? "" : "the bytes of a message";
  }

  static Files files_in(const fs::path& directory) {
    Files all;
    for (const auto& entry : fs::directory_iterator(directory))
      if (entry.is_regular_file()) all[entry.path().filename().string()] = slurp(entry.path());
    return all;
  }
  static void put(const fs::path& path, const std::string& bytes) {
    spew(path, bytes);
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  }

  // The same for each user, up to the flags of messages, which no counter counts.
  void fill(const std::string& user, uint8_t flag) {
    auto account = open(user);
    std::vector<NewMessage> list;
    for (uint32_t i = 0; i < kMessages; i++) {
      const std::string bytes =
          fmt::format("Subject: {} of {}\n\nmessage{}", i, user, std::string(100, 'x'));
      list.push_back(message(bytes, static_cast<uint8_t>(flag | (i % 3 == 0 ? kSeen : 0)),
                             {"k" + std::to_string(i % 2)}));
      list.back().structure = message::make_structure(bytes);
      list.back().delivery_key[0] = static_cast<uint8_t>(i + 1);
    }
    must(account->append(inbox(account), std::move(list)));
    must(account->create("Work/2026"));
    must(account->subscribe("not/there"));
    const auto work = account->find("Work/2026")->id;
    must(account->copy(inbox(account), uids({1, 2, 3, 4}), work));
    must(account->expunge(inbox(account), uids({2, 12})));
    middle_ = account->modseq();
    must(account->expunge(work, uids({4})));
    must(account->expunge(inbox(account), uids({11})));
    account->claim_recent(work);
    account.reset();
    reopen();
  }
  // What changes no counter but the modseq.
  void change(const std::string& user) {
    auto account = open(user);
    for (const auto* name : {"INBOX", "Work/2026"})
      must(account->change_flags(
          account->find(name)->id,
          {.uids = uids({1, 3}), .op = FlagOp::add, .flags = kDeleted, .keywords = {"k1"}}));
    account.reset();
    reopen();
  }

  void build(Mutant::Without without) {
    if (store_) stop();
    mutant_.emplace(without);
    make_store();
    for (const std::string user : {"foo", "bar"}) {
      fill(user, user == "foo" ? kFlagged : kAnswered);
      if (user == "foo") older_ = files_in(dir());
      change(user);
    }
    index_ = files_in(dir());
    foreign_ = files_in(dir("bar"));
    journal_ = files_in(dir() / "journal");
    for (const char* name :
         {"meta.gdbm", "mailbox_1.gdbm", "message.gdbm", "structure_0", "fields_0"})
      ASSERT_TRUE(index_.contains(name)) << name;
    auto account = open();
    // Further than the journal will be: written behind, and never closed.
    must(account->append(inbox(account), messages({"more", "and more"})));
    must(account->expunge(inbox(account), uids({5})));
    must(account->change_flags(
        inbox(account), {.uids = uids({1}), .op = FlagOp::add, .flags = kDraft, .keywords = {}}));
    run(loop_, account->tidy());
    ahead_ = files_in(dir());
    const Snapshot known = must(account->whole_state())->snapshot();
    const auto start_over = [&] {
      account.reset();
      crash();
      restore();
      make_store();
      account = open();
    };
    start_over();
    // Written behind, with a claim of \Recent whose record the journal will not have.
    (void)must(account->open_mailbox(inbox(account)));
    account->claim_recent(inbox(account));
    run(loop_, account->tidy());
    claimed_ = files_in(dir());
    // States that share nothing.
    for (Answers* answers : {&before_, &beyond_, &skipped_, &claimed_so_}) {
      start_over();
      auto found = ask(account);
      ASSERT_TRUE(found) << found.error().detail();
      *answers = *std::move(found);
    }
    const auto add = [&](Answers& answers, Record record) {
      answers.state.apply({.seq = before_.state.seq(),
                           .time = 0,
                           .location = {},
                           .dropped = false,
                           .record = std::move(record)});
    };
    Snapshot counters = known;
    counters.mailboxes.clear();
    counters.whole = false;
    add(beyond_, known);
    add(skipped_, counters);
    const MailboxInfo& box = before_.state.mailboxes().at(MailboxId(1))->info();
    ASSERT_EQ(box.name, "INBOX");
    add(claimed_so_, Recent{.mailbox = box.id, .first = box.uidnext});
    for (Answers* answers : {&beyond_, &skipped_, &claimed_so_})
      add(*answers, Gap{.skip = kUnseen});
    account.reset();
    crash();
  }
  void restore() {
    for (const auto& entry : fs::directory_iterator(dir())) fs::remove_all(entry.path());
    fs::create_directory(dir() / "journal");
    fs::permissions(dir() / "journal", fs::perms::owner_all);
    for (const auto& [name, bytes] : journal_) put(dir() / "journal" / name, bytes);
    for (const auto& [name, bytes] : index_) put(dir() / name, bytes);
  }

  uint32_t pick(size_t count) { return static_cast<uint32_t>(random_() % count); }
  std::string any_file() { return std::next(index_.begin(), pick(index_.size()))->first; }
  // Writes into the file that is there, as a fault of the disk would.
  static void overwrite(const fs::path& path, const std::string& bytes, uint64_t at = 0) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at));
    file << bytes;
  }

  std::string destroy() {
    const std::string name = any_file();
    const fs::path path = dir() / name;
    const auto replace_by = [&](const Files& other) {
      fs::remove(path);
      if (const auto found = other.find(name); found != other.end()) put(path, found->second);
    };
    const auto replace_all = [&](const Files& other) {
      for (const auto& [file, bytes] : index_) fs::remove(dir() / file);
      for (const auto& [file, bytes] : other) put(dir() / file, bytes);
    };
    const auto flip = [&](size_t count) {
      std::string bytes = slurp(path);
      if (bytes.empty()) return;
      for (size_t i = 0; i < count; i++) {
        size_t at = pick(bytes.size());
        // Most of a file is zeros.
        for (int tries = 0; tries < 20'000 && bytes[at] == 0; tries++) at = pick(bytes.size());
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << pick(8)));
      }
      overwrite(path, bytes);
    };
    if (!fs::is_regular_file(fs::symlink_status(path))) return name + " is gone";
    const size_t size = index_.at(name).size();
    switch (pick(20)) {
      case 0:
        fs::remove(path);
        return name + " removed";
      case 1:
        fs::resize_file(path, pick(size));
        return name + " truncated";
      case 2:
        fs::resize_file(path, 0);
        return name + " emptied";
      case 3:
        fs::resize_file(path, size + 1 + pick(100'000));
        return name + " extended";
      case 4: {
        std::string junk(1 + pick(9000), '\0');
        for (auto& c : junk) c = static_cast<char>(random_());
        overwrite(path, junk, pick(2) ? size : pick(size));
        return name + " with junk";
      }
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
        flip(1);
        return name + ": a bit flipped";
      case 10:
        flip(2 + pick(300));
        return name + ": bits flipped";
      case 11:
        overwrite(path, std::string(pick(2) ? 512 : 4096, '\0'), pick(size) / 512 * 512);
        return name + ": a page of zeros";
      case 12: {
        const std::string other = any_file();
        fs::rename(path, dir() / "aside");
        if (other != name) fs::rename(dir() / other, path);
        fs::rename(dir() / "aside", dir() / other);
        return name + " swapped with " + other;
      }
      case 13:
        replace_by(older_);
        return name + " of an older time";
      case 14: {
        const bool ahead = pick(2) != 0;
        knows_more_ |= ahead && name == "meta.gdbm";
        knows_claim_ |= !ahead && name == "meta.gdbm";
        replace_by(ahead ? ahead_ : claimed_);
        return name + (ahead ? " of a process that was killed" : " of one killed after a claim");
      }
      case 15:
        replace_by(foreign_);
        return name + " of another account";
      case 16: {
        static const char* const kNames[] = {"an older index", "the index of a killed process",
                                             "the index of a process that was killed after a claim",
                                             "the index of another account"};
        const Files* const all[] = {&older_, &ahead_, &claimed_, &foreign_};
        const uint32_t which = pick(4);
        knows_more_ |= all[which] == &ahead_;
        knows_claim_ |= all[which] == &claimed_;
        replace_all(*all[which]);
        return kNames[which];
      }
      case 17:
        fs::remove_all(path);
        fs::create_directory(path);
        if (pick(2)) put(path / "something", "of somebody");
        return name + " a directory";
      case 18:
        fs::remove_all(path);
        if (pick(2))
          fs::create_symlink("nowhere", path);
        else
          fs::create_symlink(dir("bar") / name, path);
        return name + " a symbolic link";
      default:
        if (pick(4) == 0) {
          fs::remove(path);
          EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
          return name + " a pipe";
        }
        fs::permissions(path, pick(2) ? fs::perms::none : fs::perms::owner_read);
        return name + " of another mode";
    }
  }

  // One destruction, then all questions. Empty: the answers are right.
  std::string once(Count& count) {
    restore();
    make_store();
    knows_more_ = knows_claim_ = false;
    const uint64_t faults_before = count.faults;
    count.states++;
    std::shared_ptr<Account> account;
    const bool in_use = pick(4) == 0;
    if (in_use) account = *run(loop_, store_->open("foo"));
    std::string what;
    for (uint32_t left = pick(4) == 0 ? 3 : 1; left > 0; left--) {
      count.faults++;
      try {
        what += destroy();
      } catch (const fs::filesystem_error&) {
        what += "nothing";  // what was to be destroyed is no file any more
      }
      what += left > 1 ? ", " : in_use ? " (in use)" : "";
    }
    // Afterwards the index is sound again: the next opening need not make it once more.
    const int rounds = pick(6) == 0 ? 2 : 1;
    for (int round = 1; round <= rounds; round++) {
      if (!account) {
        auto opened = run(loop_, store_->open("foo"));
        if (!opened) {
          count.lost++;
          return what + ": does not open: " + opened.error().detail();
        }
        account = *std::move(opened);
      }
      const auto now = ask(account);
      account.reset();
      // Whether it was heeded depends on whether it was still whole.
      const bool heeded =
          now && knows_more_ && now->state.next_message() > before_.state.next_message();
      const bool nothing_else = count.faults == faults_before + 1 && !in_use;
      const bool beyond = heeded || (knows_more_ && nothing_else);
      // Of an index that was hurt once more, the head may be readable and not what it says of a
      // mailbox: then numbers are skipped behind those that the journal knows.
      std::vector<const Answers*> right = {beyond ? &beyond_ : &before_};
      if (heeded && !nothing_else) right.push_back(&skipped_);
      // A claim alone is a number that is skipped.
      if (knows_claim_) right.push_back(&claimed_so_);
      if (knows_claim_ && nothing_else) right = {&claimed_so_};
      std::string different;
      for (const Answers* answers : right) {
        auto expected = *answers;
        // The marks of closing, and the numbers that are skipped.
        if (now && (heeded || knows_claim_ || round > 1)) expected.state.advance(now->state.seq());
        auto not_so = now ? difference(expected, *now) : "reading: " + now.error().detail();
        different = not_so.empty() ? "" : different + (different.empty() ? "" : "; or ") + not_so;
        if (not_so.empty()) break;
      }
      if (!different.empty()) {
        (now && now->messages.size() < before_.messages.size() ? count.lost : count.corrupt)++;
        return what + ": " + different;
      }
      if (round < rounds) reopen();
    }
    if (rounds == 1) {
      crash();
      return {};
    }
    stop();
    if (dirty_flag(*open_base(base_), "foo").value_or(true)) {
      count.corrupt++;
      return what + ": the index was not made again";
    }
    return {};
  }
  // What happened until it was noticed, or all that should.
  std::string destroy_often(uint64_t times, Count& count, bool go_on) {
    random_.seed(static_cast<uint32_t>(from_environment("RIMS_CRASH_SEED", 1)));
    count.runs++;
    std::string wrong;
    for (uint64_t i = 0; i < times && (go_on ? count.wrong() < 10 : wrong.empty()); i++) {
      std::string now = once(count);
      if (!now.empty() && go_on) ADD_FAILURE() << "destruction " << i << ": " << now;
      if (!now.empty()) wrong = std::move(now);
    }
    return wrong;
  }

  Quiet quiet_;
  std::optional<Mutant> mutant_{Mutant::Without::nothing};
  std::mt19937 random_;
  Files index_, older_, ahead_, claimed_, foreign_, journal_;
  Answers before_;
  Answers claimed_so_;        // without a number whose record was lost
  Answers beyond_;            // with the numbers that the index knew beyond the journal
  Answers skipped_;           // with those of its head alone
  bool knows_more_ = false;   // such an index was put in place
  bool knows_claim_ = false;  // or one whose last record is a claim: its number is skipped
  ModSeq middle_;             // the same for each user
};

TEST_F(IndexDamageTest, EveryDestructionIsFollowedByTheSameAnswers) {
  build(Mutant::Without::nothing);
  Count count;
  destroy_often(harness_size("RIMS_INDEX_RUNS", 1000, 50'000), count, true);
  count.tell("index");
}

TEST_F(IndexDamageTest, EveryRuleThatIsLeftOutIsNoticed) {
  Count all;
  for (const auto& [without, what] :
       {std::pair{Mutant::Without::dirty_mark, "mark of a dirty index"},
        std::pair{Mutant::Without::generations, "number of the flush"},
        std::pair{Mutant::Without::checksums, "checksum of a value"},
        std::pair{Mutant::Without::evidence, "reading of an index that knows more"}}) {
    Count count;
    build(without);
    const std::string wrong = destroy_often(2000, count, false);
    fmt::print("  mutant: no {}: {} after {} destructions: {}\n", what,
               wrong.empty() ? "NOT noticed" : "noticed", count.faults, wrong);
    EXPECT_NE(wrong, "") << what;
    all.mutants++;
    all.noticed += !wrong.empty();
    crash();
    fs::remove_all(fs::path(base_) / "mailbox.3");
  }
  all.tell("index");
}

}  // namespace
}  // namespace rims::store
