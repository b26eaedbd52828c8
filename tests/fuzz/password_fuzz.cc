// tests/fuzz/password_fuzz.cc - any bytes as a stored password
//
// Properties: what is refused is told without any of its bytes but the name of a scheme; what is
// taken asks for work within the bounds; cheap ones are compared, and match no other password.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "common/base/encoding.h"
#include "common/password/password.h"
#include "common/password/stored.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

// Nothing that would keep the fuzzer busy.
struct Cheap {
  bool operator()(const rims::password::Plain&) const { return false; }
  bool operator()(const rims::password::Argon2&) const { return false; }
  bool operator()(const rims::password::Crypt& s) const { return s.text.starts_with("$1$"); }
  bool operator()(const rims::password::Apache&) const { return true; }
  bool operator()(const rims::password::Salted&) const { return true; }
  bool operator()(const rims::password::Stretched& s) const { return work(s.rounds); }
  bool operator()(const rims::password::Pbkdf2& s) const { return work(s.rounds); }
  bool operator()(const rims::password::Scrypt& s) const {
    check(s.n * s.r * 128 <= rims::password::kMostMemory);
    return s.n * s.r * s.p <= 64;
  }
  bool operator()(const rims::password::Scram& s) const { return work(s.rounds); }
  static bool work(uint32_t rounds) {
    check(rounds <= 10'000'000);
    return rounds < 50;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rims;
  static const bool begun = (crypto_init(), true);
  check(begun);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto stored = password::read_stored(text);
  if (!stored) {
    check(!stored.error().reply().empty() && stored.error().reply().size() < 80);
    check(!password::is_surely_a_hash(text) || text.starts_with("$argon2id$"));
    return 0;
  }
  if (std::visit(Cheap(), *stored))
    check(!password::matches(text, "one password") || !password::matches(text, "another one"));
  return 0;
}
