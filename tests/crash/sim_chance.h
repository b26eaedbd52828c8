// tests/crash/sim_chance.h - chance that comes from a seed, and a number for what has happened
#pragma once

#include <cstdint>
#include <string_view>

namespace rims::store {

// From now on all that this process takes from libsodium as random comes from `seed`: the names of
// segments and messages decide in what order they are sorted.
void seed_chance(uint64_t seed);
// How many numbers were taken since.
[[nodiscard]] uint64_t chance_drawn();

// Two runs that did the same, in the same order, have the same number (FNV-1a).
struct Trace {
  uint64_t number = 14695981039346656037ULL;
  void mix(uint64_t n) { number = (number ^ n) * 1099511628211ULL; }
  void mix(std::string_view bytes) {
    mix(bytes.size());
    for (const char c : bytes) mix(static_cast<uint64_t>(static_cast<unsigned char>(c)));
  }
};

}  // namespace rims::store
