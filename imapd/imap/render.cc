// imapd/imap/render.cc - flags and errors as the client reads them

#include "imapd/imap/render.h"

#include <array>
#include <span>

#include "common/imap/response.h"
#include "imapd/imap/session.h"

namespace rims::imapd {

static_assert(store::kSeen == static_cast<uint8_t>(imap::SystemFlag::seen) &&
                  store::kAnswered == static_cast<uint8_t>(imap::SystemFlag::answered) &&
                  store::kFlagged == static_cast<uint8_t>(imap::SystemFlag::flagged) &&
                  store::kDeleted == static_cast<uint8_t>(imap::SystemFlag::deleted) &&
                  store::kDraft == static_cast<uint8_t>(imap::SystemFlag::draft),
              "the store's flag bits are the grammar's");

void append_message_flags(std::string& out, const Selected& selected,
                          const store::MessageEntry& message) {
  std::array<std::string_view, store::kMaxKeywordsOfMessage> names;
  const auto& keywords = selected.mailbox->keywords();
  size_t count = 0;
  for (const store::KeywordIndex index : keywords.of(message.keywords)) {
    if (count < names.size()) names[count++] = keywords.names()[index];
  }
  uint8_t flags = message.flags;
  if (selected.view.is_recent(message.uid)) flags |= static_cast<uint8_t>(imap::SystemFlag::recent);
  imap::append_flags(out, flags, std::span(names.data(), count));
}

void append_flags_lines(std::string& out, const Selected& selected, const store::Limits& limits) {
  const auto& keywords = selected.mailbox->keywords().names();
  std::string list = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";
  for (const std::string& keyword : keywords) list += ' ' + keyword;
  out += "* FLAGS (" + list + ")\r\n* OK [PERMANENTFLAGS (";
  if (!selected.read_only) {
    out += list;
    if (keywords.size() < limits.keywords) out += " \\*";
  }
  out += selected.read_only ? ")] read-only\r\n" : ")] flags that stay\r\n";
}

std::unexpected<Error> no_such_mailbox() {
  return fail(Fault::not_found, "no such mailbox", {}, "NONEXISTENT");
}

std::unexpected<Error> try_create() {
  return fail(Fault::not_found, "no such mailbox", {}, "TRYCREATE");
}

std::unexpected<Error> some_are_gone() {
  return fail(Fault::not_found, "some of the messages were expunged by another session", {},
              "EXPUNGEISSUED");
}

}  // namespace rims::imapd
