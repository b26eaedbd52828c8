// imapd/imap/commands/metadata.cc - GETMETADATA and SETMETADATA
//
//   RFC  5464 §3.2.1, §3.3, §4.2, §4.3; 5530 §3 (NONEXISTENT, NOPERM); 6154 §4 (USEATTR)
//
// A user's mailboxes are seen by nobody else, so /private and /shared differ by their names alone.
// Of the server's entries, /private are the account's own, and /shared the administrator's.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/ascii.h"
#include "imapd/imap/entries.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

// Of a mailbox that exists, selectable or not; 0 for "", the server.
Result<MailboxId> mailbox_of(Session& session, const std::string& name) {
  if (name.empty()) return MailboxId();
  const store::MailboxInfo* info = session.account().find(name);
  if (!info) return no_such_mailbox();
  return info->id;
}

bool is_shared(std::string_view entry) {
  return ascii::equal(entry.substr(0, std::string_view("/shared/").size()), "/shared/");
}

// The one that a value of kSpecialUseEntry names. Another mailbox that has it loses it.
Result<store::SpecialUse> special_use_of(const std::optional<std::string>& value) {
  using store::SpecialUse;
  if (!value || value->empty()) return SpecialUse::none;
  for (auto n = static_cast<uint8_t>(SpecialUse::none) + 1;
       n <= static_cast<uint8_t>(SpecialUse::last); n++)
    if (const auto use = static_cast<SpecialUse>(n); ascii::equal(*value, store::name(use)))
      return use;
  return fail(Fault::refused, "that special use is not possible", {}, "USEATTR");
}

}  // namespace

Task<Result<Reply>> get_metadata(Session& session, imap::Command command) {
  auto& args = std::get<imap::GetMetadata>(command.args);
  CO_TRY(const MailboxId mailbox, mailbox_of(session, args.mailbox));
  const WantedEntries wanted{
      .names = std::move(args.entries), .depth = args.depth, .max_size = args.max_size};
  CO_TRY(const uint64_t longest,
         co_await write_entries(session, mailbox, std::move(args.mailbox), wanted));
  Reply reply{.text = "GETMETADATA completed", .code = {}};
  if (longest > 0) reply.code = "METADATA LONGENTRIES " + std::to_string(longest);
  co_return reply;
}

Task<Result<Reply>> set_metadata(Session& session, imap::Command command) {
  auto& args = std::get<imap::SetMetadata>(command.args);
  CO_TRY(const MailboxId mailbox, mailbox_of(session, args.mailbox));
  std::vector<store::AnnotationChange> changes;
  std::optional<store::SpecialUse> use;
  for (auto& [name, value] : args.entries) {
    if (mailbox.value != 0 && ascii::equal(name, kSpecialUseEntry)) {
      CO_TRY(use, special_use_of(value));
      if (session.account().find(mailbox)->noselect)
        co_return fail(Fault::refused, "the name holds no messages", {}, "USEATTR");
      continue;
    }
    if (mailbox.value == 0 && is_shared(name))
      co_return fail(Fault::refused, "the administrator sets what all users see", {}, "NOPERM");
    changes.push_back({.name = std::move(name), .value = std::move(value)});
  }
  CO_TRY_STATUS(
      co_await session.account().annotate(mailbox, std::move(changes), session.origin(), use));
  co_return Reply{.text = "SETMETADATA completed", .code = {}};
}

}  // namespace rims::imapd::commands
