// tests/crash/simulation.h - one run: many sessions on one account, crashes, faults, from one seed
//
// Everything happens on one thread, in simulated time, and all chance comes from the seed, that of
// the store, too: the same seed is the same run, on a busy machine as on an idle one. The store
// runs on the journal in memory (with lost races and failed appends), or on files on a simulated
// disk (with the power off at any call, in recovery too, and failing calls).
//
// The model hears of each durable change as a listener does and works it out by itself; what was
// acknowledged or told must be there after every crash, what was not may be there as a whole or
// not at all.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/account/store.h"
#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "tests/crash/model.h"
#include "tests/crash/sim_chance.h"
#include "tests/crash/sim_disk.h"
#include "tests/crash/sim_index.h"
#include "tests/support/memory_journal.h"

namespace rims::store {

struct Tally {
  uint64_t runs = 0, operations = 0, states = 0, faults = 0, races = 0, in_recovery = 0;
  uint64_t lost = 0, duplicated = 0, corrupt = 0, other = 0;
  uint64_t freed = 0;  // bytes of dead messages, at the ends of runs
};

// What there is more of than usual, in runs on files.
enum class Style : uint8_t {
  mixed,
  churn,  // expunges, small segments, compactions
  kills,  // between any two calls
  cuts,   // of the power, there
  stops,  // orderly ones, and the power goes off after them
};

// What somebody alters in the files of an account that is closed.
enum class Harm : uint8_t {
  none,
  bit,      // one, in `harm_in`
  number,   // a segment in the place of another one
  account,  // a segment of another account
  record,   // a record of another account
};

struct Shape {
  uint64_t seed = 0;
  bool files = false;  // the journal in files, under `base`
  std::string base;
  Style style = Style::mixed;
  std::string aim;  // see SimDisk
  // What is broken on purpose: see SimDisk and SimIndex.
  std::string ignored, late, index_mutant;
  Harm harm = Harm::none;
  std::string harm_in;  // see checksum_mutant
  bool blind = false;   // see SimDisk
  // Called at every commit and call of the disk: must not change anything.
  std::function<void()> disturb;
};

class Simulation final : public Listener {
 public:
  Simulation(Loop& loop, IoPool& pool, Shape shape, Tally& tally);
  ~Simulation() override;
  // Empty when all was well, otherwise what was wrong.
  std::string play();
  // A number for all that has happened: the same seed gives the same one.
  [[nodiscard]] uint64_t trace() const;
  [[nodiscard]] const SimDisk& disk() const { return disk_; }
  [[nodiscard]] uint64_t mutations() const { return disk_.mutations + index_.mutations; }

  void appended(MailboxId, std::span<const Uid>, const void* origin) override;
  void flags_changed(MailboxId, std::span<const Uid>, ModSeq, const void* origin) override;
  void expunged(MailboxId, std::span<const Uid>, ModSeq, const void* origin) override;
  void mailbox_changed(const Change&, const void*) override;
  void annotated(const Change& change, const void* origin) override;

 private:
  static constexpr const char* kUser = "foo";
  using OperationRef = std::shared_ptr<Operation>;  // shared by a session and those in flight
  enum class End : uint8_t { stop, kill, power, fault };

  void fail_with(const std::string& what);
  [[nodiscard]] bool failed() const { return !failure_.empty(); }
  uint32_t pick(size_t count) { return static_cast<uint32_t>(random_() % count); }
  bool chance(unsigned percent) { return random_() % 100 < percent; }

  void start_store();
  void open_account();
  bool try_to_open();
  void crash(bool power);
  void phase();
  void plan_faults();
  void end_phase(End end);
  void verify();
  bool explain(const Model& so_far, std::vector<OperationRef> left, const Model& found,
               std::string& why);
  Task<Result<Model>> observe();
  Task<Status> observe_mailbox(const MailboxInfo* info, Model& model);
  [[nodiscard]] std::vector<std::string> quarantine_files() const;
  void look_at_quarantine();
  void look_at_cut_bytes();
  // Of messages that no mailbox has, in one segment; of all its bytes.
  struct Share {
    uint64_t dead = 0, all = 0;
  };
  [[nodiscard]] std::map<std::string, Share> dead_bytes() const;
  void free_all();
  std::string play_harmed();
  Task<Status> fill_another();
  bool do_harm();
  Task<Result<Model>> observe_harmed(bool* told);

  // Of the run's files.
  static std::string content(const std::filesystem::path& path);
  [[nodiscard]] std::filesystem::path account_dir(const char* user = kUser) const;
  [[nodiscard]] std::vector<std::filesystem::path> segment_files() const;
  [[nodiscard]] bool faulted() const { return shape_.files && shape_.harm == Harm::none; }
  [[nodiscard]] bool churns() const { return shape_.style == Style::churn; }
  [[nodiscard]] bool kills() const { return shape_.style == Style::kills; }
  [[nodiscard]] bool cuts() const { return shape_.style == Style::cuts; }
  [[nodiscard]] bool stops() const { return shape_.style == Style::stops; }
  End think_of_an_end();

  Task<void> session(int operations, bool first);
  Task<void> compact(std::shared_ptr<Account> account, int64_t retention);
  Task<void> tidy(std::shared_ptr<Account> account);
  Task<void> one(std::shared_ptr<Account> account);
  NewMessage message_of(const Operation& op, uint32_t number) const;
  Task<Status> perform(std::shared_ptr<Account> account, OperationRef op);
  OperationRef think();
  std::vector<uint32_t> some_uids(const ModelMailbox& mailbox);
  void intrude();
  Task<void> read_one(std::shared_ptr<Account> account);
  void told(Told::Kind kind, MailboxId id, std::span<const Uid> uids, const void* origin);
  Loop& loop_;
  IoPool& pool_;
  Shape shape_;
  uint64_t run_;  // of the texts
  Tally& tally_;
  std::mt19937 random_;
  SimDisk disk_;
  SimIndex index_;
  MemoryJournals journals_;
  std::unique_ptr<Store> store_;
  std::shared_ptr<Account> account_;
  std::unique_ptr<Scope> sessions_;
  int running_ = 0;
  bool killed_ = false;        // the process is gone, as far as memory goes
  unsigned fate_percent_ = 0;  // of appends that fail or kill
  int64_t now_ = 1'700'000'000;

  Model model_;
  uint32_t next_number_ = 1;
  std::vector<OperationRef> flying_;   // not known to have failed or happened
  std::deque<OperationRef> intruded_;  // durable, and not seen yet
  OperationRef names_;                 // the one on mailboxes' names that is under way
  std::deque<Told> expected_;          // what listeners are told next
  std::set<uint32_t> uidvalidities_;
  uint64_t folds_ = 0;
  uint64_t modseq_ = 0;
  bool faulty_ = false;  // a fault, a failed append or the power may explain a failure
  // The account was opened while the disk refused writes: what it owes since then may fail one of
  // its own, when they are taken again.
  bool opened_in_fault_ = false;
  std::map<std::string, std::string> quarantine_;
  std::set<std::string> doubtful_;  // in quarantine/: they may go with the power
  std::vector<std::pair<std::string, std::string>> before_;  // last segments after power losses
  Trace trace_;
  std::string failure_;
};

}  // namespace rims::store
