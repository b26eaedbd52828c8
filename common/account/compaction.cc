// common/account/compaction.cc - folding a journal for the sake of what is no longer there

#include "common/account/compaction.h"

#include <algorithm>

namespace rims::store {

Survey::Life* Survey::find(MessageId message) {
  const auto found = std::ranges::lower_bound(lives_, message, {}, &Life::message);
  return found == lives_.end() || found->message != message ? nullptr : &*found;
}

void Survey::leave(MessageId message) {
  Life* life = find(message);
  if (!life) return;
  life->left = time_;
  if (time_ == kNotKnown) untimed_.push_back(message);
}

void Survey::add(const JournalEvent& event) {
  if (event.time != 0 && event.time <= now_) {
    latest_ = std::max(latest_, event.time);
    time_ = latest_;
    for (const MessageId message : std::exchange(untimed_, {})) {
      if (Life* life = find(message)) life->left = time_;
    }
  } else {
    time_ = kNotKnown;
  }
  // The entries that go have to be looked at before they are gone.
  if (const auto* expunge = std::get_if<Expunge>(&event.record)) {
    if (const auto mailbox = state_.mailbox(expunge->mailbox)) {
      const auto messages = mailbox->messages();
      for (const auto& range : expunge->ranges) {
        auto at = std::ranges::lower_bound(messages, Uid(range.first), {}, &MessageEntry::uid);
        for (; at != messages.end() && at->uid.value <= range.last; ++at) leave(at->message);
      }
    }
  } else if (const auto* removed = std::get_if<MailboxRemoved>(&event.record)) {
    if (const auto mailbox = state_.mailbox(removed->id)) {
      for (const auto& entry : mailbox->messages()) leave(entry.message);
    }
  } else if (const auto* append = std::get_if<Append>(&event.record); append && !event.dropped) {
    const MessageId message = append->entry.message;
    const Life life{.message = message,
                    .bytes = event.location.aux + event.location.body,
                    .segment = event.location.segment};
    if (lives_.empty() || lives_.back().message < message)
      lives_.push_back(life);
    else if (!find(message))
      lives_.insert(std::ranges::upper_bound(lives_, message, {}, &Life::message), life);
    leave(message);
  }
  state_.apply(event);
}

std::map<uint32_t, Waste> Survey::waste(int64_t retention) const {
  std::vector<bool> named(lives_.size());
  auto near = lives_.begin();
  const auto is = [&](MessageId message) {
    return near != lives_.end() && near->message == message;
  };
  for (const auto& [id, mailbox] : state_.mailboxes()) {
    for (const auto& entry : mailbox->messages()) {
      // Most often it is the next one, or the same.
      if (near != lives_.end() && near->message < entry.message) ++near;
      if (!is(entry.message))
        near = std::ranges::lower_bound(lives_, entry.message, {}, &Life::message);
      if (is(entry.message)) named[static_cast<size_t>(near - lives_.begin())] = true;
    }
  }
  std::map<uint32_t, Waste> found;
  for (size_t i = 0; i < lives_.size(); i++) {
    const auto& life = lives_[i];
    if (named[i] || life.bytes == 0) continue;
    if (retention > 0 && (life.left == kNotKnown || now_ - life.left < retention)) continue;
    auto& waste = found[life.segment];
    waste.bytes += life.bytes;
    waste.messages.push_back(life.message);
  }
  return found;
}

bool worth(const Journal::Segment& segment, const Waste& waste, const CompactionRules& rules) {
  if (waste.bytes <= segment.bytes / 2) return false;
  return segment.sealed || waste.bytes > rules.small;
}

}  // namespace rims::store
