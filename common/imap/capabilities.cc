// common/imap/capabilities.cc - the names, and who is told them

#include "common/imap/capabilities.h"

#include <algorithm>
#include <fnmatch.h>

#include "common/base/ascii.h"
#include "common/base/log.h"

namespace rims::imap {
namespace {

// LITERAL- and LITERAL+ exclude each other (RFC 7888 §6); a server may change from one to the
// other with the login.
constexpr std::string_view kBeforeLogin[] = {"LITERAL-", "ID", "SASL-IR"};
constexpr std::string_view kAfterLogin[] = {
    "LITERAL+",
    "BINARY",
    "CHILDREN",
    "CONDSTORE",
    "CREATE-SPECIAL-USE",
    "ENABLE",
    "ESEARCH",
    "ESORT",
    "I18NLEVEL=1",
    "ID",
    "IDLE",
    "INPROGRESS",
    "LIST-EXTENDED",
    "LIST-METADATA",
    "LIST-STATUS",
    "METADATA",
    "MOVE",
    "NAMESPACE",
    "NOTIFY",
    "OBJECTID",
    "PARTIAL",
    "PREVIEW",
    "QRESYNC",
    "QUOTA",
    "QUOTA=RES-MAILBOX",
    "QUOTA=RES-MESSAGE",
    "QUOTA=RES-STORAGE",
    "REPLACE",
    "SASL-IR",
    "SAVEDATE",
    "SEARCHRES",
    "SORT",
    "SORT=DISPLAY",
    "SPECIAL-USE",
    "STATUS=SIZE",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "THREAD=REFS",
    "UIDBATCHES",
    "UIDONLY",
    "UIDPLUS",
    "UNSELECT",
    "UTF8=ACCEPT",
    "WITHIN",
    "XLIST",
};
constexpr std::string_view kRev2 = "IMAP4rev2";
constexpr std::string_view kUncompressed[] = {"COMPRESS=DEFLATE", "UNAUTHENTICATE"};
constexpr std::string_view kAppendLimit = "APPENDLIMIT", kMultiAppend = "MULTIAPPEND";
constexpr std::string_view kMessageLimit = "MESSAGELIMIT", kSaveLimit = "SAVELIMIT";

constexpr std::string_view kFor = " for ";

bool exists(std::string_view name) {
  const auto same = [name](std::string_view other) { return ascii::equal(name, other); };
  return std::ranges::any_of(kBeforeLogin, same) || std::ranges::any_of(kAfterLogin, same) ||
         std::ranges::any_of(kUncompressed, same) || same(kRev2) || same(kAppendLimit) ||
         same(kMultiAppend) || same(kMessageLimit) || same(kSaveLimit);
}

bool matches(std::string_view pattern, std::string_view client) {
  return fnmatch(std::string(pattern).c_str(), std::string(client).c_str(),
                 FNM_CASEFOLD | FNM_NOESCAPE) == 0;
}

}  // namespace

Status check_disabled_capability(std::string_view text) {
  const size_t at = text.find(kFor);
  const std::string_view name = text.substr(0, at);
  if (!exists(name))
    return fail(Fault::refused, log::quoted(name) + " is no capability that can be disabled");
  if (at != text.npos && at + kFor.size() == text.size())
    return fail(Fault::refused, log::quoted(text) + " names no client behind \"for\"");
  return {};
}

bool is_disabled(DisabledCapabilities disabled, std::string_view name, std::string_view client) {
  return std::ranges::any_of(disabled, [&](std::string_view text) {
    const size_t at = text.find(kFor);
    if (!ascii::equal(text.substr(0, at), name)) return false;
    return at == text.npos || matches(text.substr(at + kFor.size()), client);
  });
}

std::string capabilities(const CapabilityState& state) {
  std::string out = "IMAP4rev1";
  const auto add = [&](std::string_view name, std::string_view value = {}) {
    if (is_disabled(state.disabled, name, state.client)) return;
    out += ' ';
    out += name;
    out += value;
  };
  add(kRev2);
  if (state.logged_in) {
    for (const std::string_view name : kAfterLogin) add(name);
    if (!state.compressed)
      for (const std::string_view name : kUncompressed) add(name);
    add(kAppendLimit, '=' + std::to_string(state.append_limit));
    if (!state.post_only) add(kMultiAppend);
    if (state.message_limit)
      add(kMessageLimit, '=' + std::to_string(*state.message_limit));
    else if (state.save_limit)
      add(kSaveLimit, '=' + std::to_string(*state.save_limit));
    if (state.post_only) out += " X-RIMS-MAIL-DELIVERY-USER";
    return out;
  }
  for (const std::string_view name : kBeforeLogin) add(name);
  if (state.tls_offered && !state.tls_active) out += " STARTTLS";
  // LOGINDISABLED goes with STARTTLS (RFC 3501 §6.2.3).
  out += state.tls_active || state.plaintext ? " AUTH=PLAIN" : " LOGINDISABLED";
  if (state.cram_md5) out += " AUTH=CRAM-MD5";
  return out;
}

}  // namespace rims::imap
