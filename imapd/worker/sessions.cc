// imapd/worker/sessions.cc - entering, leaving, finding, stopping

#include "imapd/worker/sessions.h"

#include <algorithm>
#include <utility>

namespace rims::imapd {

Sessions::Entry::Entry(Sessions& all, Number number, HostedSession& s, Facts f)
    : session(s), facts(std::move(f)), all_(all), number_(number) {
  all_.all_.emplace(number_, this);
  all_.per_user_[facts.user].sessions.insert(number_);
  all_.none_.clear();
}

Sessions::Entry::~Entry() {
  all_.all_.erase(number_);
  const auto own = all_.per_user_.find(facts.user);
  own->second.sessions.erase(number_);
  if (own->second.sessions.empty()) all_.per_user_.erase(own);
  all_.left_.set();
  if (all_.all_.empty()) all_.none_.set();
}

const std::set<Sessions::Number>& Sessions::of_user(const std::string& user) const {
  static const std::set<Number> none;
  const auto found = per_user_.find(user);
  return found == per_user_.end() ? none : found->second.sessions;
}

std::vector<Sessions::Number> Sessions::numbers() const {
  std::vector<Number> list;
  list.reserve(all_.size());
  for (const auto& [number, entry] : all_) list.push_back(number);
  return list;
}

std::vector<Sessions::Number> Sessions::numbers_of_user(const std::string& user) const {
  const std::set<Number>& own = of_user(user);
  return {own.begin(), own.end()};
}

std::vector<Sessions::Number> Sessions::numbers_of_id(std::string_view id) const {
  std::vector<Number> list;
  for (const auto& [number, entry] : all_)
    if (entry->facts.id == id) list.push_back(number);
  return list;
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

const Sessions::Entry* Sessions::find(Number number) const {
  const auto found = all_.find(number);
  return found == all_.end() ? nullptr : found->second;
}

void Sessions::stop_all(std::string_view why) {
  for (const auto& [number, entry] : all_) entry->session.stop(why);
}

void Sessions::tell_all_of_server_entries(const std::vector<std::string>& names) {
  for (const auto& [number, entry] : all_) entry->session.server_entries_changed(names);
}

Task<std::vector<Sessions::Number>> Sessions::left_of(std::vector<Number> numbers,
                                                      Milliseconds limit) {
  const auto until = Loop::now() + limit;
  while (true) {
    std::erase_if(numbers, [this](Number number) { return !all_.contains(number); });
    const auto left = std::chrono::ceil<Milliseconds>(until - Loop::now());
    if (numbers.empty() || left.count() <= 0) co_return numbers;
    left_.clear();
    (void)co_await left_.wait(left);
  }
}

}  // namespace rims::imapd
