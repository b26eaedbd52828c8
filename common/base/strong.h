// common/base/strong.h - numbers that must not be mixed up: a UID is not a sequence number
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace rims {

// An integer with a meaning. Compares with its own kind; everything else asks for .value.
template <class Tag, class Int>
struct Strong {
  Int value = 0;
  constexpr Strong() = default;
  constexpr explicit Strong(Int v) : value(v) {}
  constexpr auto operator<=>(const Strong&) const = default;
};

using Uid = Strong<struct UidTag, uint32_t>;                  // RFC 9051 §2.3.1.1
using UidValidity = Strong<struct UidValidityTag, uint32_t>;  // RFC 9051 §2.3.1.1
using SeqNum = Strong<struct SeqNumTag, uint32_t>;            // RFC 9051 §2.3.1.2, from 1
using ModSeq = Strong<struct ModSeqTag, uint64_t>;        // RFC 7162; the journal's sequence number
using MailboxId = Strong<struct MailboxIdTag, uint32_t>;  // never reused within an account
using MessageId = Strong<struct MessageIdTag, uint64_t>;  // never reused within an account

}  // namespace rims

template <class Tag, class Int>
struct std::hash<rims::Strong<Tag, Int>> {
  size_t operator()(rims::Strong<Tag, Int> v) const noexcept { return std::hash<Int>()(v.value); }
};
