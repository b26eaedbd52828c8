// common/mail/locations.cc - the places of messages, from append records

#include "common/mail/locations.h"

#include "common/mail/state.h"

namespace rims::store {

void Locations::apply(const JournalEvent& event, std::span<const Change>,
                      const AccountState& state) {
  if (const auto* append = std::get_if<Append>(&event.record))
    set(append->entry.message, event.dropped ? Location() : event.location);
  // The chunk of the next message must be in memory, or the index would be asked for it.
  if (std::holds_alternative<Gap>(event.record)) make(chunk_of(state.next_message())).dirty = true;
}

}  // namespace rims::store
