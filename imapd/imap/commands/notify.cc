// imapd/imap/commands/notify.cc - NOTIFY (RFC 5465)
//
//   RFC  5465 §3.1 (what it replaces, STATUS, what is refused), §5.8; 7162 §3.1 (MODSEQ)
//
// What is told later: session_news.cc.

#include <utility>
#include <variant>

#include "common/imap/response.h"
#include "imapd/imap/notifications.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

std::string bad_event_code() {
  std::string code = "BADEVENT ";
  char before = '(';
  for (const imap::NotifyEvent& event : imap::kNotifyEvents) {
    if ((Notifications::kSupported & event.bit) == 0) continue;
    code += std::exchange(before, ' ');
    code += event.name;
  }
  return code + ')';
}

Status may_ask(const imap::Notify& args) {
  size_t named = 0;
  for (const imap::Notify::Group& group : args.groups) {
    if ((group.events & ~Notifications::kSupported) != 0)
      return fail(Fault::refused, "there are no such events here", {}, bad_event_code());
    named += group.mailboxes.size();
  }
  if (named <= Notifications::kMostNamed) return {};
  return fail(Fault::limit,
              "more than " + std::to_string(Notifications::kMostNamed) + " mailboxes are named", {},
              "NOTIFICATIONOVERFLOW");
}

}  // namespace

Task<Result<Reply>> notify(Session& session, imap::Command command) {
  const auto& args = std::get<imap::Notify>(command.args);
  CO_TRY_STATUS(may_ask(args));
  for (const imap::Notify::Group& group : args.groups)
    if ((group.fetch.items & imap::Fetch::modseq) != 0) session.enable(Extension::condstore);
  session.notify(std::make_unique<Notifications>(args));
  if (!args.groups.empty()) {
    CO_TRY_STATUS(co_await session.tell_selected(Session::Which::all, true, true));
  }
  if (args.status) {
    CO_TRY_STATUS(co_await session.tell_statuses());
  }
  co_return Reply{.text = "NOTIFY completed", .code = {}};
}

}  // namespace rims::imapd::commands
