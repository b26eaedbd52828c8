// cli/migration_report.h - reports what an export or import did not take, at once and at the end
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/formats/mail_source.h"
#include "cli/progress.h"
#include "common/base/json.h"

namespace rims::ctl {

// What a run has done.
struct Migrated {
  std::string user;
  const char* before_verb = "taken";  // "100 messages were taken before"
  uint64_t mailboxes = 0, messages = 0, bytes = 0;
  uint64_t before = 0;             // messages that were taken or written by an earlier run
  std::optional<uint64_t> failed;  // messages that could not be taken, where they are counted
  bool stopped = false;            // interrupted
};

class MigrationReport {
 public:
  explicit MigrationReport(bool quiet) : quiet_(quiet), progress_(!quiet) {}
  void not_taken(const std::string& where, const std::string& reason);
  void note(const std::string& where, const std::string& what);
  // Both of the above as callbacks for a source. The report must outlive it.
  [[nodiscard]] cli::Remarks remarks();
  // Progress: "INBOX: 500 of 10000, 8000 messages/s".
  void show(const std::string& mailbox, uint64_t done, uint64_t all, uint64_t in_all);
  void finish() { progress_.clear(); }
  // Prints what was done, as JSON or as a sentence. Returns the exit status.
  [[nodiscard]] int tell(const Migrated& done, bool json) const;

 private:
  [[nodiscard]] double seconds() const;
  using Lines = std::vector<std::pair<std::string, std::string>>;
  bool quiet_;
  cli::Progress progress_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  Lines not_taken_, notes_;
};

}  // namespace rims::ctl
