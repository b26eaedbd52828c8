// common/base/network.h - addresses of the internet and ranges of them, as people write them
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rims {

class Network {
 public:
  // "192.0.2.7", "192.0.2.0/24", "2001:db8::/32". A mapped IPv4 address is an IPv4 one. nullopt for
  // anything else, also when bits behind the prefix are set: that is a slip.
  [[nodiscard]] static std::optional<Network> of(std::string_view text);

  // `address` is numeric; false when it is not.
  [[nodiscard]] bool contains(std::string_view address) const;
  [[nodiscard]] bool is_one_address() const { return bits_ == kBits; }
  // 127.0.0.0/8 or ::1: nobody else reaches it.
  [[nodiscard]] bool is_loopback() const;

 private:
  static constexpr unsigned kBits = 128, kMapped = 96;  // IPv4 is kept mapped into IPv6
  std::array<uint8_t, 16> bytes_{};
  unsigned bits_ = 0;
};

}  // namespace rims
