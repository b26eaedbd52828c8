// common/imap/parser_search.cc - SEARCH, SORT and THREAD: charset and a tree of keys
//
//   RFC     3501 §6.4.4, §9 search, search-key; 4466 §2.6 search-return-opts; 4731 §4; 5032 §3;
//           5182 §3; 7162 §7 (MODSEQ); 5256 §5 sort, thread; 5957 §4; 5267 §3.1; 9394 §4;
//         9738 §3.2
//   Limits  keys in all levels, depth: recursion follows the depth

#include <algorithm>
#include <iterator>

#include "common/base/ascii.h"
#include "common/imap/cursor.h"

namespace rims::imap {
namespace {

using Kind = SearchKey::Kind;

// What follows the key's name.
enum class Shape : uint8_t {
  flag,
  fresh,
  text,
  field,
  header,
  date,
  size,
  number,
  object_id,
  modseq,
  uid,
  either,
  negation
};

struct Row {
  std::string_view name;
  Shape shape;
  Kind kind = Kind::all;
  SystemFlag flag = SystemFlag::seen;
};

constexpr Row kRows[] = {
    {"UNSEEN", Shape::flag, Kind::flag_clear, SystemFlag::seen},
    {"SEEN", Shape::flag, Kind::flag_set, SystemFlag::seen},
    {"DELETED", Shape::flag, Kind::flag_set, SystemFlag::deleted},
    {"UNDELETED", Shape::flag, Kind::flag_clear, SystemFlag::deleted},
    {"UID", Shape::uid, Kind::uid},
    {"NOT", Shape::negation, Kind::negation},
    {"OR", Shape::either, Kind::either},
    {"HEADER", Shape::header, Kind::header},
    {"SUBJECT", Shape::field, Kind::header},
    {"FROM", Shape::field, Kind::header},
    {"TO", Shape::field, Kind::header},
    {"CC", Shape::field, Kind::header},
    {"BCC", Shape::field, Kind::header},
    {"BODY", Shape::text, Kind::body},
    {"TEXT", Shape::text, Kind::text},
    {"ALL", Shape::flag, Kind::all},
    {"ANSWERED", Shape::flag, Kind::flag_set, SystemFlag::answered},
    {"UNANSWERED", Shape::flag, Kind::flag_clear, SystemFlag::answered},
    {"FLAGGED", Shape::flag, Kind::flag_set, SystemFlag::flagged},
    {"UNFLAGGED", Shape::flag, Kind::flag_clear, SystemFlag::flagged},
    {"DRAFT", Shape::flag, Kind::flag_set, SystemFlag::draft},
    {"UNDRAFT", Shape::flag, Kind::flag_clear, SystemFlag::draft},
    {"RECENT", Shape::flag, Kind::flag_set, SystemFlag::recent},
    {"OLD", Shape::flag, Kind::flag_clear, SystemFlag::recent},
    {"NEW", Shape::fresh, Kind::both},
    {"KEYWORD", Shape::text, Kind::keyword},
    {"UNKEYWORD", Shape::text, Kind::unkeyword},
    {"BEFORE", Shape::date, Kind::before},
    {"ON", Shape::date, Kind::on},
    {"SINCE", Shape::date, Kind::since},
    {"SENTBEFORE", Shape::date, Kind::sent_before},
    {"SENTON", Shape::date, Kind::sent_on},
    {"SENTSINCE", Shape::date, Kind::sent_since},
    {"LARGER", Shape::size, Kind::larger},
    {"SMALLER", Shape::size, Kind::smaller},
    {"SAVEDBEFORE", Shape::date, Kind::saved_before},
    {"SAVEDON", Shape::date, Kind::saved_on},
    {"SAVEDSINCE", Shape::date, Kind::saved_since},
    {"SAVEDATESUPPORTED", Shape::flag, Kind::save_date_supported},
    {"EMAILID", Shape::object_id, Kind::email_id},
    {"THREADID", Shape::object_id, Kind::thread_id},
    {"OLDER", Shape::number, Kind::older},
    {"YOUNGER", Shape::number, Kind::younger},
    {"UIDAFTER", Shape::number, Kind::uid_after},
    {"UIDBEFORE", Shape::number, Kind::uid_before},
    {"MODSEQ", Shape::modseq, Kind::modseq},
};

struct Bounds {
  uint32_t keys = 0, depth = 0;
};

bool search_key(Cursor& in, SearchKey& out, Bounds& bounds);

void lower_all(std::string& text) {
  for (char& c : text) c = ascii::lower(c);
}

// search-key SP search-key, behind OR. Clients write a list of addresses as a chain of ORs, to the
// right or to the left: a chain becomes one list, so its length is no depth.
bool alternatives(Cursor& in, SearchKey& out, Bounds& bounds) {
  for (uint32_t wanted = 2; wanted > 0;) {
    if (!in.sp()) return false;
    const char* mark = in.mark();
    if (in.take_word("OR") && in.peek() == ' ') {
      wanted++;
      continue;
    }
    in.back_to(mark);
    SearchKey key;
    if (!search_key(in, key, bounds)) return false;
    wanted--;
    if (key.kind == Kind::either)
      std::ranges::move(key.keys, std::back_inserter(out.keys));
    else
      out.keys.push_back(std::move(key));
  }
  return true;
}

// [entry-name SP entry-type-req SP] mod-sequence-valzer, with
// entry-name = DQUOTE "/flags/" attr-flag DQUOTE,  entry-type-req = "priv" / "shared" / "all"
bool modseq(Cursor& in, SearchKey& out) {
  if (in.peek() == '"') {
    const char* mark = in.mark();
    constexpr std::string_view kFlags = "/flags/";
    if (!in.string(out.text)) return false;
    lower_all(out.text);
    std::string_view flag = out.text;
    if (!flag.starts_with(kFlags)) return in.fail_at(mark, "entry \"/flags/...\"");
    flag.remove_prefix(kFlags.size());
    if (flag.starts_with('\\')) flag.remove_prefix(1);
    if (flag.empty() || !std::ranges::all_of(flag, [](char c) { return is(c, kAtom); }))
      return in.fail_at(mark, "entry \"/flags/...\"");
    if (!in.sp()) return false;
    mark = in.mark();
    out.field.assign(in.take_while(kAtom));
    lower_all(out.field);
    if (out.field != "priv" && out.field != "shared" && out.field != "all")
      return in.fail_at(mark, "priv, shared or all");
    if (!in.sp()) return false;
  }
  return in.mod_sequence(out.modseq);
}

// The key's arguments, its name being taken.
bool arguments(Cursor& in, const Row& row, SearchKey& out, Bounds& bounds) {
  out.kind = row.kind;
  switch (row.shape) {
    case Shape::flag:
      out.flag = row.flag;
      return true;
    case Shape::fresh:  // NEW = (RECENT UNSEEN)
      out.keys.resize(2);
      out.keys[0].kind = Kind::flag_set;
      out.keys[0].flag = SystemFlag::recent;
      out.keys[1].kind = Kind::flag_clear;
      out.keys[1].flag = SystemFlag::seen;
      return true;
    case Shape::text:
      if (!in.sp()) return false;
      if (row.kind == Kind::keyword || row.kind == Kind::unkeyword)
        return in.atom(out.text, "keyword");
      return in.astring(out.text);
    case Shape::field:
      out.field.assign(row.name);
      lower_all(out.field);
      return in.sp() && in.astring(out.text);
    case Shape::header:
      if (!in.sp() || !in.astring(out.field, "header name")) return false;
      lower_all(out.field);
      return in.sp() && in.astring(out.text);
    case Shape::date:
      return in.sp() && in.date(out.date);
    case Shape::size:
      return in.sp() && in.number(out.size);
    case Shape::number:
      return in.sp() && in.nz_number(out.size);
    case Shape::object_id:
      return in.sp() && in.object_id(out.text);
    case Shape::modseq:
      return in.sp() && modseq(in, out);
    case Shape::uid:
      return in.sp() && in.sequence_set(out.set);
    case Shape::either:
      return alternatives(in, out, bounds);
    case Shape::negation:
      out.keys.resize(1);
      return in.sp() && search_key(in, out.keys[0], bounds);
  }
  return false;
}

// "(" search-key *(SP search-key) ")"; around a single key they mean nothing and are dropped.
bool group(Cursor& in, SearchKey& out, Bounds& bounds) {
  if (!in.open()) return false;
  out.kind = Kind::both;
  do {
    if (!search_key(in, out.keys.emplace_back(), bounds)) return false;
  } while (!in.close_or_sp() && !in.failed());
  if (in.failed()) return false;
  if (out.keys.size() == 1) {
    SearchKey only = std::move(out.keys.front());
    out = std::move(only);
  }
  return true;
}

// search-key = "ALL" / ... / sequence-set / "(" search-key *(SP search-key) ")"
bool search_key(Cursor& in, SearchKey& out, Bounds& bounds) {
  if (++bounds.keys > in.limits().search_keys)
    return in.too_many(in.limits().search_keys, "search keys");
  if (++bounds.depth > in.limits().search_depth)
    return in.too_many(in.limits().search_depth, "levels of search keys");
  bool ok = false;
  if (in.peek() == '(') {
    ok = group(in, out, bounds);
  } else if (in.peek_is(kDigit) || in.peek() == '*' || in.peek() == '$') {
    out.kind = Kind::sequence;
    ok = in.sequence_set(out.set);
  } else {
    const char* mark = in.mark();
    const std::string_view word = in.take_while(kAtom);
    const Row* found = nullptr;
    for (const Row& row : kRows) {
      if (row.name.size() != word.size() || !ascii::equal(row.name, word)) continue;
      found = &row;
      break;
    }
    ok = found ? arguments(in, *found, out, bounds) : in.fail_at(mark, "search key");
  }
  bounds.depth--;
  return ok;
}

// search-return-opts = "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
// search-return-opt = "MIN" / "MAX" / "ALL" / "COUNT" / "SAVE" / "PARTIAL" SP partial-range
// RETURN () is RETURN (ALL) (RFC 4731 §3.1). SORT does not know SAVE.
enum class Saving : uint8_t { possible, unknown };
bool return_options(Cursor& in, Saving saving, Search& out) {
  if (!in.take_word("RETURN")) return true;
  if (!in.sp() || !in.open()) return false;
  if (in.take(')')) {
    out.returns = Search::all;
    return true;
  }
  struct Option {
    std::string_view name;
    Search::Return bit;
  };
  static constexpr Option kOptions[] = {{"MIN", Search::min},         {"MAX", Search::max},
                                        {"ALL", Search::all},         {"COUNT", Search::count},
                                        {"PARTIAL", Search::partial}, {"SAVE", Search::save}};
  do {
    const char* mark = in.mark();
    const std::string_view word = in.take_while(kAtom);
    const auto* found = std::ranges::find_if(
        kOptions, [&](const Option& option) { return ascii::equal(word, option.name); });
    if (saving == Saving::unknown && (found == std::end(kOptions) || found->bit == Search::save))
      return in.fail_at(mark, "MIN, MAX, ALL, COUNT or PARTIAL");
    if (found == std::end(kOptions))
      return in.fail_at(mark, "MIN, MAX, ALL, COUNT, PARTIAL or SAVE");
    // RFC 9394 §3.1: of PARTIAL and ALL only one, and PARTIAL only once.
    const bool lists = found->bit == Search::all || found->bit == Search::partial;
    const int excluded =
        found->bit == Search::all ? Search::partial : Search::all | Search::partial;
    if (lists && (out.returns & excluded) != 0)
      return in.fail_at(mark, "PARTIAL once, and no ALL beside it");
    out.returns = static_cast<uint8_t>(out.returns | found->bit);
    if (found->bit == Search::partial && (!in.sp() || !page(in, out.page))) return false;
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

// 1*(SP search-key), to the end of the command
bool criteria(Cursor& in, SearchKey& out) {
  Bounds bounds;
  if (!search_key(in, out, bounds)) return false;
  for (bool first = true;; first = false) {
    const char* before = in.mark();
    in.take_spaces();
    if (in.at_end()) return true;
    if (in.mark() == before) return in.fail("SP or end of command");
    if (first) {
      SearchKey all;
      all.kind = Kind::both;
      all.keys.push_back(std::move(out));
      out = std::move(all);
    }
    if (!search_key(in, out.keys.emplace_back(), bounds)) return false;
  }
}

// sort-criteria = "(" sort-criterion *(SP sort-criterion) ")";
// sort-criterion = ["REVERSE" SP] sort-key
bool sort_criteria(Cursor& in, std::vector<SortKey>& out) {
  struct Key {
    std::string_view name;
    SortKey::Kind kind;
  };
  static constexpr Key kKeys[] = {{"ARRIVAL", SortKey::Kind::arrival},
                                  {"CC", SortKey::Kind::cc},
                                  {"DATE", SortKey::Kind::date},
                                  {"FROM", SortKey::Kind::from},
                                  {"SIZE", SortKey::Kind::size},
                                  {"SUBJECT", SortKey::Kind::subject},
                                  {"TO", SortKey::Kind::to},
                                  {"DISPLAYFROM", SortKey::Kind::display_from},
                                  {"DISPLAYTO", SortKey::Kind::display_to}};
  if (!in.open()) return false;
  do {
    const bool reverse = in.take_word("REVERSE");
    if (reverse && !in.sp()) return false;
    const char* mark = in.mark();
    const std::string_view word = in.take_while(kAtom);
    const auto* found =
        std::ranges::find_if(kKeys, [&](const Key& key) { return ascii::equal(word, key.name); });
    if (found == std::end(kKeys)) return in.fail_at(mark, "sort key");
    if (std::ranges::find(out, found->kind, &SortKey::kind) == out.end())
      out.push_back({found->kind, reverse});
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

// search-criteria = charset 1*(SP search-key)
bool search_criteria(Cursor& in, Search& out) {
  return in.astring(out.charset, "charset") && in.sp() && criteria(in, out.key);
}

}  // namespace

bool saves_result(std::string_view text) {
  const ParserLimits limits;
  Cursor in(text, {}, limits);
  if (in.take_while(kTag).empty() || !in.sp()) return false;
  if (in.take_word("UID ")) in.take_spaces();
  if (!in.take_word("SEARCH ")) return false;
  in.take_spaces();
  Search search;
  return return_options(in, Saving::possible, search) && (search.returns & Search::save) != 0;
}

// partial-range = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number
bool page(Cursor& in, Page& out) {
  out.from_end = in.take('-');
  if (!in.nz_number(out.first) || !in.expect(':', "\":\"")) return false;
  if (out.from_end && !in.expect('-', "\"-\"")) return false;
  return in.nz_number(out.last);
}

// search = "SEARCH" [SP search-return-opts] [SP "CHARSET" SP astring] 1*(SP search-key)
bool search(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Search>();
  if (!in.sp() || !return_options(in, Saving::possible, args)) return false;
  if (args.returns != 0 && !in.sp()) return false;
  const char* mark = in.mark();
  if (in.take_word("CHARSET ")) {
    if (!in.limits().charset) return in.fail_at(mark, "no CHARSET, as UTF8=ACCEPT is enabled,");
    in.take_spaces();
    if (!in.astring(args.charset, "charset") || !in.sp()) return false;
  }
  return criteria(in, args.key);
}

// sort = "SORT" [SP search-return-opts] SP sort-criteria SP search-criteria
bool sort(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Sort>();
  if (!in.sp() || !return_options(in, Saving::unknown, args.search)) return false;
  if (args.search.returns != 0 && !in.sp()) return false;
  return sort_criteria(in, args.keys) && in.sp() && search_criteria(in, args.search);
}

// thread = "THREAD" SP thread-alg SP search-criteria
bool thread(Cursor& in, Command& out) {
  using Algorithm = Thread::Algorithm;
  auto& args = out.args.emplace<Thread>();
  if (!in.sp()) return false;
  const char* mark = in.mark();
  const std::string_view word = in.take_while(kAtom);
  if (ascii::equal(word, "ORDEREDSUBJECT"))
    args.algorithm = Algorithm::ordered_subject;
  else if (ascii::equal(word, "REFERENCES"))
    args.algorithm = Algorithm::references;
  else if (ascii::equal(word, "REFS"))
    args.algorithm = Algorithm::refs;
  else
    return in.fail_at(mark, "ORDEREDSUBJECT, REFERENCES or REFS");
  return in.sp() && search_criteria(in, args.search);
}

}  // namespace rims::imap
