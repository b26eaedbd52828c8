// common/imap/printer.cc - what parses, prints, and parses back to itself
//
//   RFC  3501 §9. One spelling each: FETCH items in parentheses, header keys of SEARCH as HEADER

#include "common/imap/printer.h"

#include <algorithm>
#include <utility>

#include "common/imap/mailbox_name.h"
#include "common/imap/response.h"

namespace rims::imap {
namespace {

// Of names that stand for the bits of an options word.
void put_bits(std::string& out, unsigned bits, std::initializer_list<std::string_view> names) {
  char before = '(';
  unsigned bit = 1;
  for (std::string_view name : names) {
    if (bits & bit) {
      out += before;
      out += name;
      before = ' ';
    }
    bit <<= 1;
  }
  if (before == '(') out += before;
  out += ')';
}

void put_status_items(std::string& out, uint16_t items) {
  char before = '(';
  for (const StatusItem& item : kStatusItems) {
    if ((items & item.bit) == 0) continue;
    out += before;
    out += item.name;
    before = ' ';
  }
  if (before == '(') out += before;
  out += ')';
}

void put_literal(std::string& out, std::string_view bytes) {
  out += '{';
  append_number(out, bytes.size());
  out += "+}\r\n";
  out += bytes;
}

void put_string(std::string& out, std::string_view bytes) {
  const bool quotable = std::all_of(bytes.begin(), bytes.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x80 && c != '\r' && c != '\n' && c != '\0';
  });
  if (quotable) {
    append_string(out, bytes);
  } else {
    put_literal(out, bytes);
  }
}

void put_mailbox(std::string& out, std::string_view name) {
  put_string(out, to_modified_utf7(name));
}

std::string_view flag_name(SystemFlag flag) {
  switch (flag) {
    case SystemFlag::seen:
      return "SEEN";
    case SystemFlag::answered:
      return "ANSWERED";
    case SystemFlag::flagged:
      return "FLAGGED";
    case SystemFlag::deleted:
      return "DELETED";
    case SystemFlag::draft:
      return "DRAFT";
    case SystemFlag::recent:
      return "RECENT";
  }
  return {};
}

void put_key(std::string& out, const SearchKey& key, bool top);

void put_keys(std::string& out, const SearchKey& key) {
  bool space = false;
  for (const SearchKey& k : key.keys) {
    if (space) out += ' ';
    space = true;
    put_key(out, k, false);
  }
}

void put_key(std::string& out, const SearchKey& key, bool top) {
  using Kind = SearchKey::Kind;
  const auto date = [&](std::string_view name) {
    out += name;
    append_date(out, key.date);
  };
  const auto size = [&](std::string_view name) {
    out += name;
    append_number(out, key.size);
  };
  const auto text = [&](std::string_view name) {
    out += name;
    put_string(out, key.text);
  };
  switch (key.kind) {
    case Kind::all:
      out += "ALL";
      break;
    case Kind::flag_set:
      out += flag_name(key.flag);
      break;
    case Kind::flag_clear:
      if (key.flag == SystemFlag::recent) {
        out += "OLD";
      } else {
        out += "UN";
        out += flag_name(key.flag);
      }
      break;
    case Kind::keyword:
      out += "KEYWORD " + key.text;
      break;
    case Kind::unkeyword:
      out += "UNKEYWORD " + key.text;
      break;
    case Kind::sequence:
      append_sequence_set(out, key.set);
      break;
    case Kind::uid:
      out += "UID ";
      append_sequence_set(out, key.set);
      break;
    case Kind::before:
      date("BEFORE ");
      break;
    case Kind::on:
      date("ON ");
      break;
    case Kind::since:
      date("SINCE ");
      break;
    case Kind::sent_before:
      date("SENTBEFORE ");
      break;
    case Kind::sent_on:
      date("SENTON ");
      break;
    case Kind::sent_since:
      date("SENTSINCE ");
      break;
    case Kind::saved_before:
      date("SAVEDBEFORE ");
      break;
    case Kind::saved_on:
      date("SAVEDON ");
      break;
    case Kind::saved_since:
      date("SAVEDSINCE ");
      break;
    case Kind::save_date_supported:
      out += "SAVEDATESUPPORTED";
      break;
    case Kind::email_id:
      out += "EMAILID " + key.text;
      break;
    case Kind::thread_id:
      out += "THREADID " + key.text;
      break;
    case Kind::larger:
      size("LARGER ");
      break;
    case Kind::smaller:
      size("SMALLER ");
      break;
    case Kind::older:
      size("OLDER ");
      break;
    case Kind::younger:
      size("YOUNGER ");
      break;
    case Kind::uid_after:
      size("UIDAFTER ");
      break;
    case Kind::uid_before:
      size("UIDBEFORE ");
      break;
    case Kind::modseq:
      out += "MODSEQ ";
      if (!key.text.empty()) {
        put_string(out, key.text);
        out += ' ' + key.field + ' ';
      }
      append_number(out, key.modseq);
      break;
    case Kind::header:
      out += "HEADER ";
      put_string(out, key.field);
      text(" ");
      break;
    case Kind::body:
      text("BODY ");
      break;
    case Kind::text:
      text("TEXT ");
      break;
    case Kind::both:
      if (!top) out += '(';
      put_keys(out, key);
      if (!top) out += ')';
      break;
    case Kind::either:
      for (size_t i = 1; i < key.keys.size(); i++) out += "OR ";
      put_keys(out, key);
      break;
    case Kind::negation:
      out += "NOT ";
      put_keys(out, key);
      break;
  }
}

void put_section(std::string& out, const FetchSection& s) {
  using Form = FetchSection::Form;
  switch (s.form) {
    case Form::rfc822:
      out += "RFC822";
      return;
    case Form::rfc822_header:
      out += "RFC822.HEADER";
      return;
    case Form::rfc822_text:
      out += "RFC822.TEXT";
      return;
    case Form::body:
      out += s.peek ? "BODY.PEEK[" : "BODY[";
      break;
    case Form::binary:
      out += s.peek ? "BINARY.PEEK[" : "BINARY[";
      break;
    case Form::binary_size:
      out += "BINARY.SIZE[";
      break;
  }
  bool dot = false;
  for (uint32_t n : s.part) {
    if (dot) out += '.';
    dot = true;
    append_number(out, n);
  }
  constexpr std::string_view kTexts[] = {"",     "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT",
                                         "TEXT", "MIME"};
  if (dot && s.text != FetchSection::Text::whole) out += '.';
  out += kTexts[static_cast<size_t>(s.text)];
  if (!s.fields.empty()) {
    char before = '(';
    out += ' ';
    for (const std::string& field : s.fields) {
      out += before;
      before = ' ';
      put_string(out, field);
    }
    out += ')';
  }
  out += ']';
  if (s.partial) {
    out += '<';
    append_number(out, s.partial->offset);
    out += '.';
    append_number(out, s.partial->length);
    out += '>';
  }
}

struct PutArguments {
  std::string& out;

  void operator()(const Noop&) const {}
  void operator()(const Capability&) const {}
  void operator()(const Logout&) const {}
  void operator()(const Starttls&) const {}
  void operator()(const Namespace&) const {}
  void operator()(const Idle&) const {}
  void operator()(const Check&) const {}
  void operator()(const Close&) const {}
  void operator()(const Unselect&) const {}
  void operator()(const Unauthenticate&) const {}
  void operator()(const Id& a) const {
    out += " (";
    bool space = false;
    for (const auto& [name, value] : a.fields) {
      if (space) out += ' ';
      space = true;
      put_string(out, name);
      out += ' ';
      if (value) {
        put_string(out, *value);
      } else {
        out += "NIL";
      }
    }
    out += ')';
  }
  void operator()(const Authenticate& a) const {
    out += ' ';
    out += a.mechanism;
    if (!a.response) return;
    out += ' ';
    out += a.response->empty() ? "=" : a.response->reveal();
  }
  void operator()(const Login& a) const {
    out += ' ';
    put_string(out, a.user);
    out += ' ';
    put_string(out, a.password.reveal());
  }
  void operator()(const Enable& a) const {
    for (const std::string& name : a.capabilities) {
      out += ' ';
      out += name;
    }
  }
  void mailbox(std::string_view name) const {
    out += ' ';
    put_mailbox(out, name);
  }
  void opened(std::string_view name, const SelectParameters& parameters) const {
    mailbox(name);
    if (!parameters.condstore && !parameters.resync) return;
    out += " (";
    if (parameters.condstore) out += "CONDSTORE";
    if (const auto& resync = parameters.resync) {
      if (parameters.condstore) out += ' ';
      out += "QRESYNC (";
      append_number(out, resync->uidvalidity);
      out += ' ';
      append_number(out, resync->modseq);
      if (resync->known) {
        out += ' ';
        append_sequence_set(out, *resync->known);
      }
      if (resync->match) {
        out += " (";
        append_sequence_set(out, resync->match->first);
        out += ' ';
        append_sequence_set(out, resync->match->second);
        out += ')';
      }
      out += ')';
    }
    out += ')';
  }
  void operator()(const Select& a) const { opened(a.mailbox, a.parameters); }
  void operator()(const Examine& a) const { opened(a.mailbox, a.parameters); }
  void operator()(const Delete& a) const { mailbox(a.mailbox); }
  void operator()(const Subscribe& a) const { mailbox(a.mailbox); }
  void operator()(const Unsubscribe& a) const { mailbox(a.mailbox); }
  void operator()(const Create& a) const {
    mailbox(a.mailbox);
    if (a.special_use == 0) return;
    out += " (USE ";
    for (size_t i = 0; i < std::size(kSpecialUses); i++)
      if (((a.special_use >> i) & 1U) != 0) {
        out += (a.special_use & ((1U << i) - 1)) == 0 ? "(\\" : " \\";
        out += kSpecialUses[i];
      }
    out += "))";
  }
  void operator()(const Rename& a) const {
    mailbox(a.from);
    mailbox(a.to);
  }
  void operator()(const List& a) const {
    if (a.extended) {
      out += ' ';
      put_bits(out, a.select, {"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"});
    }
    mailbox(a.reference);
    if (a.patterns.size() == 1) {
      mailbox(a.patterns.front());
    } else {
      char before = '(';
      out += ' ';
      for (const std::string& pattern : a.patterns) {
        out += before;
        before = ' ';
        put_mailbox(out, pattern);
      }
      out += ')';
    }
    if (a.returns == 0) return;
    out += " RETURN ";
    // Those with something behind them come last.
    const unsigned bare = a.returns & ~(List::return_status | List::return_metadata);
    put_bits(out, bare, {"SUBSCRIBED", "CHILDREN", "SPECIAL-USE"});
    out.pop_back();
    const auto more = [this](std::string_view option) {
      if (!out.ends_with('(')) out += ' ';
      out += option;
    };
    if ((a.returns & List::return_status) != 0) {
      more("STATUS ");
      put_status_items(out, a.status);
    }
    if ((a.returns & List::return_metadata) != 0) {
      more("METADATA ");
      put_entries(a.metadata);
    }
    out += ')';
  }
  void put_entries(const std::vector<std::string>& entries) const {
    char before = '(';
    for (const std::string& entry : entries) {
      out += std::exchange(before, ' ');
      put_string(out, entry);
    }
    out += ')';
  }
  void operator()(const GetMetadata& a) const {
    out += " (DEPTH ";
    out += a.depth == GetMetadata::Depth::zero  ? "0"
           : a.depth == GetMetadata::Depth::one ? "1"
                                                : "infinity";
    if (a.max_size) {
      out += " MAXSIZE ";
      append_number(out, *a.max_size);
    }
    out += ')';
    mailbox(a.mailbox);
    out += ' ';
    put_entries(a.entries);
  }
  void operator()(const SetMetadata& a) const {
    mailbox(a.mailbox);
    out += ' ';
    char before = '(';
    for (const auto& [entry, value] : a.entries) {
      out += std::exchange(before, ' ');
      put_string(out, entry);
      out += ' ';
      if (!value) {
        out += "NIL";
        continue;
      }
      if (value->find('\0') != value->npos) out += '~';
      put_string(out, *value);
    }
    out += ')';
  }
  void operator()(const Lsub& a) const {
    mailbox(a.reference);
    mailbox(a.pattern);
  }
  void operator()(const Xlist& a) const {
    mailbox(a.reference);
    mailbox(a.pattern);
  }
  void group(const Notify::Group& a) const {
    static constexpr std::string_view kFilters[] = {"selected", "selected-delayed", "inboxes",
                                                    "personal", "subscribed",       "subtree",
                                                    "mailboxes"};
    out += kFilters[static_cast<size_t>(a.filter)];
    if (!a.mailboxes.empty()) {
      char before = '(';
      out += ' ';
      for (const std::string& name : a.mailboxes) {
        out += std::exchange(before, ' ');
        put_mailbox(out, name);
      }
      out += ')';
    }
    if (a.events == 0) {
      out += " NONE";
      return;
    }
    char before = '(';
    out += ' ';
    for (const NotifyEvent& event : kNotifyEvents) {
      if ((a.events & event.bit) == 0) continue;
      out += std::exchange(before, ' ');
      out += event.name;
      if (event.bit != Notify::message_new || a.fetch == Fetch{}) continue;
      out += ' ';
      fetch_items(a.fetch);
    }
    if ((a.events & Notify::other) != 0) {
      out += std::exchange(before, ' ');
      out += "Other";
    }
    out += ')';
  }
  void operator()(const Notify& a) const {
    out += a.groups.empty() ? " NONE" : a.status ? " SET STATUS" : " SET";
    for (const Notify::Group& each : a.groups) {
      out += " (";
      group(each);
      out += ')';
    }
  }
  void operator()(const StatusQuery& a) const {
    mailbox(a.mailbox);
    out += ' ';
    put_status_items(out, a.items);
  }
  void operator()(const Append& a) const {
    mailbox(a.mailbox);
    for (const AppendMessage& one : a.messages) message(one);
  }
  void message(const AppendMessage& one) const {
    out += ' ';
    append_flags(out, one.flags);
    out += ' ';
    if (one.date) {
      out += '"';
      append_date_time(out, *one.date);
      out += "\" ";
    }
    if (one.literal8) out += '~';
    put_literal(out, one.bytes);
  }
  void operator()(const Replace& a) const {
    out += ' ';
    append_sequence_set(out, {.ranges = {{a.message, a.message}}});
    mailbox(a.mailbox);
    message(a.with);
  }
  void operator()(const UidBatches& a) const {
    out += ' ';
    append_number(out, a.size);
    if (!a.batches) return;
    out += ' ';
    append_number(out, a.batches->first);
    out += ':';
    append_number(out, a.batches->second);
  }
  void operator()(const Expunge& a) const {
    if (!a.uids) return;
    out += ' ';
    append_sequence_set(out, *a.uids);
  }
  void returns(const Search& a) const {
    if (a.returns == 0) return;
    out += " RETURN ";
    std::string partial = "PARTIAL ";
    append_page(partial, a.page);
    put_bits(out, a.returns, {"MIN", "MAX", "ALL", "COUNT", "SAVE", partial});
  }
  void criteria(const Search& a) const {
    out += ' ';
    put_string(out, a.charset);
    out += ' ';
    put_key(out, a.key, true);
  }
  void operator()(const Search& a) const {
    returns(a);
    if (!a.charset.empty()) {
      out += " CHARSET ";
      put_string(out, a.charset);
    }
    out += ' ';
    put_key(out, a.key, true);
  }
  void operator()(const Sort& a) const {
    returns(a.search);
    char before = '(';
    out += ' ';
    for (const SortKey& key : a.keys) {
      out += std::exchange(before, ' ');
      if (key.reverse) out += "REVERSE ";
      static constexpr std::string_view kNames[] = {
          "ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"};
      out += kNames[static_cast<size_t>(key.kind)];
    }
    out += ')';
    criteria(a.search);
  }
  void operator()(const Thread& a) const {
    static constexpr std::string_view kNames[] = {" ORDEREDSUBJECT", " REFERENCES", " REFS"};
    out += kNames[static_cast<size_t>(a.algorithm)];
    criteria(a.search);
  }
  void fetch_items(const Fetch& a) const {
    if (a.items != 0 || a.sections.empty()) {
      put_bits(out, a.items,
               {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "UID",
                "MODSEQ", "SAVEDATE", "EMAILID", "THREADID", "PREVIEW", "PREVIEW (LAZY)"});
      out.pop_back();
    } else {
      out += '(';
    }
    bool space = a.items != 0;
    for (const FetchSection& s : a.sections) {
      if (space) out += ' ';
      space = true;
      put_section(out, s);
    }
    out += ')';
  }
  void operator()(const Fetch& a) const {
    out += ' ';
    append_sequence_set(out, a.messages);
    out += ' ';
    fetch_items(a);
    if (!a.changed_since && !a.page) return;
    out += " (";
    if (a.changed_since) {
      out += "CHANGEDSINCE ";
      append_number(out, *a.changed_since);
      if (a.vanished) out += " VANISHED";
    }
    if (a.changed_since && a.page) out += ' ';
    if (a.page) {
      out += "PARTIAL ";
      append_page(out, *a.page);
    }
    out += ')';
  }
  void operator()(const Store& a) const {
    out += ' ';
    append_sequence_set(out, a.messages);
    if (a.unchanged_since) {
      out += " (UNCHANGEDSINCE ";
      append_number(out, *a.unchanged_since);
      out += ')';
    }
    constexpr std::string_view kHow[] = {" ", " +", " -"};
    out += kHow[static_cast<size_t>(a.how)];
    out += a.silent ? "FLAGS.SILENT " : "FLAGS ";
    append_flags(out, a.flags);
  }
  void operator()(const Compress&) const { out += " DEFLATE"; }
  void operator()(const Copy& a) const { copied(a.messages, a.mailbox); }
  void operator()(const Move& a) const { copied(a.messages, a.mailbox); }
  void operator()(const GetQuota& a) const {
    out += ' ';
    put_string(out, a.root);
  }
  void operator()(const GetQuotaRoot& a) const { mailbox(a.mailbox); }
  void operator()(const SetQuota& a) const {
    out += ' ';
    put_string(out, a.root);
    out += " (";
    for (const auto& [name, limit] : a.limits) {
      if (out.back() != '(') out += ' ';
      out += name + ' ';
      append_number(out, limit);
    }
    out += ')';
  }
  void copied(const SequenceSet& messages, std::string_view to) const {
    out += ' ';
    append_sequence_set(out, messages);
    mailbox(to);
  }
};

}  // namespace

std::string print(const Command& command) {
  std::string out = command.tag;
  out += ' ';
  out += name(command);
  std::visit(PutArguments{out}, command.args);
  out += "\r\n";
  return out;
}

}  // namespace rims::imap
