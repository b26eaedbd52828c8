// cli/migration_report.cc - what was not taken

#include "cli/migration_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/ctl.h"

namespace rims::ctl {
namespace {

Json list(const std::vector<std::pair<std::string, std::string>>& lines, const char* second) {
  Json::List out;
  for (const auto& [where, what] : lines)
    out.emplace_back(Json::Object{{"where", Json(where)}, {second, Json(what)}});
  return Json(std::move(out));
}

}  // namespace

void MigrationReport::not_taken(const std::string& where, const std::string& reason) {
  progress_.clear();
  complain("not taken: " + where + ": " + reason, kFailed);
  not_taken_.emplace_back(where, reason);
}

void MigrationReport::note(const std::string& where, const std::string& what) {
  progress_.clear();
  if (!quiet_) complain("note: " + where + ": " + what, kDone);
  notes_.emplace_back(where, what);
}

cli::Remarks MigrationReport::remarks() {
  return {.not_taken = [this](const std::string& where,
                              const std::string& reason) { not_taken(where, reason); },
          .note = [this](const std::string& where, const std::string& what) { note(where, what); }};
}

void MigrationReport::show(const std::string& mailbox, uint64_t done, uint64_t all,
                           uint64_t in_all) {
  progress_.show(fmt::format("{}: {} of {}, {:.0f} messages/s", mailbox, done, all,
                             static_cast<double>(in_all) / seconds()));
}

double MigrationReport::seconds() const {
  const auto passed = std::chrono::steady_clock::now() - start_;
  return std::max(0.001, std::chrono::duration<double>(passed).count());
}

Json MigrationReport::not_taken_json() const { return list(not_taken_, "reason"); }
Json MigrationReport::notes_json() const { return list(notes_, "what"); }

}  // namespace rims::ctl
