// cli/migration_report.h - what an export or import did not take, told as it happens and at the end
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "cli/formats/mail_source.h"
#include "cli/progress.h"
#include "common/base/json.h"

namespace rims::ctl {

class MigrationReport {
 public:
  explicit MigrationReport(bool quiet) : quiet_(quiet), progress_(!quiet) {}
  void not_taken(const std::string& where, const std::string& reason);
  void note(const std::string& where, const std::string& what);
  // Both of the above, for a source. The report must outlive it.
  [[nodiscard]] cli::Remarks remarks();
  // "INBOX: 500 of 10000, 8000/s" for who waits.
  void show(const std::string& mailbox, uint64_t done, uint64_t all, uint64_t in_all);
  void finish() { progress_.clear(); }

  [[nodiscard]] bool all_taken() const { return not_taken_.empty(); }
  [[nodiscard]] size_t count_not_taken() const { return not_taken_.size(); }
  [[nodiscard]] double seconds() const;
  [[nodiscard]] Json not_taken_json() const;
  [[nodiscard]] Json notes_json() const;

 private:
  using Lines = std::vector<std::pair<std::string, std::string>>;
  bool quiet_;
  cli::Progress progress_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  Lines not_taken_, notes_;
};

}  // namespace rims::ctl
