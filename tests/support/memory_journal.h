// tests/support/memory_journal.h - a journal in memory, with faults and lost races on demand
//
// The factory keeps the records of each user, so that an account that is closed and opened
// again finds them, as on a disk.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/async/loop.h"
#include "common/journal/account_dir.h"
#include "common/journal/journal.h"

namespace rims::store {

class MemoryJournals final : public JournalFactory {
 public:
  struct Record {
    RecordType type;
    uint8_t version;
    uint64_t seq;
    uint32_t time;
    std::string meta, aux, body;
    bool dropped = false;
  };
  struct Disk {
    std::vector<Record> records;
    uint64_t appends = 0;  // calls that committed
  };
  enum class Fate : uint8_t {
    commit,
    fail,          // nothing is written, an error is returned
    fail_written,  // all is written, an error is returned: the outcome was unknown
  };

  explicit MemoryJournals(Loop& loop) : loop_(loop) {}
  Task<Result<std::unique_ptr<Journal>>> open(std::string user,
                                              std::shared_ptr<AccountDir> dir) override;
  // What lies on the "disk" of this user.
  [[nodiscard]] Disk& disk(const std::string& user) { return *disk_of(user); }
  // Writes behind the owner's back, as another node would: the next append loses its race.
  template <class R>
  void intrude(const std::string& user, const R& record) {
    intrude(user, R::kType, version_of(record), record.encode());
  }
  void intrude(const std::string& user, RecordType type, uint8_t version, std::string meta);
  // Asked at each append. Unset: commit.
  std::function<Fate(const std::string& user, std::span<const Draft>)> fate;

 private:
  class MemoryJournal;
  std::shared_ptr<Disk> disk_of(const std::string& user);
  Loop& loop_;
  std::map<std::string, std::shared_ptr<Disk>> disks_;
};

}  // namespace rims::store
