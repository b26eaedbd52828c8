// common/mail/of_many.h - which records take long to apply
#pragma once

#include <variant>

#include "common/mail/records.h"

namespace rims::store {

// It may name so many messages that it takes milliseconds: give way to the loop before each.
[[nodiscard]] inline bool of_many(const Record& record) {
  return std::holds_alternative<Copy>(record) || std::holds_alternative<Flags>(record) ||
         std::holds_alternative<Expunge>(record);
}

}  // namespace rims::store
