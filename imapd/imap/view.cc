// imapd/imap/view.cc - the list of UIDs, and the changes that the client does not know yet

#include "imapd/imap/view.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "common/imap/numbers.h"

namespace rims::imapd {
namespace {

bool holds(const std::vector<uint32_t>& ascending, uint32_t uid) {
  return std::ranges::binary_search(ascending, uid);
}

// All lists are ascending, each number once.
void add(std::vector<uint32_t>& list, std::span<const uint32_t> more) {
  if (more.empty()) return;
  if (list.empty() || list.back() < more.front()) {
    list.insert(list.end(), more.begin(), more.end());
    return;
  }
  const auto place = std::ranges::lower_bound(list, more.front());
  const std::vector<uint32_t> tail(place, list.end());
  list.erase(place, list.end());
  std::ranges::set_union(tail, more, std::back_inserter(list));
}

void remove(std::vector<uint32_t>& list, std::span<const uint32_t> less) {
  if (less.empty() || list.empty() || list.back() < less.front()) return;
  const auto place = std::ranges::lower_bound(list, less.front());
  auto next = less.begin();
  const auto gone = [&](uint32_t uid) {
    while (next != less.end() && *next < uid) ++next;
    return next != less.end() && *next == uid;
  };
  list.erase(std::remove_if(place, list.end(), gone), list.end());
}

}  // namespace

void View::reset(std::vector<uint32_t> uids) {
  uids_ = std::move(uids);
  arrived_.clear();
  gone_.clear();
  changed_.clear();
  told_.clear();
  recent_.clear();
}

size_t View::lower_bound(Uid uid) const {
  return static_cast<size_t>(std::ranges::lower_bound(uids_, uid.value) - uids_.begin());
}

SeqNum View::seq_of(Uid uid) const {
  const size_t index = lower_bound(uid);
  if (index == uids_.size() || uids_[index] != uid.value) return SeqNum(0);
  return SeqNum(static_cast<uint32_t>(index + 1));
}

std::vector<uint32_t> View::indexes_of(const imap::NumberSet<Uid>& set) const {
  std::vector<uint32_t> indexes;
  auto gone = gone_.begin();
  set.for_each_present(
      uids_,
      [&](size_t index) {
        gone = std::find_if(gone, gone_.end(), [&](uint32_t uid) { return uid >= uids_[index]; });
        if (gone == gone_.end() || *gone != uids_[index])
          indexes.push_back(static_cast<uint32_t>(index));
      },
      [](uint32_t uid) { return Uid(uid); });
  return indexes;
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

void View::arrived(std::span<const Uid> uids, ModSeq modseq) {
  if (arrived_.empty()) first_arrived_ = modseq;
  for (const Uid uid : uids) arrived_.push_back(uid.value);
}

void View::expunged(std::span<const Uid> uids, ModSeq modseq) {
  std::vector<uint32_t> counted, untold;
  auto at = uids_.begin();
  for (const Uid uid : uids) {
    at = std::lower_bound(at, uids_.end(), uid.value);
    const bool counts = at != uids_.end() && *at == uid.value;
    (counts ? counted : untold).push_back(uid.value);
  }
  forget_told();
  remove(changed_, counted);
  if (gone_.empty()) first_gone_ = modseq;
  add(gone_, counted);
  remove(arrived_, untold);  // appended and expunged before the client was told
}

void View::flags_changed(std::span<const Uid> uids, ModSeq modseq) {
  std::vector<uint32_t> counted;
  auto at = uids_.begin();
  for (const Uid uid : uids) {
    at = std::lower_bound(at, uids_.end(), uid.value);
    if (at != uids_.end() && *at == uid.value) counted.push_back(uid.value);
  }
  forget_told();
  first_changed_ = changed_.empty() ? modseq : std::min(first_changed_, modseq);
  add(changed_, counted);
}

bool View::told_flags(Uid uid) {
  if (changed_.empty() || !holds(changed_, uid.value) || holds(told_, uid.value)) return false;
  add(told_, std::span(&uid.value, 1));
  return true;
}

std::optional<ModSeq> View::first_untold() const {
  std::optional<ModSeq> first;
  const auto look = [&first](bool some, ModSeq modseq) {
    if (some && (!first || modseq < *first)) first = modseq;
  };
  look(!arrived_.empty(), first_arrived_);
  look(!gone_.empty(), first_gone_);
  look(changed_.size() > told_.size(), first_changed_);
  return first;
}

// Not at each of them: that would cost the whole list each time.
void View::forget_told() {
  remove(changed_, told_);
  std::vector<uint32_t>().swap(told_);
}

bool View::tell_expunges(std::string& out, size_t most, Expunges how) {
  if (gone_.empty()) return true;
  const std::span told = std::span(gone_).last(std::min(most, gone_.size()));
  if (how == Expunges::as_uids) {
    imap::NumberSet<Uid> uids;
    for (const uint32_t uid : told) uids.add(Uid(uid));
    out += "* VANISHED ";
    imap::append_number_set(out, uids);
    out += "\r\n";
  } else {
    for (auto uid = told.rbegin(); uid != told.rend(); ++uid)
      fmt::format_to(std::back_inserter(out), "* {} EXPUNGE\r\n", lower_bound(Uid(*uid)) + 1);
  }
  remove(uids_, told);
  gone_.resize(gone_.size() - told.size());
  if (gone_.empty()) std::vector<uint32_t>().swap(gone_);
  return gone_.empty();
}

void View::tell_arrivals(std::string& out) {
  if (arrived_.empty()) return;
  uids_.insert(uids_.end(), arrived_.begin(), arrived_.end());
  std::vector<uint32_t>().swap(arrived_);
  fmt::format_to(std::back_inserter(out), "* {} EXISTS\r\n", uids_.size());
}

void View::tell_recent(std::string& out) const {
  fmt::format_to(std::back_inserter(out), "* {} RECENT\r\n", recent_count());
}

std::vector<uint32_t> View::take_changed() {
  forget_told();
  return std::exchange(changed_, {});
}

}  // namespace rims::imapd
