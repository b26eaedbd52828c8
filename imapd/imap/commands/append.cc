// imapd/imap/commands/append.cc - APPEND: a message of the client's into a mailbox, or, for the
// delivery user, to any user; REPLACE and UID REPLACE: the same, and an old message leaves
//
//   RFC  3501 §6.3.11; 3502 (several messages, all or none); 3516 §4.4 (literal8);
//        4315 §3 (APPENDUID); 5530 §3 (TRYCREATE, LIMIT); 8508 §3, §4 (REPLACE);
//        9738 §3.1 (MESSAGELIMIT)
//
// The bytes are stored as they came, except for binary parts with NUL of a literal8, which become
// base64: no other FETCH than BINARY could tell them (RFC 3516 §6). The delivery user names the
// target in the mailbox argument: "b64user-mbox" SP base64 of the user SP mailbox. Its message is
// delivered like any other, through rims-deliverd: OK means that it is durable there.

#include <algorithm>
#include <ctime>
#include <utility>
#include <variant>

#include "common/base/encoding.h"
#include "common/imap/mailbox_name.h"
#include "common/imap/response.h"
#include "common/ipc/sealed.h"
#include "common/message/binary.h"
#include "imapd/imap/message_limit.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

// Whatever name a mailbox has, mail can be delivered to it.
static_assert(ipc::kMaxMailbox >= imap::kMaxMailboxName);

struct Target {
  std::string user, mailbox;
};

std::optional<Target> target_of(std::string_view name) {
  constexpr std::string_view kForm = "b64user-mbox ";
  if (!name.starts_with(kForm)) return std::nullopt;
  name.remove_prefix(kForm.size());
  const size_t space = name.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  auto user = from_base64(name.substr(0, space));
  std::string mailbox(name.substr(space + 1));
  if (!user || user->empty() || mailbox.empty()) return std::nullopt;
  return Target{.user = std::move(*user), .mailbox = std::move(mailbox)};
}

// Encodes what came as literal8.
Task<Status> encode_binary(Session& session, imap::AppendMessage& message) {
  if (!message.literal8 || !message.bytes.contains('\0')) co_return Status();
  std::optional<std::string> encoded;
  const auto encode = [&] { encoded = message::encode_binary_parts(message.bytes); };
  co_await session.host().work_on(message.bytes, encode);
  if (!encoded) co_return Status();
  if (encoded->size() > session.append_limit())
    co_return fail(Fault::limit, "the message is too big with its binary parts in base64", {},
                   "TOOBIG");
  message.bytes = std::move(*encoded);
  co_return Status();
}

Task<store::NewMessage> new_message(Session& session, imap::AppendMessage from) {
  store::NewMessage message;
  message.structure = co_await session.host().make_structure(from.bytes);
  message.bytes = store::MessageBytes(std::move(from.bytes));
  message.flags = from.flags.system;
  message.keywords = std::move(from.flags.keywords);
  message.date = from.date ? imap::to_unix(*from.date) : std::time(nullptr);
  message.zone = from.date ? from.date->zone : int16_t{0};
  co_return message;
}

std::unexpected<Error> empty_message() {
  return fail(Fault::refused, "the message is empty", {}, "CANNOT");
}

std::string append_uid_code(const store::Appended& made) {
  imap::NumberSet<Uid> uids;
  for (const Uid uid : made.uids) uids.add(uid);
  return imap::append_uid_code(made.uidvalidity, uids);
}

// A UID that names nothing, or a number whose message another session has removed.
std::unexpected<Error> nothing_to_replace(bool by_uid) {
  if (!by_uid) return some_are_gone();
  return fail(Fault::not_found, "no message has that UID", {}, "NONEXISTENT");
}

Task<Result<Reply>> post(Session& session, imap::Append args) {
  if (args.messages.size() != 1)
    co_return fail(Fault::refused, "one message at a time is delivered", {}, "CANNOT");
  const imap::AppendMessage& posted = args.messages.front();
  const auto target = target_of(args.mailbox);
  if (!target)
    co_return fail(Fault::syntax, "expected a mailbox of the form b64user-mbox USER MAILBOX");
  ipc::Submit order;
  order.recipient = target->user;
  order.mailbox = target->mailbox;
  order.flags = posted.flags.system;
  if (posted.date) order.internal_date = imap::to_unix(*posted.date);
  if (!order.recipient.within() || !order.mailbox.within())
    co_return fail(Fault::limit, "the name is too long", {}, "LIMIT");
  CO_TRY(Fd message, ipc::sealed_copy(posted.bytes, "rims-post"));
  CO_TRY(const ipc::SubmitReply reply,
         co_await session.host().submit(std::move(order), std::move(message)));
  switch (reply.status) {
    case ipc::Delivery::delivered:
      co_return Reply{.text = "APPEND completed", .code = {}};
    case ipc::Delivery::no_user:
      co_return fail(Fault::not_found, "no such user", {}, "NONEXISTENT");
    case ipc::Delivery::rejected:
      co_return fail(Fault::refused, "the message was refused", reply.reason.value, "CANNOT");
    case ipc::Delivery::not_permitted:
      co_return fail(Fault::refused, "not permitted", reply.reason.value, "NOPERM");
    case ipc::Delivery::over_quota:
      co_return fail(Fault::limit, "the user is over quota", reply.reason.value, "OVERQUOTA");
    case ipc::Delivery::full:
    case ipc::Delivery::temporary:
      break;
  }
  co_return fail(Fault::storage, "not delivered, try again later", reply.reason.value);
}

}  // namespace

Task<Result<Reply>> append(Session& session, imap::Command command) {
  auto& args = std::get<imap::Append>(command.args);
  // It can be used to cancel the append (RFC 3502 §6.3.11).
  if (std::ranges::any_of(args.messages, [](const auto& message) { return message.bytes.empty(); }))
    co_return empty_message();
  if (const auto limit = session.save_limit(); limit && args.messages.size() > *limit)
    co_return too_many(*limit, "append");
  for (imap::AppendMessage& message : args.messages) {
    CO_TRY_STATUS(co_await encode_binary(session, message));
  }
  if (session.post_only()) co_return co_await post(session, std::move(args));

  const store::MailboxInfo* target = session.account().find(args.mailbox);
  if (!target || target->noselect) co_return try_create();
  const MailboxId id = target->id;
  uint64_t bytes = 0;
  for (const imap::AppendMessage& message : args.messages) bytes += message.bytes.size();
  CO_TRY_STATUS(co_await session.host().room_for(bytes));

  TimeSlice slice(session.host().loop());
  std::vector<store::NewMessage> messages;
  for (imap::AppendMessage& from : args.messages) {
    messages.push_back(co_await new_message(session, std::move(from)));
    co_await slice.spend();
  }
  CO_TRY(const store::Appended made,
         co_await session.account().append(id, std::move(messages), session.origin()));
  co_return Reply{.text = "APPEND completed", .code = append_uid_code(made)};
}

// Nothing of the old message is in the new one. Both mailboxes change at once: the old message is
// there until the new one is durable.
Task<Result<Reply>> replace(Session& session, imap::Command command) {
  auto& args = std::get<imap::Replace>(command.args);
  Selected& selected = session.selected();
  const imap::SequenceSet set{.ranges = {{args.message, args.message}}};
  CO_TRY(const std::vector<uint32_t> indexes, session.resolve(set, command.by_uid));
  if (indexes.empty()) co_return nothing_to_replace(command.by_uid);
  const Uid old = selected.view.uid_at(indexes.front());
  if (!selected.mailbox->find(old)) co_return nothing_to_replace(command.by_uid);
  if (args.with.bytes.empty()) co_return empty_message();
  CO_TRY_STATUS(co_await encode_binary(session, args.with));
  const store::MailboxInfo* target = session.account().find(args.mailbox);
  if (!target || target->noselect) co_return try_create();
  const MailboxId to = target->id;
  CO_TRY_STATUS(co_await session.host().room_for(args.with.bytes.size()));

  store::NewMessage message = co_await new_message(session, std::move(args.with));
  const auto made = co_await session.account().replace(selected.id(), old, to, std::move(message),
                                                       session.origin());
  if (!made) {
    if (made.error().code() == "NONEXISTENT") co_return nothing_to_replace(command.by_uid);
    co_return std::unexpected(made.error());
  }
  // APPENDUID and EXISTS come before EXPUNGE (RFC 8508 §3.2, §4.3), which the command loop sends.
  imap::append_status(session.out(), "*", imap::Condition::ok, append_uid_code(*made), "stored");
  CO_TRY_STATUS(co_await session.tell_news(false, command.by_uid));
  co_return Reply{.text = command.by_uid ? "UID REPLACE completed" : "REPLACE completed",
                  .code = {},
                  .names_modseq = session.enabled(Extension::qresync)};
}

}  // namespace rims::imapd::commands
