// common/base/network.cc - inet_pton(3) and a comparison of bits

#include "common/base/network.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <span>

namespace rims {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::optional<Network> Network::of(std::string_view text) {
  Network network;
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  unsigned skipped = 0;  // bits of the prefix that only IPv6 has
  if (inet_pton(AF_INET, address.c_str(), network.bytes_.data() + kMappedPrefix.size()) == 1) {
    std::ranges::copy(kMappedPrefix, network.bytes_.begin());
    skipped = kMapped;
  } else if (inet_pton(AF_INET6, address.c_str(), network.bytes_.data()) != 1) {
    return std::nullopt;
  }
  network.bits_ = kBits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    unsigned bits = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() ||
        bits > kBits - skipped)
      return std::nullopt;
    network.bits_ = skipped + bits;
  }
  for (unsigned bit = network.bits_; bit < kBits; bit++)
    if ((network.bytes_[bit / 8] & 0x80 >> bit % 8) != 0) return std::nullopt;
  return network;
}

bool Network::contains(std::string_view address) const {
  const auto other = of(address);
  if (!other || !other->is_one_address()) return false;
  for (unsigned bit = 0; bit < bits_; bit++)
    if (((bytes_[bit / 8] ^ other->bytes_[bit / 8]) & 0x80 >> bit % 8) != 0) return false;
  return true;
}

bool Network::is_loopback() const {
  const bool four = std::ranges::equal(kMappedPrefix, std::span(bytes_).first<12>());
  if (four) return bits_ >= kMapped + 8 && bytes_[12] == 127;
  return bits_ == kBits && bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](uint8_t byte) { return byte == 0; });
}

}  // namespace rims
