// common/imap/parser.cc - command = tag SP (...) and the rules of the short commands
//
//   RFC  3501 §9 command, command-any, command-auth, command-nonauth, command-select
//   LIST, SEARCH, FETCH and NOTIFY have files of their own

#include "common/imap/parser.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/imap/cursor.h"
#include "common/imap/mailbox_name.h"

namespace rims::imap {
namespace {

template <class T>
bool plain(Cursor&, Command& out) {
  out.args.emplace<T>();
  return true;
}

// Without "*" and "$"; `ascending`: each number is above the one before it.
bool uid_set(Cursor& in, SequenceSet& out, bool ascending) {
  const char* mark = in.mark();
  if (!in.ranges(out)) return false;
  uint32_t before = 0;
  for (const SeqRange& range : out.ranges) {
    if (range.first == kStar || range.last == kStar) return in.fail_at(mark, "set without \"*\"");
    if (ascending && (range.first <= before || range.last < range.first))
      return in.fail_at(mark, "ascending set");
    before = range.last;
  }
  return true;
}

uint64_t count(const SequenceSet& ascending) {
  uint64_t sum = 0;
  for (const SeqRange& range : ascending.ranges) sum += uint64_t{range.last} - range.first + 1;
  return sum;
}

// "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
// seq-match-data = "(" known-sequence-set SP known-uid-set ")"   (RFC 7162 §7)
bool resync(Cursor& in, Resync& out) {
  if (!in.sp() || !in.open() || !in.nz_number(out.uidvalidity) || !in.sp()) return false;
  const char* mark = in.mark();
  if (!in.mod_sequence(out.modseq)) return false;
  if (out.modseq == 0) return in.fail_at(mark, "non-zero number");
  if (in.close_or_sp()) return true;
  if (in.failed()) return false;
  if (in.peek() != '(') {
    if (!uid_set(in, out.known.emplace(), false)) return false;
    if (in.close_or_sp()) return true;
    if (in.failed()) return false;
  }
  auto& [numbers, uids] = out.match.emplace();
  if (!in.open() || !uid_set(in, numbers, true) || !in.sp()) return false;
  mark = in.mark();
  if (!uid_set(in, uids, true)) return false;
  if (count(numbers) != count(uids)) return in.fail_at(mark, "as many UIDs as message numbers");
  in.take_spaces();
  if (!in.expect(')', "\")\"")) return false;
  in.take_spaces();
  return in.expect(')', "\")\"");
}

// select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]   (RFC 4466 §2.1)
// select-param = "CONDSTORE" / "QRESYNC" SP "(" ... ")"
template <class T>
bool select(Cursor& in, Command& out) {
  auto& args = out.args.emplace<T>();
  if (!in.sp() || !in.mailbox(args.mailbox)) return false;
  return optional_modifiers(in, [&] {
    const char* mark = in.mark();
    const std::string_view word = in.take_while(kAtom);
    if (ascii::equal(word, "CONDSTORE") && !args.parameters.condstore) {
      args.parameters.condstore = true;
      return true;
    }
    if (ascii::equal(word, "QRESYNC") && !args.parameters.resync)
      return resync(in, args.parameters.resync.emplace());
    return in.fail_at(mark, "CONDSTORE or QRESYNC, each once");
  });
}

template <class T>
bool one_mailbox(Cursor& in, Command& out) {
  return in.sp() && in.mailbox(out.args.emplace<T>().mailbox);
}

// id = "ID" SP id-params-list;  id-params-list = "(" #(string SP nstring) ")" / nil
bool id(Cursor& in, Command& out) {
  auto& fields = out.args.emplace<Id>().fields;
  if (!in.sp()) return false;
  if (in.take_word("NIL")) return true;
  if (!in.open("\"(\" or NIL")) return false;
  if (in.take(')')) return true;
  do {
    if (fields.size() >= in.limits().id_fields)
      return in.too_many(in.limits().id_fields, "fields of ID");
    auto& [name, value] = fields.emplace_back();
    if (!in.string(name) || !in.sp() || !in.nstring(value)) return false;
    if (name.size() > 30) return in.too_many(30, "octets in a field name of ID");
    if (value && value->size() > 1024) return in.too_many(1024, "octets in a value of ID");
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

// authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")]   (RFC 4959 §7)
bool authenticate(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Authenticate>();
  if (!in.sp() || !in.atom(args.mechanism, "mechanism")) return false;
  for (char& c : args.mechanism) c = ascii::upper(c);
  in.take_spaces();
  if (in.at_end()) return true;
  const char* mark = in.mark();
  const std::string_view response = in.take_while(kBase64);
  if (response.empty()) return in.fail_at(mark, "base64 or \"=\"");
  args.response.emplace(response == "=" ? std::string_view() : response);
  return true;
}

// login = "LOGIN" SP userid SP password
bool login(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Login>();
  return in.sp() && in.astring(args.user) && in.sp() && in.astring(args.password);
}

// enable = "ENABLE" 1*(SP capability)
bool enable(Cursor& in, Command& out) {
  auto& names = out.args.emplace<Enable>().capabilities;
  do {
    if (!in.sp()) return false;
    if (names.size() >= in.limits().enable_names)
      return in.too_many(in.limits().enable_names, "capabilities");
    if (!in.atom(names.emplace_back(), "capability")) return false;
    for (char& c : names.back()) c = ascii::upper(c);
    // Spaces at the end of the line are harmless.
    const char* mark = in.mark();
    in.take_spaces();
    if (in.at_end()) return true;
    in.back_to(mark);
  } while (true);
}

// create = "CREATE" SP mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]
//          (RFC 6154 §6, RFC 4466 §2.2)
bool create(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Create>();
  if (!in.sp() || !in.mailbox(args.mailbox)) return false;
  while (args.mailbox.ends_with(kHierarchyDelimiter)) args.mailbox.pop_back();
  in.take_spaces();
  if (in.at_end()) return true;
  if (!in.open() || !in.word("USE", "USE") || !in.sp() || !in.open()) return false;
  if (!in.take(')')) {
    do {
      const char* mark = in.mark();
      const bool backslash = in.take('\\');
      const std::string_view word = in.take_while(kAtom);
      if (!backslash || word.empty()) return in.fail_at(mark, "special-use attribute");
      auto bit = static_cast<unsigned>(SpecialUse::other);
      for (size_t i = 0; i < std::size(kSpecialUses); i++)
        if (ascii::equal(word, kSpecialUses[i])) bit = 1U << i;
      args.special_use = static_cast<uint16_t>(args.special_use | bit);
    } while (!in.close_or_sp() && !in.failed());
    if (in.failed()) return false;
  }
  in.take_spaces();
  return in.expect(')', "\")\"");
}

// rename = "RENAME" SP mailbox SP mailbox
bool rename(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Rename>();
  return in.sp() && in.mailbox(args.from) && in.sp() && in.mailbox(args.to);
}

// status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"
bool status(Cursor& in, Command& out) {
  auto& args = out.args.emplace<StatusQuery>();
  return in.sp() && in.mailbox(args.mailbox) && in.sp() && status_items(in, args.items);
}

// append-message = [SP flag-list] [SP date-time] SP (literal / literal8 / utf8-literal)
// (RFC 3516 §7); utf8-literal = "UTF8" SP "(" literal8 ")"   (RFC 6855 §4; RFC 9755 takes a plain
// literal)
bool append_message(Cursor& in, AppendMessage& message) {
  if (!in.sp()) return false;
  if (in.peek() == '(' && (!in.flag_list(message.flags) || !in.sp())) return false;
  if (in.peek() == '"' && (!in.date_time(message.date.emplace()) || !in.sp())) return false;
  const bool utf8 = in.take_word("UTF8");
  if (utf8 && (!in.sp() || !in.open())) return false;
  message.literal8 = in.take('~');
  return in.literal_moved(message.bytes) && (!utf8 || in.expect(')', "\")\""));
}

// append = "APPEND" SP mailbox 1*append-message  (RFC 3502)
bool append(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Append>();
  if (!in.sp() || !in.mailbox(args.mailbox)) return false;
  do {
    if (!append_message(in, args.messages.emplace_back())) return false;
    // Spaces at the end of the line are harmless.
    const char* mark = in.mark();
    in.take_spaces();
    if (in.at_end()) return true;
    in.back_to(mark);
  } while (true);
}

// replace = "REPLACE" SP seq-number SP mailbox append-message   (RFC 8508 §5)
bool replace(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Replace>();
  return in.sp() && in.seq_number(args.message) && in.sp() && in.mailbox(args.mailbox) &&
         append_message(in, args.with);
}

// message-batches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number]   (RFC 10022 §4)
bool uid_batches(Cursor& in, Command& out) {
  auto& args = out.args.emplace<UidBatches>();
  if (!in.sp() || !in.nz_number(args.size)) return false;
  in.take_spaces();
  if (in.at_end()) return true;
  auto& [first, last] = args.batches.emplace();
  return in.nz_number(first) && in.expect(':', "\":\"") && in.nz_number(last);
}

// expunge = "EXPUNGE"; uid-expunge = "UID" SP "EXPUNGE" SP sequence-set (RFC 4315 §4)
bool expunge(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Expunge>();
  return !out.by_uid || (in.sp() && in.sequence_set(args.uids.emplace()));
}

// store = "STORE" SP sequence-set [SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"]
//         SP store-att-flags   (RFC 4466 §2.5, RFC 7162 §7)
// store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
bool store(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Store>();
  if (!in.sp() || !in.sequence_set(args.messages) || !in.sp()) return false;
  if (in.peek() == '(') {
    if (!in.open() || !in.word("UNCHANGEDSINCE", "UNCHANGEDSINCE") || !in.sp()) return false;
    if (!in.mod_sequence(args.unchanged_since.emplace())) return false;
    in.take_spaces();
    if (!in.expect(')', "\")\"") || !in.sp()) return false;
  }
  if (in.take('+')) {
    args.how = Store::How::add;
  } else if (in.take('-')) {
    args.how = Store::How::remove;
  }
  if (!in.word("FLAGS", "FLAGS")) return false;
  args.silent = in.take_word(".SILENT");
  if (!in.sp()) return false;
  if (in.peek() == '(') return in.flag_list(args.flags);
  for (;;) {
    if (!in.flag(args.flags)) return false;
    in.take_spaces();
    if (in.at_end()) return true;
  }
}

// copy = "COPY" SP sequence-set SP mailbox;  move = "MOVE" SP sequence-set SP mailbox (RFC 6851 §5)
template <class T>
bool copy(Cursor& in, Command& out) {
  auto& args = out.args.emplace<T>();
  return in.sp() && in.sequence_set(args.messages) && in.sp() && in.mailbox(args.mailbox);
}

// getquota = "GETQUOTA" SP quota-root-name   (RFC 9208 §7); quota-root-name = astring
bool get_quota(Cursor& in, Command& out) {
  return in.sp() && in.astring(out.args.emplace<GetQuota>().root);
}

// setquota = "SETQUOTA" SP quota-root-name SP "(" [resource *(SP resource)] ")"
// resource = resource-name SP number64   (RFC 9208 §7, and RFC 2087 §6, where the list may be
// empty)
bool set_quota(Cursor& in, Command& out) {
  auto& args = out.args.emplace<SetQuota>();
  if (!in.sp() || !in.astring(args.root) || !in.sp() || !in.open()) return false;
  if (in.take(')')) return true;
  do {
    if (args.limits.size() >= in.limits().quota_resources)
      return in.too_many(in.limits().quota_resources, "resources");
    auto& [name, limit] = args.limits.emplace_back();
    if (!in.atom(name, "resource") || !in.sp() || !in.mod_sequence(limit)) return false;
    for (char& c : name) c = ascii::upper(c);
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

// compress = "COMPRESS" SP algorithm;  algorithm = "DEFLATE"   (RFC 4978 §5)
bool compress(Cursor& in, Command& out) {
  out.args.emplace<Compress>();
  return in.sp() && in.word("DEFLATE", "DEFLATE");
}

struct Row {
  std::string_view name;
  bool (*rule)(Cursor&, Command&);
  bool before_login = false;
  bool takes_uid = false;
};

constexpr Row kRows[] = {
    // The frequent ones first: the table is searched from the front.
    {"FETCH", fetch, false, true},
    {"STORE", store, false, true},
    {"NOOP", plain<Noop>, true},
    {"SEARCH", search, false, true},
    {"SORT", sort, false, true},
    {"THREAD", thread, false, true},
    {"SELECT", select<Select>},
    {"STATUS", status},
    {"IDLE", plain<Idle>},
    {"APPEND", append},
    {"REPLACE", replace, false, true},
    {"COPY", copy<Copy>, false, true},
    {"MOVE", copy<Move>, false, true},
    {"EXPUNGE", expunge, false, true},
    {"UIDBATCHES", uid_batches},
    {"LIST", list},
    {"LSUB", lsub},
    {"XLIST", xlist},
    {"CAPABILITY", plain<Capability>, true},
    {"LOGIN", login, true},
    {"AUTHENTICATE", authenticate, true},
    {"STARTTLS", plain<Starttls>, true},
    {"LOGOUT", plain<Logout>, true},
    {"ID", id, true},
    {"ENABLE", enable},
    {"EXAMINE", select<Examine>},
    {"CREATE", create},
    {"DELETE", one_mailbox<Delete>},
    {"RENAME", rename},
    {"SUBSCRIBE", one_mailbox<Subscribe>},
    {"UNSUBSCRIBE", one_mailbox<Unsubscribe>},
    {"NAMESPACE", plain<Namespace>},
    {"CHECK", plain<Check>},
    {"CLOSE", plain<Close>},
    {"UNSELECT", plain<Unselect>},
    {"GETQUOTA", get_quota},
    {"GETQUOTAROOT", one_mailbox<GetQuotaRoot>},
    {"SETQUOTA", set_quota},
    {"GETMETADATA", get_metadata},
    {"SETMETADATA", set_metadata},
    {"COMPRESS", compress},
    {"UNAUTHENTICATE", plain<Unauthenticate>},
    {"NOTIFY", notify},
};

// No command has a longer name.
constexpr size_t kLongestName = 16;

const Row* find_row(std::string_view word) {
  for (const Row& row : kRows)
    if (row.name.size() == word.size() && ascii::equal(row.name, word)) return &row;
  return nullptr;
}

// What may stand in a command's name as clients write it.
bool in_name(char c) { return is(c, kAtom) || (c & 0x80) != 0; }

std::string_view take_name(Cursor& in) {
  const std::string_view rest = in.rest();
  size_t size = 0;
  while (size < rest.size() && in_name(rest[size])) size++;
  in.back_to(in.mark() + size);
  return rest.substr(0, size);
}

// The beginning of a command, up to its name, and what is to be done with the rest. nullptr:
// failed.
const Row* command_row(Cursor& in, Command& out) {
  const auto wrong = [](bool) { return nullptr; };
  const std::string_view tag = in.take_while(kTag);
  if (tag.empty()) return wrong(in.fail("tag"));
  if (tag.size() > kMaxTag) return wrong(in.too_many(kMaxTag, "octets in a tag"));
  out.tag.assign(tag);
  if (!in.sp()) return nullptr;
  const char* mark = in.mark();
  std::string_view name = take_name(in);
  if (ascii::equal(name, "UID")) {
    if (in.at_end() && in.limits().before_login) return wrong(in.refuse("log in first"));
    if (!in.sp()) return nullptr;
    out.by_uid = true;
    mark = in.mark();
    name = take_name(in);
  }
  if (name.empty())
    return wrong(in.fail_at(
        mark, out.by_uid ? "COPY, EXPUNGE, FETCH, MOVE, REPLACE, SEARCH, SORT, STORE or THREAD"
                         : "command"));
  const Row* row = find_row(name);
  if (row == nullptr || (out.by_uid && !row->takes_uid))
    return wrong(in.unknown(mark, out.by_uid ? "UID " : "", name));
  return row;
}

// command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF
// uid = "UID" SP (copy / fetch / move / replace / search / sort / store / thread / expunge)
bool command(Cursor& in, Command& out) {
  const Row* row = command_row(in, out);
  if (row == nullptr) return false;
  if (in.limits().before_login && !row->before_login) return in.refuse("log in first");
  return row->rule(in, out) && in.end();
}

}  // namespace

bool status_items(Cursor& in, uint16_t& out) {
  if (!in.open()) return false;
  do {
    const char* mark = in.mark();
    const std::string_view word = in.take_while(kAtom);
    const auto* found = std::ranges::find_if(
        kStatusItems, [&](const StatusItem& item) { return ascii::equal(word, item.name); });
    if (found == std::end(kStatusItems)) return in.fail_at(mark, "status item");
    out = static_cast<uint16_t>(out | found->bit);
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

Result<Command> parse_command(std::string_view text, std::span<std::string> literals,
                              const ParserLimits& limits) {
  Cursor in(text, literals, limits);
  Result<Command> out(std::in_place);
  if (!command(in, *out)) return in.error();
  return out;
}

std::string unknown_command(std::string_view text) {
  const ParserLimits limits;
  Cursor in(text, {}, limits);
  Command out;
  if (command_row(in, out) != nullptr || !in.is_unknown()) return {};
  // A short name at the end may go on, and be known then.
  size_t at = text.size();
  while (at > 0 && in_name(text[at - 1])) at--;
  if (in.at_end() && text.size() - at <= kLongestName) return {};
  return in.error().error().reply();
}

std::string_view leading_tag(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && is(text[end], kTag)) end++;
  // Only a whole tag names a command.
  if ((end < text.size() && text[end] != ' ') || end > kMaxTag) return {};
  return text.substr(0, end);
}

}  // namespace rims::imap
