// imapd/imap/search_program.cc - compiles keys, and tests messages with what is known of them

#include "imapd/imap/search_program.h"

#include <utility>

#include "common/imap/date.h"
#include "common/message/date.h"

namespace rims::imapd {
namespace {

using Kind = imap::SearchKey::Kind;

Match from(bool matched) { return matched ? Match::yes : Match::no; }

bool has_flag(const SearchSubject& subject, imap::SystemFlag flag) {
  if (flag == imap::SystemFlag::recent) return subject.recent;
  return (subject.entry->flags & static_cast<uint8_t>(flag)) != 0;
}

// The day that INTERNALDATE shows, in its own zone (RFC 3501 §6.4.4 disregards time and zone).
imap::Date arrival_day(const store::MessageEntry& entry) {
  return imap::from_unix(entry.date, entry.zone).date;
}

// The day that SAVEDATE shows. What was saved at an unknown time has INTERNALDATE instead (RFC 8514
// §4.3).
imap::Date save_day(const store::MessageEntry& entry) {
  return entry.saved == 0 ? arrival_day(entry) : imap::from_unix(entry.saved, 0).date;
}

}  // namespace

Result<SearchProgram::Node> SearchProgram::compile(const imap::SearchKey& key,
                                                   std::string_view charset,
                                                   const Context& context) {
  const View& view = context.view;
  Node node;
  node.key = &key;
  node.number = count_++;
  if (key.set.saved) node.saved = &context.saved;
  looks_at_modseq_ = looks_at_modseq_ || key.kind == Kind::modseq;
  switch (key.kind) {
    case Kind::sequence:
      node.numbers = imap::resolve(key.set, SeqNum(static_cast<uint32_t>(view.size())));
      break;
    case Kind::uid:
      node.uids = imap::resolve(key.set, view.size() == 0 ? Uid(0) : view.uid_at(view.size() - 1));
      break;
    case Kind::uid_after:
      if (key.size < UINT32_MAX) node.uids.add_range(Uid(key.size + 1), Uid(UINT32_MAX));
      break;
    case Kind::uid_before:
      if (key.size > 1) node.uids.add_range(Uid(1), Uid(key.size - 1));
      break;
    case Kind::keyword:
    case Kind::unkeyword:
      node.keywords = &context.mailbox.keywords();
      node.keyword = context.mailbox.keywords().find(key.text);
      break;
    case Kind::email_id:
      if (context.account) node.message = context.account->message_of(key.text);
      break;
    case Kind::older:
    case Kind::younger:
      node.time = context.now - int64_t{key.size};
      break;
    case Kind::header:
    case Kind::body:
    case Kind::text: {
      TRY(auto needle, message::Needle::make(key.text, charset));
      node.needle = std::move(needle);
      if (key.kind == Kind::header) node.kept = message::KeptNames::of(std::string_view(key.field));
      (node.kept ? wanted_.fields : wanted_.structure) = true;
      break;
    }
    case Kind::sent_before:
    case Kind::sent_on:
    case Kind::sent_since:
      wanted_.fields = true;
      break;
    default:
      break;
  }
  for (const imap::SearchKey& inner : key.keys) {
    TRY(Node made, compile(inner, charset, context));
    node.nodes.push_back(std::move(made));
  }
  return node;
}

Result<SearchProgram> SearchProgram::make(const imap::Search& command, const Context& context) {
  if (!command.charset.empty() && !message::charset_supported(command.charset))
    return fail(Fault::refused, "the charset is not known", {}, "BADCHARSET (US-ASCII UTF-8)");
  SearchProgram program;
  TRY(program.root_, program.compile(command.key, command.charset, context));
  return program;
}

bool SearchProgram::in_sets(const SearchSubject& subject) const {
  const auto holds = [&](const Node& node) {
    switch (node.key->kind) {
      case Kind::sequence:
      case Kind::uid:
      case Kind::uid_after:
      case Kind::uid_before: {
        SearchTrial trial;
        return look(node, subject, trial) == Match::yes;
      }
      default:
        return true;
    }
  };
  return root_.key->kind == Kind::both ? std::ranges::all_of(root_.nodes, holds) : holds(root_);
}

Match SearchProgram::test(const SearchSubject& subject, SearchTrial& trial) const {
  trial.stopped_ = false;
  trial.until_ = Loop::now() + SearchTrial::kStep;
  return test(root_, subject, trial);
}

Match SearchProgram::test(const Node& node, const SearchSubject& subject, SearchTrial& trial) {
  Match& known = trial.known_[node.number];
  if (known == Match::unknown && !trial.stopped_) known = look(node, subject, trial);
  return known;
}

Match SearchProgram::look(const Node& node, const SearchSubject& subject, SearchTrial& trial) {
  const auto looked_through = [&](bool matched) {
    trial.stopped_ = Loop::now() >= trial.until_;
    return from(matched);
  };
  const imap::SearchKey& key = *node.key;
  const store::MessageEntry& entry = *subject.entry;
  switch (key.kind) {
    case Kind::all:
      return Match::yes;
    case Kind::flag_set:
      return from(has_flag(subject, key.flag));
    case Kind::flag_clear:
      return from(!has_flag(subject, key.flag));
    case Kind::keyword:
      return from(node.keyword && node.keywords->has(entry.keywords, *node.keyword));
    case Kind::unkeyword:
      return from(!node.keyword || !node.keywords->has(entry.keywords, *node.keyword));
    case Kind::sequence:
      return from(node.saved ? node.saved->contains(entry.uid)
                             : node.numbers.contains(SeqNum(subject.number)));
    case Kind::uid:
    case Kind::uid_after:
    case Kind::uid_before:
      return from((node.saved ? *node.saved : node.uids).contains(entry.uid));
    case Kind::before:
      return from(arrival_day(entry) < key.date);
    case Kind::on:
      return from(arrival_day(entry) == key.date);
    case Kind::since:
      return from(arrival_day(entry) >= key.date);
    case Kind::saved_before:
      return from(save_day(entry) < key.date);
    case Kind::saved_on:
      return from(save_day(entry) == key.date);
    case Kind::saved_since:
      return from(save_day(entry) >= key.date);
    case Kind::save_date_supported:
      return Match::yes;
    case Kind::email_id:
      return from(node.message == entry.message);
    case Kind::thread_id:  // no message has one (RFC 8474 §5.2)
      return Match::no;
    case Kind::older:
      return from(entry.date <= node.time);
    case Kind::younger:
      return from(entry.date >= node.time);
    case Kind::larger:
      return from(entry.size > key.size);
    case Kind::smaller:
      return from(entry.size < key.size);
    case Kind::modseq:
      return from(entry.modseq >= ModSeq(key.modseq));
    case Kind::sent_before:
    case Kind::sent_on:
    case Kind::sent_since: {
      if (!subject.fields && !subject.structure) return Match::unknown;
      const auto sent = subject.fields ? subject.fields->sent_day() : subject.structure->sent_day();
      if (!sent) return Match::no;
      const int32_t day = message::day_number(key.date.year, key.date.month, key.date.day);
      if (key.kind == Kind::sent_before) return from(*sent < day);
      return from(key.kind == Kind::sent_on ? *sent == day : *sent >= day);
    }
    case Kind::header:
      if (subject.fields && node.kept && subject.fields->has(*node.kept))
        return looked_through(subject.fields->contains(key.field, *node.needle));
      if (!subject.header) return Match::unknown;
      return looked_through(message::header_contains(*subject.header, key.field, *node.needle));
    case Kind::body:
      if (!subject.message) return Match::unknown;
      return looked_through(
          message::body_contains(*subject.message, *subject.structure, *node.needle));
    case Kind::text:
      if (!subject.message) return Match::unknown;
      return looked_through(
          message::text_contains(*subject.message, *subject.structure, *node.needle));
    case Kind::both: {
      Match result = Match::yes;
      for (const Node& inner : node.nodes) {
        const Match m = test(inner, subject, trial);
        if (m == Match::no) return Match::no;
        if (m == Match::unknown) result = Match::unknown;
      }
      return result;
    }
    case Kind::either: {
      Match result = Match::no;
      for (const Node& inner : node.nodes) {
        const Match m = test(inner, subject, trial);
        if (m == Match::yes) return Match::yes;
        if (m == Match::unknown) result = Match::unknown;
      }
      return result;
    }
    case Kind::negation: {
      const Match m = test(node.nodes.front(), subject, trial);
      if (m == Match::unknown) return m;
      return from(m == Match::no);
    }
  }
  return Match::no;
}

}  // namespace rims::imapd
