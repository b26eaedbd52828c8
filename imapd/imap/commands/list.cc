// imapd/imap/commands/list.cc - LIST, LSUB and XLIST
//
//   RFC  3501 §6.3.8, §6.3.9; 3348 (\HasChildren); 5258 §3 (selection and return options); 5819
//        (STATUS); 6154 §2, §5.2 (SPECIAL-USE); 9590 §3 (METADATA)
//   XLIST is what Gmail had before SPECIAL-USE: LIST whose attributes name INBOX, too, and Junk as
//        Gmail calls it. Outlook 2013 and 2016 ask for it, or look at LSUB
//
// Names are matched against the patterns one by one; a match costs no more than the two lengths
// multiplied, whatever the wildcards. LIST shows one state of the account, and gives way to the
// loop while it makes its lines.

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/imap/mailbox_name.h"
#include "common/imap/response.h"
#include "imapd/imap/entries.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

// What the store takes, LIST can say and match.
static_assert(imap::kMaxMailboxName == store::Limits{}.name_bytes);
static_assert(imap::kMaxMailboxDepth == store::Limits{}.name_depth);

// Calls fn with each proper parent of a name, outermost first.
template <class Fn>
void for_each_parent(std::string_view name, Fn&& fn) {
  for (size_t at = name.find('/'); at != std::string_view::npos; at = name.find('/', at + 1))
    fn(name.substr(0, at));
}

void append_line(Session& session, std::string_view response, const std::string& attributes,
                 std::string_view name, std::string_view extra = {}) {
  std::string& out = session.out();
  out += "* ";
  out += response;
  out += " (";
  out += attributes;
  out += ") \"/\" ";
  imap::append_mailbox(out, name, session.name_form());
  out += extra;
  out += "\r\n";
}

void add(std::string& attributes, std::string_view attribute) {
  if (attribute.empty()) return;
  if (!attributes.empty()) attributes += ' ';
  attributes += attribute;
}

// LIST "" "" asks for the delimiter and the root of the reference (RFC 3501 §6.3.8).
void append_delimiter(std::string& out, std::string_view response) {
  out += "* ";
  out += response;
  out += " (\\Noselect) \"/\" \"\"\r\n";
}

// A name, as it was when the command began.
struct Row {
  std::optional<store::MailboxInfo> info;  // none: the name does not exist
  bool subscribed = false;
  bool selected = false;        // it meets the selection options itself
  bool matched = false;         // it matches a pattern
  bool has_children = false;    // that exist
  bool holds_selected = false;  // something below it meets the options (RECURSIVEMATCH),
  bool holds_unlisted = false;  // and does not match, so that only this name tells of it
};

// INBOX comes first, whatever sorts before it.
struct InboxFirst {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const {
    if (b == "INBOX") return false;
    return a == "INBOX" || a < b;
  }
};
using Rows = std::map<std::string, Row, InboxFirst>;

bool meets(const imap::List& args, const Row& row) {
  if ((args.select & imap::List::subscribed) != 0 && !row.subscribed) return false;
  return (args.select & imap::List::special_use) == 0 ||
         (row.info && row.info->special_use != store::SpecialUse::none);
}

// One state of the account: the lines are made of it in slices.
Rows snapshot(const store::Account& account, const imap::List& args) {
  Rows rows;
  const auto& subscriptions = account.subscriptions();
  auto next = subscriptions.begin();
  for (const store::MailboxInfo* info : account.mailboxes()) {
    Row row{.info = *info};
    // Both are ascending, but for INBOX.
    if (info->name == "INBOX") {
      row.subscribed = subscriptions.contains(info->name);
    } else {
      while (next != subscriptions.end() && *next < info->name) ++next;
      row.subscribed = next != subscriptions.end() && *next == info->name;
    }
    row.selected = meets(args, row);
    rows.emplace_hint(rows.end(), info->name, std::move(row));
  }
  // Names that do not exist are there only for being subscribed.
  if ((args.select & imap::List::subscribed) != 0)
    for (const std::string& name : subscriptions) {
      Row row{.info = {}, .subscribed = true};
      row.selected = meets(args, row);
      if (row.selected) rows.emplace(name, std::move(row));
    }
  return rows;
}

// What XLIST says beside RFC 6154's attributes; "" for most names.
std::string_view gmail_attribute(std::string_view name, const Row& row) {
  if (name == "INBOX") return "\\Inbox";
  return row.info && row.info->special_use == store::SpecialUse::junk ? "\\Spam" : "";
}

class Lister {
 public:
  // `response`: LIST or XLIST.
  Lister(Session& session, const imap::List& args, std::string_view response)
      : session_(session), args_(args), response_(response), slice_(session.host().loop()) {
    // An empty one matches nothing (RFC 5258 §3).
    for (const std::string& pattern : args.patterns)
      if (!pattern.empty()) patterns_.emplace_back(args.reference, pattern);
  }

  Task<Status> list() {
    Rows rows = snapshot(session_.account(), args_);
    for (auto& [name, row] : rows) row.matched = co_await matches(name);
    co_await look_below(rows);
    for (const auto& [name, row] : rows) {
      if (row.matched && (row.selected || row.holds_unlisted)) {
        CO_TRY_STATUS(co_await append(name, row));
      }
      if (session_.drain_is_due()) {
        CO_TRY_STATUS(co_await session_.drain());
      }
      co_await slice_.spend();
    }
    co_return Status();
  }

 private:
  // Trying one pattern may take a millisecond when both are long.
  Task<bool> matches(std::string_view name) {
    for (const imap::ListPattern& pattern : patterns_) {
      if (pattern.matches(name)) co_return true;
      co_await slice_.spend();
    }
    co_return false;
  }

  // Tells parents of what is below them. Of those that do not exist, only RECURSIVEMATCH may tell
  // (RFC 5258 §3.5): they become rows.
  Task<void> look_below(Rows& rows) {
    const bool recursive = (args_.select & imap::List::recursive_match) != 0;
    Rows missing;
    for (const auto& [name, row] : rows) {
      for (size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1)) {
        const std::string_view parent = std::string_view(name).substr(0, at);
        auto found = rows.find(parent);
        if (found == rows.end()) {
          if (!recursive || !row.selected) continue;
          found = missing.find(parent);
          if (found == missing.end()) {
            found = missing.emplace(parent, Row{}).first;
            found->second.matched = co_await matches(parent);
          }
        }
        Row& above = found->second;
        above.has_children = above.has_children || row.info.has_value();
        if (!recursive || !row.selected) continue;
        above.holds_selected = true;
        above.holds_unlisted = above.holds_unlisted || !row.matched;
      }
      co_await slice_.spend();
    }
    rows.merge(missing);
  }

  std::string attributes_of(std::string_view name, const Row& row) const {
    const bool asked = ((args_.select & imap::List::subscribed) != 0) ||
                       ((args_.returns & imap::List::return_subscribed) != 0);
    std::string attributes = list_attributes(name, row.info ? &*row.info : nullptr,
                                             row.has_children, asked && row.subscribed);
    if (response_ == "XLIST") add(attributes, gmail_attribute(name, row));
    return attributes;
  }

  // What selected something below it (RFC 5258 §3.5).
  std::string childinfo() const {
    std::string criteria;
    if ((args_.select & imap::List::subscribed) != 0) add(criteria, "\"SUBSCRIBED\"");
    if ((args_.select & imap::List::special_use) != 0) add(criteria, "\"SPECIAL-USE\"");
    return " (\"CHILDINFO\" (" + criteria + "))";
  }

  Task<Status> append(const std::string& name, const Row& row) {
    append_line(session_, response_, attributes_of(name, row), name,
                row.holds_selected ? childinfo() : std::string());
    CO_TRY_STATUS(co_await append_status_of(row));
    co_return co_await append_metadata_of(row);
  }

  Task<Status> append_status_of(const Row& row) {
    // RFC 5819 §2: of each that can be selected; not of one that only holds others.
    if ((args_.returns & imap::List::return_status) == 0 || !row.selected || !row.info ||
        row.info->noselect)
      co_return Status();
    // What is deleted is counted now. Of a mailbox that is gone meanwhile there is nothing to tell.
    const auto deleted = co_await count_deleted(session_, row.info->id, args_.status);
    if (deleted)
      append_status_response(session_.out(), session_, *row.info, args_.status, *deleted);
    else if (deleted.error().fault() != Fault::not_found)
      co_return std::unexpected(deleted.error());
    co_return Status();
  }

  // RFC 9590 §3: of each that exists and was selected. As they are now; of a mailbox that is gone
  // meanwhile there is nothing to tell.
  Task<Status> append_metadata_of(const Row& row) {
    if (wanted_.names.empty() || !row.selected || !row.info) co_return Status();
    if (!session_.account().find(row.info->id)) co_return Status();
    CO_TRY([[maybe_unused]] const uint64_t longest,
           co_await write_entries(session_, row.info->id, row.info->name, wanted_));
    co_return Status();
  }

  Session& session_;
  const imap::List& args_;
  std::string_view response_;
  TimeSlice slice_;
  std::vector<imap::ListPattern> patterns_;
  const WantedEntries wanted_{.names = args_.metadata, .depth = {}, .max_size = {}};
};

}  // namespace

Task<Result<Reply>> list(Session& session, imap::Command command) {
  const auto& args = std::get<imap::List>(command.args);
  Reply reply{.text = "LIST completed", .code = {}};
  if (!args.extended && args.patterns.size() == 1 && args.patterns[0].empty()) {
    append_delimiter(session.out(), "LIST");
    co_return reply;
  }
  // RFC 7162 §3.1: whoever asks for HIGHESTMODSEQ, in STATUS or here, knows CONDSTORE.
  if ((args.returns & imap::List::return_status) != 0 &&
      (args.status & imap::StatusQuery::highestmodseq) != 0)
    session.enable(Extension::condstore);
  Lister lister(session, args, "LIST");
  CO_TRY_STATUS(co_await lister.list());
  co_return reply;
}

Task<Result<Reply>> lsub(Session& session, imap::Command command) {
  const auto& args = std::get<imap::Lsub>(command.args);
  Reply reply{.text = "LSUB completed", .code = {}};
  if (args.pattern.empty()) {
    append_delimiter(session.out(), "LSUB");
    co_return reply;
  }
  const imap::ListPattern pattern(args.reference, args.pattern);
  std::map<std::string, std::string> attributes_by_name;
  const auto& subscriptions = session.account().subscriptions();
  for (const std::string& name : subscriptions) {
    if (pattern.matches(name)) {
      const store::MailboxInfo* info = session.account().find(name);
      std::string attributes;
      if (!info || info->noselect) add(attributes, "\\Noselect");
      if (info) add(attributes, store::name(info->special_use));
      attributes_by_name[name] = attributes;
      continue;
    }
    // With `%`, a name that is only the parent of a subscribed one is listed as \Noselect (RFC 3501
    // §6.3.9).
    for_each_parent(name, [&](std::string_view parent) {
      if (pattern.matches(parent)) attributes_by_name.emplace(parent, "\\Noselect");
    });
  }
  for (const auto& [name, attributes] : attributes_by_name) {
    append_line(session, "LSUB", attributes, name);
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
  }
  co_return reply;
}

Task<Result<Reply>> xlist(Session& session, imap::Command command) {
  auto& args = std::get<imap::Xlist>(command.args);
  Reply reply{.text = "XLIST completed", .code = {}};
  if (args.pattern.empty()) {
    append_delimiter(session.out(), "XLIST");
    co_return reply;
  }
  const imap::List list{.reference = std::move(args.reference),
                        .patterns = {std::move(args.pattern)}};
  Lister lister(session, list, "XLIST");
  CO_TRY_STATUS(co_await lister.list());
  co_return reply;
}

}  // namespace rims::imapd::commands
