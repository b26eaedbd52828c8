// auth/proven.h - passwords of users of the directory that were proven lately
//
// A hash takes tens of milliseconds by design; a client that logs in again soon is answered by a
// keyed digest of the password and of the hash that it was proven against, so it holds no longer
// than that hash.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace rims::auth {

class Proven {
 public:
  using Time = std::chrono::steady_clock::time_point;
  Proven();
  Proven(const Proven&) = delete;
  Proven& operator=(const Proven&) = delete;
  ~Proven();

  [[nodiscard]] bool has(uint64_t user, std::string_view hash, std::string_view password,
                         Time now) const;
  void remember(uint64_t user, std::string_view hash, std::string_view password, Time until);

 private:
  using Digest = std::array<unsigned char, 32>;
  [[nodiscard]] Digest digest(uint64_t user, std::string_view hash,
                              std::string_view password) const;
  struct Entry {
    Digest digest{};
    Time until{};
  };
  std::array<unsigned char, 32> key_{};  // of this process, random
  std::unordered_map<uint64_t, Entry> entries_;
};

}  // namespace rims::auth
