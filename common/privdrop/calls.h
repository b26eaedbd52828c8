// common/privdrop/calls.h - system calls that a process may make, and with which arguments
#pragma once

#include <array>
#include <cstdint>

namespace rims::privdrop {

// A condition for one argument. Compared are the lower 32 bits where the kernel's type is an int,
// and all 64 where it is a pointer.
struct Arg {
  enum class Test : uint8_t {
    any,
    is,       // the argument is `value`
    without,  // it has no bit of `value`
    null,     // it is a null pointer
    own_pid,
  };
  uint8_t index = 0;
  Test test = Test::any;
  uint32_t value = 0;
  const char* text = "";  // for doc/privsep.md
};

// An entry of an allow list: all of its conditions must be true. With several entries for a name,
// one of them must be. With an error, the call is not made and gets this one: for what a library
// tries and can do without.
struct Call {
  constexpr Call() = default;
  constexpr Call(const char* n) : name(n) {}  // NOLINT(google-explicit-constructor): lists of names
  constexpr Call(const char* n, Arg a, Arg b = {}, Arg c = {}) : name(n), args{a, b, c} {}
  constexpr Call(const char* n, int e) : name(n), error(e) {}
  const char* name = "";
  std::array<Arg, 3> args{};
  int error = 0;
};

}  // namespace rims::privdrop
