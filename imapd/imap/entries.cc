// imapd/imap/entries.cc - see entries.h

#include "imapd/imap/entries.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "common/base/ascii.h"
#include "common/imap/response.h"

namespace rims::imapd {
namespace {

using Depth = imap::GetMetadata::Depth;

// What the server itself says of a mailbox.
store::Annotations computed(Session& session, MailboxId mailbox) {
  const store::MailboxInfo* info = session.account().find(mailbox);
  store::Annotations entries;
  if (info && info->special_use != store::SpecialUse::none)
    entries.emplace(kSpecialUseEntry, store::name(info->special_use));
  return entries;
}

// The client's own entries, and what the administrator says of the server, or the server of a
// mailbox: those the client can not have. Good until the next await.
struct All {
  All(Session& session, MailboxId mailbox)
      : own(session.account().annotations(mailbox)),
        made(computed(session, mailbox)),
        others(mailbox.value == 0 ? session.host().server_entries() : made) {}
  const store::Annotations& own;
  const store::Annotations made;
  const store::Annotations& others;
};

std::optional<std::string_view> value_of(const All& all, const std::string& name) {
  for (const store::Annotations* entries : {&all.others, &all.own})
    if (const auto found = entries->find(name); found != entries->end()) return found->second;
  return std::nullopt;
}

// How an entry is called in the answer, by its name in lower case. `asked`: by its own name.
struct Named {
  std::string shown;
  bool asked = false;
};
using Names = std::map<std::string, Named>;

void add_below(Names& names, const store::Annotations& entries, const std::string& name,
               Depth depth) {
  const std::string prefix = name + '/';
  for (auto it = entries.lower_bound(prefix);
       it != entries.end() && it->first.starts_with(prefix);) {
    const size_t end = it->first.find('/', prefix.size());
    if (depth == Depth::one && end != it->first.npos) {
      // All below this child at once, so that names within each other cost no more than one.
      it = entries.lower_bound(it->first.substr(0, end) + static_cast<char>('/' + 1));
      continue;
    }
    names.try_emplace(it->first, Named{.shown = it->first, .asked = false});
    ++it;
  }
}

bool is_below_one_of(const Names& names, std::string_view name) {
  for (size_t at = name.rfind('/'); at != 0 && at != name.npos; at = name.rfind('/', at - 1))
    if (names.contains(std::string(name.substr(0, at)))) return true;
  return false;
}

Names names_of(Session& session, MailboxId mailbox, const WantedEntries& wanted) {
  Names names;
  for (const std::string& name : wanted.names)
    names.try_emplace(ascii::lower(name), Named{.shown = name, .asked = true});
  if (wanted.depth == Depth::zero) return names;
  const Names asked = names;
  const All all(session, mailbox);
  for (const auto& [name, named] : asked) {
    if (wanted.depth == Depth::infinity && is_below_one_of(asked, name)) continue;
    add_below(names, all.own, name, wanted.depth);
    add_below(names, all.others, name, wanted.depth);
  }
  return names;
}

// One response, which begins with its first entry.
class Response {
 public:
  Response(Session& session, std::string_view name) : session_(session), name_(name) {}

  void add(std::string_view entry, std::optional<std::string_view> value) {
    std::string& out = session_.out();
    if (std::exchange(begun_, true)) {
      out += ' ';
    } else {
      out += "* METADATA ";
      imap::append_mailbox(out, name_, session_.name_form());
      out += " (";
    }
    imap::append_astring(out, entry);
    out += ' ';
    imap::append_value(out, value);
  }
  [[nodiscard]] bool begun() const { return begun_; }
  void end() {
    if (begun_) session_.out() += ")\r\n";
  }

 private:
  Session& session_;
  std::string_view name_;
  bool begun_ = false;
};

}  // namespace

Task<Result<uint64_t>> write_entries(Session& session, MailboxId mailbox, std::string name,
                                     const WantedEntries& wanted) {
  const Names names = names_of(session, mailbox, wanted);
  uint64_t longest = 0;
  TimeSlice slice(session.host().loop());
  Response response(session, name);
  for (const auto& [entry, named] : names) {
    const All all(session, mailbox);
    const auto value = value_of(all, entry);
    if (value && wanted.max_size && value->size() > *wanted.max_size)
      longest = std::max<uint64_t>(longest, value->size());
    else if (value)
      response.add(named.shown, value);
    else if (wanted.depth == Depth::zero)
      response.add(named.shown, std::nullopt);
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
    if (slice.step()) co_await slice.spend();
  }
  if (!response.begun() && longest == 0) {
    for (const auto& [entry, named] : names)
      if (named.asked) response.add(named.shown, std::nullopt);
  }
  response.end();
  co_return longest;
}

}  // namespace rims::imapd
