// common/mail/deliveries.h - the deliveries that an account has taken lately
//
// An MTA that gets no answer tries again, although the message may be stored: the process that
// should have answered was killed, or the answer was lost. Each delivery has a key
// (imapd/worker/delivery_key.h), its append record carries it, and the fold of the journal keeps
// the keys of the latest ones here. A delivery with a known key is not stored again.
//
// Pure: what is kept depends only on the records and their times, not on a clock.
#pragma once

#include <cstdint>
#include <deque>

#include "common/mail/types.h"

namespace rims::store {

struct Delivery {
  DeliveryKey key{};
  uint32_t time = 0;  // of its record, seconds since 1970 (UTC)
  MailboxId mailbox;  // where the first copy was put, and as what; it may be gone since
  Uid uid;
  bool operator==(const Delivery&) const = default;
};

class Deliveries {
 public:
  // At most this many are kept, and none that is older than the latest by more than kLongestWindow.
  static constexpr size_t kKept = 8192;
  static constexpr uint32_t kLongestWindow = 14 * 86'400;

  void add(const Delivery& delivery);
  // The latest with this key that is at most `window` seconds older than `now`, or nullptr. A
  // record with a later time than `now` (the clock was set back) counts as of now.
  [[nodiscard]] const Delivery* find(const DeliveryKey& key, uint32_t now, uint32_t window) const;

  // Deliveries are numbered from 0; taken() is the number of the next one.
  [[nodiscard]] uint64_t taken() const { return taken_; }
  [[nodiscard]] uint64_t first_kept() const { return taken_ - kept_.size(); }
  [[nodiscard]] const Delivery& at(uint64_t number) const { return kept_[number - first_kept()]; }
  bool operator==(const Deliveries&) const = default;

 private:
  friend class IndexCodec;
  std::deque<Delivery> kept_;
  uint64_t taken_ = 0;
};

}  // namespace rims::store
