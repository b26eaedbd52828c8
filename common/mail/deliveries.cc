// common/mail/deliveries.cc - a list in the order of the journal, searched from its end

#include "common/mail/deliveries.h"

#include <ranges>

namespace rims::store {

void Deliveries::add(const Delivery& delivery) {
  while (!kept_.empty() &&
         (kept_.size() >= kKept || uint64_t{kept_.front().time} + kLongestWindow < delivery.time))
    kept_.pop_front();
  kept_.push_back(delivery);
  taken_++;
}

const Delivery* Deliveries::find(const DeliveryKey& key, uint32_t now, uint32_t window) const {
  for (const auto& delivery : std::views::reverse(kept_)) {
    if (delivery.key == key && uint64_t{delivery.time} + window >= now) return &delivery;
  }
  return nullptr;
}

}  // namespace rims::store
