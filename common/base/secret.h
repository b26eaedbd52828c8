// common/base/secret.h - bytes that are wiped when they die and that nothing can print
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rims {

// A password, a key, a ticket. Moves, never copies by accident, has no operator<< and no fmt
// formatter. The memory is wiped on destruction, on move and on assignment.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  // A deliberate copy.
  [[nodiscard]] Secret clone() const { return Secret(reveal()); }
  // Valid until this object changes or dies. Never log what it gives.
  [[nodiscard]] std::string_view reveal() const { return {data_, size_}; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  void wipe();

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

// Compares without telling by its duration where two values of one length differ.
[[nodiscard]] bool equal_constant_time(std::string_view a, std::string_view b);

// Wipes a buffer that once held a secret (the compiler may not leave it out).
void wipe(std::string& bytes);

}  // namespace rims
