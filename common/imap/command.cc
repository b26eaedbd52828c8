// common/imap/command.cc - names of commands; comparison where a Secret is a member

#include "common/imap/command.h"

#include "common/base/ascii.h"

namespace rims::imap {
namespace {

// In the order of Arguments.
constexpr std::string_view kNames[] = {
    "NOOP",           "CAPABILITY",  "LOGOUT",      "ID",           "STARTTLS",   "AUTHENTICATE",
    "LOGIN",          "ENABLE",      "SELECT",      "EXAMINE",      "CREATE",     "DELETE",
    "RENAME",         "SUBSCRIBE",   "UNSUBSCRIBE", "LIST",         "LSUB",       "STATUS",
    "APPEND",         "NAMESPACE",   "IDLE",        "CHECK",        "CLOSE",      "UNSELECT",
    "EXPUNGE",        "SEARCH",      "SORT",        "THREAD",       "FETCH",      "STORE",
    "COPY",           "MOVE",        "GETQUOTA",    "GETQUOTAROOT", "SETQUOTA",   "COMPRESS",
    "UNAUTHENTICATE", "GETMETADATA", "SETMETADATA", "REPLACE",      "UIDBATCHES", "NOTIFY",
    "XLIST"};
static_assert(std::size(kNames) == std::variant_size_v<Arguments>);

}  // namespace

bool Authenticate::operator==(const Authenticate& other) const {
  return mechanism == other.mechanism && response.has_value() == other.response.has_value() &&
         (!response || equal_constant_time(response->reveal(), other.response->reveal()));
}

bool Login::operator==(const Login& other) const {
  return user == other.user && equal_constant_time(password.reveal(), other.password.reveal());
}

std::string client_name(const Id& id) {
  const auto value = [&id](std::string_view key) -> std::string {
    for (const auto& [name, text] : id.fields)
      if (text && ascii::equal(name, key)) return *text;
    return {};
  };
  const std::string name = value("name"), version = value("version");
  return name + (name.empty() || version.empty() ? "" : " ") + version;
}

const Search* criteria(const Command& command) {
  if (const auto* sort = std::get_if<Sort>(&command.args)) return &sort->search;
  if (const auto* thread = std::get_if<Thread>(&command.args)) return &thread->search;
  return std::get_if<Search>(&command.args);
}

std::string_view name(const Command& command) {
  if (command.by_uid) {
    if (std::holds_alternative<Fetch>(command.args)) return "UID FETCH";
    if (std::holds_alternative<Search>(command.args)) return "UID SEARCH";
    if (std::holds_alternative<Sort>(command.args)) return "UID SORT";
    if (std::holds_alternative<Thread>(command.args)) return "UID THREAD";
    if (std::holds_alternative<Store>(command.args)) return "UID STORE";
    if (std::holds_alternative<Copy>(command.args)) return "UID COPY";
    if (std::holds_alternative<Move>(command.args)) return "UID MOVE";
    if (std::holds_alternative<Replace>(command.args)) return "UID REPLACE";
    if (std::holds_alternative<Expunge>(command.args)) return "UID EXPUNGE";
  }
  return kNames[command.args.index()];
}

}  // namespace rims::imap
