// auth/penalty.cc - a bounded table of failures

#include "auth/penalty.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>

namespace rims::auth {

Penalties::Penalties() : slots_(kSets * kWays) { randombytes_buf(key_.data(), key_.size()); }

Penalties::Place Penalties::place(std::string_view key) const {
  uint64_t hash[2] = {};
  static_assert(sizeof hash == crypto_shorthash_siphashx24_BYTES);
  crypto_shorthash_siphashx24(reinterpret_cast<unsigned char*>(hash),
                              reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                              key_.data());
  return {static_cast<size_t>(hash[0] % kSets), hash[1]};
}

const Penalties::Slot* Penalties::find(std::string_view key) const {
  const Place p = place(key);
  for (size_t i = 0; i < kWays; i++) {
    const Slot& slot = slots_[p.set * kWays + i];
    if (slot.failures > 0 && slot.tag == p.tag) return &slot;
  }
  return nullptr;
}

Penalties::Duration Penalties::failed(std::string_view key, Time now, Duration first,
                                      Duration most) {
  const Place p = place(key);
  Slot* mine = nullptr;
  Slot* mildest = &slots_[p.set * kWays];
  for (size_t i = 0; i < kWays; i++) {
    Slot& slot = slots_[p.set * kWays + i];
    if (slot.failures > 0 && now - slot.last > kForget) slot = Slot();
    if (slot.failures > 0 && slot.tag == p.tag) mine = &slot;
    if (slot.failures < mildest->failures) mildest = &slot;
  }
  if (!mine) {
    mine = mildest;
    *mine = Slot();
    mine->tag = p.tag;
  }
  mine->failures = std::min(mine->failures + 1, 1'000'000u);
  mine->last = now;
  // 2^20 times any first delay is above any limit.
  const Duration delay = std::min(most, first * (1 << std::min(mine->failures - 1, 20u)));
  mine->not_before = now + delay;
  return delay;
}

void Penalties::forgive(std::string_view key) {
  if (const Slot* slot = find(key)) slots_[static_cast<size_t>(slot - slots_.data())] = Slot();
}

uint32_t Penalties::failures(std::string_view key, Time now) const {
  const Slot* slot = find(key);
  return slot && now - slot->last <= kForget ? slot->failures : 0;
}

Penalties::Duration Penalties::gate(std::string_view key, Time now) const {
  const Slot* slot = find(key);
  if (!slot || slot->failures < kFreeFailures || now >= slot->not_before) return Duration(0);
  return std::chrono::ceil<Duration>(slot->not_before - now);
}

std::string penalty_key(std::string_view address) {
  in6_addr six{};
  if (inet_pton(AF_INET6, std::string(address).c_str(), &six) != 1) return std::string(address);
  if (IN6_IS_ADDR_V4MAPPED(&six)) {
    char four[INET_ADDRSTRLEN] = {};
    inet_ntop(AF_INET, &six.s6_addr[12], four, sizeof four);
    return four;
  }
  return "6:" + std::string(reinterpret_cast<const char*>(six.s6_addr), 8);
}

std::string network_of(std::string_view address) {
  const std::string key = penalty_key(address);
  in_addr four{};
  if (inet_pton(AF_INET, key.c_str(), &four) != 1) return key;
  return key.substr(0, key.rfind('.'));
}

bool is_loopback(std::string_view address) {
  return address == "::1" || penalty_key(address).starts_with("127.");
}

}  // namespace rims::auth
