// common/imap/parser_notify.cc - NOTIFY: which events, in which mailboxes
//
//   RFC  5465 §8; §5 and §6.1 say which events go together
//
// Events that we do not know are grammar, too (event-ext): whether one can be had is answered with
// NO (§3.1). So a group with such an event is not looked at any closer here.

#include "common/base/ascii.h"
#include "common/imap/cursor.h"

namespace rims::imap {
namespace {

using Filter = Notify::Filter;
using Group = Notify::Group;

constexpr uint16_t kOfMessages =
    Notify::message_new | Notify::message_expunge | Notify::flag_change | Notify::annotation_change;
constexpr uint16_t kBoth = Notify::message_new | Notify::message_expunge;

bool of_selected(Filter filter) {
  return filter == Filter::selected || filter == Filter::selected_delayed;
}

// one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")"
bool mailboxes(Cursor& in, std::vector<std::string>& out, uint32_t& names) {
  const auto one = [&] {
    if (names++ >= in.limits().notify_mailboxes)
      return in.too_many(in.limits().notify_mailboxes, "mailboxes");
    return in.mailbox(out.emplace_back());
  };
  if (in.peek() != '(') return one();
  if (!in.open()) return false;
  do {
    if (!one()) return false;
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

// filter-mailboxes = "selected" / "selected-delayed" / "inboxes" / "personal" / "subscribed" /
//                    ("subtree" SP one-or-more-mailbox) / ("mailboxes" SP one-or-more-mailbox)
bool filter(Cursor& in, Group& out, bool& selected, uint32_t& names) {
  struct Row {
    std::string_view name;
    Filter filter;
    bool with_names = false;
  };
  static constexpr Row kFilters[] = {
      {"SELECTED", Filter::selected},         {"SELECTED-DELAYED", Filter::selected_delayed},
      {"INBOXES", Filter::inboxes},           {"PERSONAL", Filter::personal},
      {"SUBSCRIBED", Filter::subscribed},     {"SUBTREE", Filter::subtree, true},
      {"MAILBOXES", Filter::mailboxes, true},
  };
  const char* mark = in.mark();
  const std::string_view word = in.take_while(kAtom);
  for (const Row& row : kFilters) {
    if (!ascii::equal(word, row.name)) continue;
    out.filter = row.filter;
    if (row.with_names) return in.sp() && mailboxes(in, out.mailboxes, names);
    if (!of_selected(row.filter)) return true;
    if (selected) return in.fail_at(mark, "selected or selected-delayed once");
    return selected = true;
  }
  return in.fail_at(mark,
                    "selected, selected-delayed, inboxes, personal, subscribed, subtree or "
                    "mailboxes");
}

// event = "MessageNew" [SP "(" fetch-att *(SP fetch-att) ")"] / other names without arguments.
// The fetch-atts are only for the selected mailbox.
bool event(Cursor& in, Group& out) {
  const char* mark = in.mark();
  const std::string_view word = in.take_while(kAtom);
  if (word.empty()) return in.fail("event");
  uint16_t bit = Notify::other;
  for (const NotifyEvent& known : kNotifyEvents)
    if (ascii::equal(word, known.name)) bit = known.bit;
  if (of_selected(out.filter) && (bit & (kOfMessages | Notify::other)) == 0)
    return in.fail_at(mark, "event of messages");
  out.events |= bit;
  if (bit != Notify::message_new || !of_selected(out.filter)) return true;
  mark = in.mark();
  if (in.take(' ')) {
    in.take_spaces();
    if (in.peek() == '(') return fetch_att_list(in, out.fetch);
  }
  in.back_to(mark);
  return true;
}

// events = "(" event *(SP event) ")" / "NONE"
bool events(Cursor& in, Group& out) {
  const char* mark = in.mark();
  if (in.take_word("NONE")) return true;
  if (!in.open("\"(\" or NONE")) return false;
  do {
    if (!event(in, out)) return false;
  } while (!in.close_or_sp() && !in.failed());
  if (in.failed()) return false;
  if ((out.events & (Notify::annotation_change | Notify::other)) != 0) return true;
  const bool some = (out.events & (kBoth | Notify::flag_change)) != 0;
  return !some || (out.events & kBoth) == kBoth ||
         in.fail_at(mark, "both MessageNew and MessageExpunge");
}

// event-group = "(" filter-mailboxes SP events ")"
bool group(Cursor& in, Group& out, bool& selected, uint32_t& names) {
  if (!in.open() || !filter(in, out, selected, names) || !in.sp() || !events(in, out)) return false;
  in.take_spaces();
  return in.expect(')', "\")\"");
}

}  // namespace

// notify = "NOTIFY" SP ("SET" [SP "STATUS"] SP event-group *(SP event-group) / "NONE")
bool notify(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Notify>();
  if (!in.sp()) return false;
  if (in.take_word("NONE")) return true;
  if (!in.word("SET", "SET or NONE") || !in.sp()) return false;
  if (in.take_word("STATUS")) {
    args.status = true;
    if (!in.sp()) return false;
  }
  bool selected = false;
  uint32_t names = 0;
  do {
    if (args.groups.size() >= in.limits().notify_groups)
      return in.too_many(in.limits().notify_groups, "groups of events");
    if (!group(in, args.groups.emplace_back(), selected, names)) return false;
    // Spaces at the end of the line are harmless.
    const char* mark = in.mark();
    in.take_spaces();
    if (in.at_end()) return true;
    in.back_to(mark);
    if (!in.sp()) return false;
  } while (true);
}

}  // namespace rims::imap
