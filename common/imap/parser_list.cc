// common/imap/parser_list.cc - LIST with the options of LIST-EXTENDED, LSUB and XLIST
//
//   RFC  3501 §9 list, lsub; 5258 §6; 5819 §4; 6154 §6; 9590 §5

#include "common/base/ascii.h"
#include "common/imap/cursor.h"

namespace rims::imap {
namespace {

struct Option {
  std::string_view name;
  uint8_t bit;
};
constexpr Option kSelections[] = {
    {"SUBSCRIBED", List::subscribed},
    {"REMOTE", List::remote},
    {"RECURSIVEMATCH", List::recursive_match},
    {"SPECIAL-USE", List::special_use},
};
constexpr Option kReturns[] = {
    {"SUBSCRIBED", List::return_subscribed},   {"CHILDREN", List::return_children},
    {"SPECIAL-USE", List::return_special_use}, {"STATUS", List::return_status},
    {"METADATA", List::return_metadata},
};

// "(" [option *(SP option)] ")". Some have something behind them, which goes to `args`:
// "STATUS" SP "(" status-att ... ")", "METADATA" SP entries
bool options(Cursor& in, std::span<const Option> known, const char* what, uint8_t& out,
             List& args) {
  if (!in.open()) return false;
  if (in.take(')')) return true;
  do {
    const char* mark = in.mark();
    const std::string_view word = in.take_while(kAtom);
    const Option* found = nullptr;
    for (const Option& option : known)
      if (ascii::equal(word, option.name)) found = &option;
    if (found == nullptr) return in.fail_at(mark, what);
    out = static_cast<uint8_t>(out | found->bit);
    if (ascii::equal(word, "STATUS") && (!in.sp() || !status_items(in, args.status))) return false;
    if (ascii::equal(word, "METADATA") && (!in.sp() || !metadata_entries(in, args.metadata)))
      return false;
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

// mbox-or-pat = list-mailbox / patterns;  patterns = "(" list-mailbox *(SP list-mailbox) ")"
bool mbox_or_pat(Cursor& in, List& out) {
  if (in.peek() != '(') return in.list_mailbox(out.patterns.emplace_back(), true);
  out.extended = true;
  if (!in.open()) return false;
  do {
    if (out.patterns.size() >= in.limits().list_patterns)
      return in.too_many(in.limits().list_patterns, "patterns");
    if (!in.list_mailbox(out.patterns.emplace_back(), true)) return false;
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

template <class T>
bool plain_list(Cursor& in, Command& out) {
  auto& args = out.args.emplace<T>();
  return in.sp() && in.list_mailbox(args.reference, false) && in.sp() &&
         in.list_mailbox(args.pattern, true);
}

}  // namespace

// list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]
// list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"
bool list(Cursor& in, Command& out) {
  auto& args = out.args.emplace<List>();
  if (!in.sp()) return false;
  if (in.peek() == '(') {
    const char* mark = in.mark();
    args.extended = true;
    if (!options(in, kSelections, "SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE", args.select,
                 args))
      return false;
    // RFC 5258 §3: RECURSIVEMATCH needs an option that selects by what a mailbox is.
    if ((args.select & List::recursive_match) &&
        !(args.select & (List::subscribed | List::special_use)))
      return in.fail_at(mark, "another selection option beside RECURSIVEMATCH");
    if (!in.sp()) return false;
  }
  if (!in.list_mailbox(args.reference, false) || !in.sp() || !mbox_or_pat(in, args)) return false;
  in.take_spaces();
  if (in.at_end()) return true;
  args.extended = true;
  return in.word("RETURN", "RETURN") && in.sp() &&
         options(in, kReturns, "SUBSCRIBED, CHILDREN, SPECIAL-USE, STATUS or METADATA",
                 args.returns, args);
}

// lsub = "LSUB" SP mailbox SP list-mailbox
bool lsub(Cursor& in, Command& out) { return plain_list<Lsub>(in, out); }

// xlist = "XLIST" SP mailbox SP list-mailbox
bool xlist(Cursor& in, Command& out) { return plain_list<Xlist>(in, out); }

}  // namespace rims::imap
