// imapd/imap/commands/list.cc - LIST and LSUB
//
//   RFC  3501 §6.3.8, §6.3.9; 3348 (\HasChildren); 5258 §3 (selection and return options); 6154 §2,
//   §5.2 (SPECIAL-USE)
//
// Names are matched against the patterns one by one; a match costs no more than the two lengths
// multiplied, whatever the wildcards.

#include <algorithm>
#include <map>
#include <string>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "common/imap/mailbox_name.h"
#include "common/imap/response.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

// What the store takes, LIST can say and match.
static_assert(imap::kMaxMailboxName == store::Limits{}.name_bytes);
static_assert(imap::kMaxMailboxDepth == store::Limits{}.name_depth);

bool matches_any(const std::vector<imap::ListPattern>& patterns, std::string_view name) {
  return std::ranges::any_of(patterns, [&](const auto& pattern) { return pattern.matches(name); });
}

// Calls fn with each proper parent of a name, outermost first.
template <class Fn>
void for_each_parent(std::string_view name, Fn&& fn) {
  for (size_t at = name.find('/'); at != std::string_view::npos; at = name.find('/', at + 1))
    fn(name.substr(0, at));
}

void append_line(std::string& out, std::string_view response, const std::string& attributes,
                 std::string_view name, std::string_view extra = {}) {
  out += "* ";
  out += response;
  out += " (";
  out += attributes;
  out += ") \"/\" ";
  imap::append_mailbox(out, name);
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

struct Row {
  const store::MailboxInfo* info = nullptr;  // none: a subscribed name that does not exist
  bool selected = false;                     // it meets the selection options itself
  bool holds_selected = false;               // something below it does (RECURSIVEMATCH)
};

std::string attributes_of(const imap::List& args, std::string_view name, const Row& row,
                          bool has_children, bool subscribed) {
  std::string attributes;
  if (!row.info) add(attributes, "\\NonExistent");
  if (row.info && row.info->noselect) add(attributes, "\\Noselect");
  const auto depth = static_cast<size_t>(std::ranges::count(name, '/')) + 1;
  if (depth >= imap::kMaxMailboxDepth) add(attributes, "\\Noinferiors");
  add(attributes, has_children ? "\\HasChildren" : "\\HasNoChildren");
  const bool asked = ((args.select & imap::List::subscribed) != 0) ||
                     ((args.returns & imap::List::return_subscribed) != 0);
  if (asked && subscribed) add(attributes, "\\Subscribed");
  if (row.info) add(attributes, store::name(row.info->special_use));
  return attributes;
}

}  // namespace

Task<Result<Reply>> list(Session& session, imap::Command command) {
  const auto& args = std::get<imap::List>(command.args);
  Reply reply{.text = "LIST completed", .code = {}};
  if (!args.extended && args.patterns.size() == 1 && args.patterns[0].empty()) {
    append_delimiter(session.out(), "LIST");
    co_return reply;
  }
  std::vector<imap::ListPattern> patterns;
  for (const std::string& pattern : args.patterns)
    if (!pattern.empty()) patterns.emplace_back(args.reference, pattern);

  // No co_await until the lines are made, so they show one state of the account.
  const auto& subscriptions = session.account().subscriptions();
  const bool only_subscribed = (args.select & imap::List::subscribed) != 0;
  const bool only_special = (args.select & imap::List::special_use) != 0;
  std::map<std::string_view, Row> rows;
  std::unordered_set<std::string_view> parents;
  for (const store::MailboxInfo* info : session.account().mailboxes()) {
    Row row{.info = info};
    row.selected = (!only_subscribed || subscriptions.contains(info->name)) &&
                   (!only_special || info->special_use != store::SpecialUse::none);
    rows.emplace(info->name, row);
    for_each_parent(info->name, [&](std::string_view parent) { parents.insert(parent); });
  }
  if (only_subscribed && !only_special)
    for (const std::string& name : subscriptions) rows.emplace(name, Row{.selected = true});
  if ((args.select & imap::List::recursive_match) != 0)
    for (const auto& [name, row] : rows)
      if (row.selected)
        for_each_parent(name, [&](std::string_view parent) {
          if (const auto found = rows.find(parent); found != rows.end())
            found->second.holds_selected = true;
        });

  std::vector<std::string> lines;
  for (const auto& [name, row] : rows) {
    if (!(row.selected || row.holds_selected) || !matches_any(patterns, name)) continue;
    std::string line;
    append_line(
        line, "LIST",
        attributes_of(args, name, row, parents.contains(name), subscriptions.contains(name)), name,
        row.holds_selected && only_subscribed ? " (\"CHILDINFO\" (\"SUBSCRIBED\"))" : "");
    // INBOX comes first, whatever sorts before it.
    if (name == "INBOX")
      lines.insert(lines.begin(), std::move(line));
    else
      lines.push_back(std::move(line));
  }
  for (const std::string& line : lines) {
    session.out() += line;
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
  }
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
    append_line(session.out(), "LSUB", attributes, name);
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
  }
  co_return reply;
}

}  // namespace rims::imapd::commands
