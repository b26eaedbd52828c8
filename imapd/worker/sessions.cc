// imapd/worker/sessions.cc - entering, leaving, stopping

#include "imapd/worker/sessions.h"

#include <utility>

namespace rims::imapd {

Sessions::Entry::Entry(Sessions& all, HostedSession& session, std::string user)
    : all_(all), session_(session), user_(std::move(user)) {
  all_.all_.insert(&session_);
  all_.per_user_[user_].sessions++;
  all_.none_.clear();
}

Sessions::Entry::~Entry() {
  all_.all_.erase(&session_);
  const auto count = all_.per_user_.find(user_);
  if (--count->second.sessions == 0) all_.per_user_.erase(count);
  if (all_.all_.empty()) all_.none_.set();
}

size_t Sessions::count_of(const std::string& user) const {
  const auto count = per_user_.find(user);
  return count == per_user_.end() ? 0 : count->second.sessions;
}

uint64_t Sessions::viewed(const std::string& user) const {
  const auto found = per_user_.find(user);
  return found == per_user_.end() ? 0 : static_cast<uint64_t>(found->second.viewed);
}

// The last session of a user may end after its entry.
void Sessions::view(const std::string& user, int64_t more) {
  if (const auto found = per_user_.find(user); found != per_user_.end())
    found->second.viewed += more;
}

void Sessions::stop_all(std::string_view why) {
  for (HostedSession* session : all_) session->stop(why);
}

}  // namespace rims::imapd
