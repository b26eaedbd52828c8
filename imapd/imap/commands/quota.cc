// imapd/imap/commands/quota.cc - GETQUOTA, GETQUOTAROOT, SETQUOTA
//
//   RFC  9208 §4.1, §4.2, §5; 5530 §3 (NONEXISTENT, NOPERM). A client of RFC 2087 is answered, too.
//
// All mailboxes of a user share one quota root, which exists while the configuration sets a quota.
// Nobody changes it here, so CAPABILITY does not have QUOTASET.

#include <string>
#include <variant>

#include "common/base/ascii.h"
#include "common/imap/response.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

constexpr std::string_view kRoot = "User quota";

// RFC 9208 §5.1: STORAGE is in units of 1024 octets.
uint64_t in_kibibytes(uint64_t bytes) { return bytes / 1024 + (bytes % 1024 == 0 ? 0 : 1); }

bool is_limited(const store::Usage& quota) { return quota != store::Usage{}; }

// `* QUOTA "User quota" (STORAGE 10 512)`: what is not listed has no limit.
void append_quota(std::string& out, const store::Account& account) {
  const store::Usage used = account.usage(), most = account.limits().quota;
  const struct {
    std::string_view resource;
    uint64_t used, most;
  } rows[] = {{"STORAGE", in_kibibytes(used.bytes), in_kibibytes(most.bytes)},
              {"MESSAGE", used.messages, most.messages},
              {"MAILBOX", used.mailboxes, most.mailboxes}};
  out += "* QUOTA ";
  imap::append_string(out, kRoot);
  char before = '(';
  out += ' ';
  for (const auto& row : rows) {
    if (row.most == 0) continue;
    out += before;
    before = ' ';
    out += row.resource;
    out += ' ';
    imap::append_number(out, row.used);
    out += ' ';
    imap::append_number(out, row.most);
  }
  out += ")\r\n";
}

}  // namespace

Task<Result<Reply>> get_quota(Session& session, imap::Command command) {
  const auto& args = std::get<imap::GetQuota>(command.args);
  if (!is_limited(session.account().limits().quota) || !ascii::equal(args.root, kRoot))
    co_return fail(Fault::not_found, "no such quota root", {}, "NONEXISTENT");
  append_quota(session.out(), session.account());
  co_return Reply{.text = "GETQUOTA completed", .code = {}};
}

// The mailbox need not exist (RFC 9208 §4.1.2).
Task<Result<Reply>> get_quota_root(Session& session, imap::Command command) {
  const auto& args = std::get<imap::GetQuotaRoot>(command.args);
  const bool limited = is_limited(session.account().limits().quota);
  std::string& out = session.out();
  out += "* QUOTAROOT ";
  imap::append_mailbox(out, args.mailbox, session.name_form());
  if (limited) {
    out += ' ';
    imap::append_string(out, kRoot);
  }
  out += "\r\n";
  if (limited) append_quota(out, session.account());
  co_return Reply{.text = "GETQUOTAROOT completed", .code = {}};
}

Task<Result<Reply>> set_quota(Session&, imap::Command) {
  co_return fail(Fault::refused, "quotas are set by the administrator", {}, "NOPERM");
}

}  // namespace rims::imapd::commands
