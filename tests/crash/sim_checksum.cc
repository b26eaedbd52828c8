// tests/crash/sim_checksum.cc - see sim_checksum.h

#include "tests/crash/sim_checksum.h"

#include <cstring>
#include <string_view>

#include <sodium.h>

#include "common/journal/segment.h"
#include "common/mail/bytes.h"

namespace rims::store {

std::string checksum_mutant;

namespace {

std::string_view kind_of(std::string_view bytes) {
  if (bytes.starts_with(kSegmentMagic)) return "segment header";
  if (bytes.size() == 88 && get_int<uint32_t>(bytes.data()) == kRecordMagic) return "record header";
  if (bytes.starts_with(kSealMagic)) return "trailer";
  if (bytes.starts_with("message ")) return "message";
  if (bytes.starts_with("(structure ")) return "structure";
  // The place of the first record that it lists.
  if (bytes.size() >= 12 && get_int<uint64_t>(bytes.data() + 4) == kFirstRecord) return "footer";
  return "record meta";
}

}  // namespace
}  // namespace rims::store

extern "C" int crypto_shorthash(unsigned char* out, const unsigned char* in,
                                unsigned long long size, const unsigned char* key) {
  using namespace rims::store;
  if (checksum_mutant.empty()) return crypto_shorthash_siphash24(out, in, size, key);
  static constexpr unsigned char kNone[crypto_shorthash_KEYBYTES] = {};
  if (checksum_mutant == "key") return crypto_shorthash_siphash24(out, in, size, kNone);
  const std::string_view bytes(reinterpret_cast<const char*>(in), static_cast<size_t>(size));
  if (kind_of(bytes) != checksum_mutant) return crypto_shorthash_siphash24(out, in, size, key);
  memset(out, 0, crypto_shorthash_BYTES);
  return 0;
}
