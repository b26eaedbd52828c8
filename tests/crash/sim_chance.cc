// tests/crash/sim_chance.cc - see sim_chance.h

#include "tests/crash/sim_chance.h"

#include <random>

#include <sodium.h>

namespace rims::store {
namespace {

std::mt19937 chance;
uint64_t drawn = 0;

uint32_t draw() {
  drawn++;
  return static_cast<uint32_t>(chance());
}

void fill(void* to, size_t size) {
  auto* bytes = static_cast<unsigned char*>(to);
  for (size_t i = 0; i < size; i++) bytes[i] = static_cast<unsigned char>(draw());
}

randombytes_implementation seeded{.implementation_name = [] { return "seeded"; },
                                  .random = draw,
                                  .stir = nullptr,
                                  .uniform = nullptr,
                                  .buf = fill,
                                  .close = nullptr};

}  // namespace

void seed_chance(uint64_t seed) {
  randombytes_set_implementation(&seeded);
  chance.seed(static_cast<uint32_t>(seed));
  drawn = 0;
}

uint64_t chance_drawn() { return drawn; }

}  // namespace rims::store
