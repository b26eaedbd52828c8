// common/store/expunged.h - which expunged messages are there still, from the journal alone
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/store/reader.h"
#include "common/store/types.h"

namespace rims::store {

struct Expunged {
  std::string mailbox;  // its name when the message went; it may have another one now, or be gone
  Revival message;      // as it was, for Account::revive()
  Place place;
  uint32_t time = 0;  // when it was expunged, or its mailbox deleted; 0: not known
};

// Messages that no mailbox has any more and whose bytes are there, in the order they went. One
// that was in several mailboxes is listed for each.
Result<std::vector<Expunged>> list_expunged(
    JournalReader& reader, const std::function<void(const JournalDamage&)>& damage = {});

}  // namespace rims::store
