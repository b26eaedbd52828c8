// cli/formats/dbox_files.h - Dovecot's sdbox and mdbox, with their indexes
//
//   subscriptions
//   mailboxes/Work/2026/dbox-Mails/dovecot.index...   UIDs, flags, keywords of the mailbox
//   mailboxes/Work/2026/dbox-Mails/u.7                sdbox: the message with the UID 7
//   storage/m.12, storage/dovecot.map.index...        mdbox: all messages, and where each is
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cli/formats/mail_source.h"

namespace rims::cli {

enum class DboxKind : uint8_t { sdbox, mdbox };

// Is `root` of one of them? It need not be whole.
[[nodiscard]] bool is_dbox(const std::string& root);
// Of which it is without doubt: another tree may have directories of such names.
[[nodiscard]] std::optional<DboxKind> dbox_kind(const std::string& root);

// `alt`: the root of the alternate storage, with the same tree; empty: none. Errors: there is no
// such directory; it is of the other kind.
[[nodiscard]] Result<std::unique_ptr<MailSource>> open_dbox(DboxKind kind, std::string root,
                                                            std::string alt);

}  // namespace rims::cli
