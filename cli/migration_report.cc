// cli/migration_report.cc - what was not taken

#include "cli/migration_report.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/ctl.h"

namespace rims::ctl {
namespace {

Json list(const std::vector<std::pair<std::string, std::string>>& lines, const char* second) {
  Json out = Json::array();
  for (const auto& [where, what] : lines) out.push_back(Json{{"where", where}, {second, what}});
  return out;
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

int MigrationReport::tell(const Migrated& done, bool json) const {
  const bool complete = not_taken_.empty() && !done.stopped;
  const double rate = static_cast<double>(done.messages) / seconds();
  if (json) {
    Json members{
        {"user", done.user},           {"complete", complete},
        {"mailboxes", done.mailboxes}, {"messages", done.messages},
        {"bytes", done.bytes},         {std::string(done.before_verb) + "_before", done.before}};
    if (done.failed) members["messages_not_taken"] = *done.failed;
    members["messages_per_second"] = static_cast<int64_t>(rate);
    members["not_taken"] = list(not_taken_, "reason");
    members["notes"] = list(notes_, "what");
    std::printf("%s\n", json_text(members, true).c_str());
  } else if (!quiet_) {
    std::printf("%s: %s messages (%s) of %s mailboxes, %.0f messages/s\n", done.user.c_str(),
                std::to_string(done.messages).c_str(), cli::size_text(done.bytes).c_str(),
                std::to_string(done.mailboxes).c_str(), rate);
    if (done.before > 0)
      std::printf("%s messages were %s before\n", std::to_string(done.before).c_str(),
                  done.before_verb);
    if (!not_taken_.empty())
      std::printf("%zu things were not taken; they are listed above\n", not_taken_.size());
  }
  if (done.stopped) return complain("interrupted; run the same command again to go on", kFailed);
  return complete ? kDone : kFailed;
}

}  // namespace rims::ctl
