// imapd/imap/view.cc - the list of UIDs, and the changes that the client does not know yet

#include "imapd/imap/view.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

namespace rims::imapd {
namespace {

bool holds(const std::vector<uint32_t>& ascending, uint32_t uid) {
  return std::ranges::binary_search(ascending, uid);
}

void insert_ascending(std::vector<uint32_t>& list, uint32_t uid) {
  if (list.empty() || list.back() < uid) {
    list.push_back(uid);
    return;
  }
  const auto place = std::ranges::lower_bound(list, uid);
  if (*place != uid) list.insert(place, uid);
}

void erase_ascending(std::vector<uint32_t>& list, uint32_t uid) {
  const auto place = std::ranges::lower_bound(list, uid);
  if (place != list.end() && *place == uid) list.erase(place);
}

}  // namespace

void View::reset(std::vector<uint32_t> uids) {
  uids_ = std::move(uids);
  arrived_.clear();
  gone_.clear();
  changed_.clear();
  recent_.clear();
}

bool View::counts(uint32_t uid) const { return holds(uids_, uid); }

size_t View::lower_bound(Uid uid) const {
  return static_cast<size_t>(std::ranges::lower_bound(uids_, uid.value) - uids_.begin());
}

SeqNum View::seq_of(Uid uid) const {
  const size_t index = lower_bound(uid);
  if (index == uids_.size() || uids_[index] != uid.value) return SeqNum(0);
  return SeqNum(static_cast<uint32_t>(index + 1));
}

void View::add_recent(Uid first, Uid last) {
  if (!recent_.empty() && recent_.back().last + 1 == first.value)
    recent_.back().last = last.value;
  else
    recent_.push_back({first.value, last.value});
}

bool View::is_recent(Uid uid) const {
  const auto after = std::ranges::upper_bound(recent_, uid.value, {}, &Range::first);
  return after != recent_.begin() && uid.value <= std::prev(after)->last;
}

size_t View::recent_count() const {
  size_t count = 0;
  for (const Range& range : recent_) {
    for (const auto* list : {&uids_, &arrived_}) {
      const auto first = std::ranges::lower_bound(*list, range.first);
      const auto last = std::ranges::upper_bound(*list, range.last);
      count += static_cast<size_t>(std::max<std::ptrdiff_t>(0, last - first));
    }
  }
  return count;
}

void View::arrived(Uid uid) { arrived_.push_back(uid.value); }

void View::expunged(Uid uid) {
  erase_ascending(changed_, uid.value);
  if (counts(uid.value))
    gone_.push_back(uid.value);
  else
    erase_ascending(arrived_, uid.value);  // appended and expunged before the client was told
}

void View::flags_changed(Uid uid) {
  if (counts(uid.value)) insert_ascending(changed_, uid.value);
}

void View::told_flags(Uid uid) {
  if (!changed_.empty()) erase_ascending(changed_, uid.value);
}

void View::tell_expunges(std::string& out) {
  if (gone_.empty()) return;
  std::ranges::sort(gone_);
  for (auto uid = gone_.rbegin(); uid != gone_.rend(); ++uid)
    fmt::format_to(std::back_inserter(out), "* {} EXPUNGE\r\n", lower_bound(Uid(*uid)) + 1);
  auto gone = gone_.begin();
  std::erase_if(uids_, [&](uint32_t uid) {
    if (gone == gone_.end() || *gone != uid) return false;
    ++gone;
    return true;
  });
  std::vector<uint32_t>().swap(gone_);
}

void View::tell_arrivals(std::string& out) {
  if (arrived_.empty()) return;
  uids_.insert(uids_.end(), arrived_.begin(), arrived_.end());
  std::vector<uint32_t>().swap(arrived_);
  fmt::format_to(std::back_inserter(out), "* {} EXISTS\r\n* {} RECENT\r\n", uids_.size(),
                 recent_count());
}

std::vector<uint32_t> View::take_changed() { return std::exchange(changed_, {}); }

}  // namespace rims::imapd
