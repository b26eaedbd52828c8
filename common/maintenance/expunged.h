// common/maintenance/expunged.h - which expunged messages still exist, from the journal alone
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/journal/reader.h"
#include "common/mail/types.h"

namespace rims::store {

struct Expunged {
  std::string mailbox;  // its name when the message was expunged; it may be renamed since
  Revival message;      // as it was, for Account::revive()
  Place place;
  uint32_t time = 0;  // when it was expunged, or its mailbox deleted; 0: not known
};

// Messages that no mailbox has any more and whose bytes still exist, in the order in which they
// were expunged. One that was in several mailboxes is listed for each.
Result<std::vector<Expunged>> list_expunged(
    JournalReader& reader, const std::function<void(const JournalDamage&)>& damage = {});

}  // namespace rims::store
