// auth/penalty.h - how long the answer to a failure is delayed
//
//   Memory  fixed: kSets sets of kWays slots, found by a keyed hash, so nobody can choose a
//           slot; a full set drops the entry with the smallest penalty
//   Growth  the first failure costs `first`, each further one twice as much, up to `most`;
//           forgotten after kForget without a failure
//
// A delayed answer slows an honest client; an attacker with many connections is stopped by gate():
// a key with many failures may not even try for some time. Three tables (server.cc): by address and
// name, gated: who guesses at one name. By address (IPv6: the /64), gated, where each name counts
// once: who guesses at many; a device with an old password does not stop the others behind the same
// address. By name, never gated, or anybody could lock out any user; and never forgiven when the
// user logs in, or the delay would tell which names have a user.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sodium.h>

namespace rims::auth {

class Penalties {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::milliseconds;
  static constexpr size_t kSets = 4096, kWays = 4;
  static constexpr std::chrono::minutes kForget{10};
  static constexpr uint32_t kFreeFailures = 10;  // before gate() begins

  Penalties();

  // Counts a failure; returns how long to delay its answer.
  Duration failed(std::string_view key, Time now, Duration first, Duration most);
  // Forgets a key's failures.
  void forgive(std::string_view key);
  // How many failures of `key` are remembered.
  [[nodiscard]] uint32_t failures(std::string_view key, Time now) const;
  // How long `key` must still wait before it may try; mostly zero.
  [[nodiscard]] Duration gate(std::string_view key, Time now) const;

 private:
  struct Slot {
    uint64_t tag = 0;
    uint32_t failures = 0;
    Time last{}, not_before{};
  };
  struct Place {
    size_t set;
    uint64_t tag;
  };
  [[nodiscard]] Place place(std::string_view key) const;
  [[nodiscard]] const Slot* find(std::string_view key) const;

  std::array<unsigned char, crypto_shorthash_siphashx24_KEYBYTES> key_{};
  std::vector<Slot> slots_;
};

// What an address is counted as: an IPv4 address, or the /64 of an IPv6 one.
[[nodiscard]] std::string penalty_key(std::string_view address);
// Whose turns are shared (turns.h): the /24 of an IPv4 address, or the /64 of an IPv6 one.
[[nodiscard]] std::string network_of(std::string_view address);
[[nodiscard]] bool is_loopback(std::string_view address);

}  // namespace rims::auth
