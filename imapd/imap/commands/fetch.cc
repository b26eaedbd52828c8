// imapd/imap/commands/fetch.cc - FETCH and UID FETCH
//
//   RFC      3501 §6.4.5, §6.4.8, §7.4.2; 5530 §3 (EXPUNGEISSUED);
//            3516 §4.2, §4.3 (BINARY); 7162 §3.1.4 (MODSEQ, CHANGEDSINCE), §3.2.4 (UID and MODSEQ
//            where \Seen is set), §3.2.6 (VANISHED); 8474 §5.3 (EMAILID, THREADID);
//            8514 §4.2 (SAVEDATE); 8970 §3, §4 (PREVIEW); 9394 §3.3, §3.4 (PARTIAL);
//            9738 §3.1 (MESSAGELIMIT)
//   Sources  flags, dates and sizes from the mailbox in memory; ENVELOPE, BODYSTRUCTURE, PREVIEW
//            and the header fields that are kept copied from what was made at append, for many
//            messages at a time; bodies and other fields read from the journal, never parsed here
//
// Invariants
//   1. \Seen is durable before the text that sets it is sent, and its FLAGS are in the same
//   response.
//   2. A response is complete, or the connection ends: what cannot be read is noticed before the
//      response is begun, or the socket is closed inside a literal.
//   3. Memory is bounded: of a large body one piece at a time is held, and only as fast as the
//      client reads.

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/log.h"
#include "common/imap/date.h"
#include "common/imap/response.h"
#include "common/message/header.h"
#include "common/message/preview.h"
#include "common/message/transfer.h"
#include "imapd/imap/message_limit.h"
#include "imapd/imap/message_reader.h"
#include "imapd/imap/render.h"
#include "imapd/imap/resync.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

// A body is read and sent in pieces of this size.
constexpr uint32_t kPiece = 256 * 1024;
// HEADER.FIELDS looks at no more of a header than this; longer ones are attacks.
constexpr uint32_t kHeaderLimit = 1 << 20;
// \Seen is set for at most this many messages by one change of the account.
constexpr size_t kSeenBatch = 64;

using Text = imap::FetchSection::Text;
using Form = imap::FetchSection::Form;

// What one FETCH asks for, worked out once.
struct Plan {
  uint16_t items = 0;
  bool sets_seen = false;
  bool needs_structure = false;
  std::vector<std::string> labels;  // "BODY[1.2.MIME]<5>", one per section
  // HEADER.FIELDS, one per section: what picks them, and their names when all of them are kept.
  std::vector<std::optional<message::FieldPicker>> pickers;
  std::vector<std::optional<message::KeptNames>> kept;
  store::Wanted wanted;
};

bool picks_fields(const imap::FetchSection& section) {
  return section.text == Text::header_fields || section.text == Text::header_fields_not;
}

bool is_whole_message(const imap::FetchSection& section) {
  return section.part.empty() && section.text == Text::whole;
}

std::string_view text_name(Text text) {
  switch (text) {
    case Text::whole:
      return "";
    case Text::header:
      return "HEADER";
    case Text::header_fields:
      return "HEADER.FIELDS";
    case Text::header_fields_not:
      return "HEADER.FIELDS.NOT";
    case Text::text:
      return "TEXT";
    case Text::mime:
      return "MIME";
  }
  return "";
}

std::string label_of(const imap::FetchSection& section) {
  switch (section.form) {
    case Form::rfc822:
      return "RFC822";
    case Form::rfc822_header:
      return "RFC822.HEADER";
    case Form::rfc822_text:
      return "RFC822.TEXT";
    case Form::body:
    case Form::binary:
    case Form::binary_size:
      break;
  }
  std::string label = section.form == Form::body     ? "BODY["
                      : section.form == Form::binary ? "BINARY["
                                                     : "BINARY.SIZE[";
  for (const uint32_t number : section.part) {
    if (label.back() != '[') label += '.';
    imap::append_number(label, number);
  }
  const std::string_view name = text_name(section.text);
  if (!name.empty() && label.back() != '[') label += '.';
  label += name;
  if (picks_fields(section)) {
    char before = '(';
    label += ' ';
    for (const std::string& field : section.fields) {
      label += before;
      before = ' ';
      imap::append_astring(label, field);
    }
    label += ')';
  }
  label += ']';
  if (section.partial) {
    label += '<';
    imap::append_number(label, section.partial->offset);
    label += '>';
  }
  return label;
}

bool asks_preview(uint16_t items) {
  return (items & (imap::Fetch::preview | imap::Fetch::lazy_preview)) != 0;
}

// `names_uid`: each answer has UID, asked for or not.
Plan plan_of(const imap::Fetch& args, bool names_uid, bool read_only) {
  Plan plan{.items = args.items};
  if (names_uid) plan.items |= imap::Fetch::uid;
  if (args.changed_since) plan.items |= imap::Fetch::modseq;
  plan.needs_structure =
      (args.items & (imap::Fetch::envelope | imap::Fetch::body | imap::Fetch::body_structure)) != 0;
  for (const imap::FetchSection& section : args.sections) {
    plan.labels.push_back(label_of(section));
    if (!section.peek && !read_only) plan.sets_seen = true;
    plan.pickers.emplace_back();
    if (picks_fields(section))
      plan.pickers.back().emplace(section.fields, section.text == Text::header_fields_not);
    plan.kept.emplace_back();
    if (section.text == Text::header_fields && section.part.empty())
      plan.kept.back() = message::KeptNames::of(section.fields);
    if (plan.kept.back())
      plan.wanted.fields = true;
    else if (!is_whole_message(section))
      plan.needs_structure = true;
  }
  if (asks_preview(plan.items)) plan.wanted.fields = true;
  plan.wanted.structure = plan.needs_structure;
  return plan;
}

message::Section section_of(Text text) {
  switch (text) {
    case Text::whole:
      return message::Section::all;
    case Text::header:
    case Text::header_fields:
    case Text::header_fields_not:
      return message::Section::header;
    case Text::text:
      return message::Section::text;
    case Text::mime:
      return message::Section::mime;
  }
  return message::Section::all;
}

// <offset.length> of `length` bytes (RFC 3501 §6.4.5): nothing when it starts beyond the end.
message::Range cut(message::Range range, const std::optional<imap::Partial>& partial) {
  if (!partial) return range;
  const uint32_t skipped = std::min(partial->offset, range.length);
  return {.offset = range.offset + skipped,
          .length = std::min(partial->length, range.length - skipped)};
}

// Puts the space between the items of one response. `out` does not show whether an item is the
// first: a body may end in "(", or may have been passed on already.
struct Items {
  std::string& out;
  bool first = true;
  void begin() {
    if (!first) out += ' ';
    first = false;
  }
  void begin(std::string_view name) {
    begin();
    out += name;
    out += ' ';
  }
};

void append_entry_items(Items& response, const store::Account& account, const Selected& selected,
                        const store::MessageEntry& entry, uint16_t items) {
  std::string& out = response.out;
  if ((items & imap::Fetch::uid) != 0) {
    response.begin("UID");
    imap::append_number(out, entry.uid.value);
  }
  if ((items & imap::Fetch::flags) != 0) {
    response.begin("FLAGS");
    append_message_flags(out, selected, entry);
  }
  if ((items & imap::Fetch::modseq) != 0) {
    response.begin();
    append_modseq(out, entry.modseq);
  }
  if ((items & imap::Fetch::internal_date) != 0) {
    response.begin("INTERNALDATE");
    out += '"';
    imap::append_date_time(out, imap::from_unix(entry.date, entry.zone));
    out += '"';
  }
  if ((items & imap::Fetch::rfc822_size) != 0) {
    response.begin("RFC822.SIZE");
    imap::append_number(out, entry.size);
  }
  if ((items & imap::Fetch::save_date) != 0) {
    response.begin("SAVEDATE");
    if (entry.saved == 0) {
      out += "NIL";
    } else {
      out += '"';
      imap::append_date_time(out, imap::from_unix(entry.saved, 0));
      out += '"';
    }
  }
  if ((items & imap::Fetch::email_id) != 0) {
    response.begin("EMAILID");
    out += '(' + account.object_id(entry.message) + ')';
  }
  if ((items & imap::Fetch::thread_id) != 0) {
    response.begin("THREADID");
    out += "NIL";
  }
}

void append_structure_items(Items& response, const message::StructureView& view, uint16_t items) {
  std::string& out = response.out;
  if ((items & imap::Fetch::envelope) != 0) {
    response.begin("ENVELOPE");
    out += view.envelope();
  }
  if ((items & imap::Fetch::body) != 0) {
    response.begin("BODY");
    out += view.body();
  }
  if ((items & imap::Fetch::body_structure) != 0) {
    response.begin("BODYSTRUCTURE");
    out += view.bodystructure();
  }
}

// The rest of a body whose first piece is in out() already. After this the literal is begun, so a
// failure can only end the connection.
Task<Status> stream_rest(Session& session, MessageReader& reader, message::Range rest) {
  while (rest.length > 0) {
    const uint32_t length = std::min(rest.length, kPiece);
    auto piece = co_await reader.bytes({.offset = rest.offset, .length = length});
    if (!piece) {
      log::error(session.id(), "FETCH: {}", piece.error().detail());
      co_return fail(Fault::peer_gone, "closed", "a body could not be read to its end");
    }
    CO_TRY_STATUS(co_await session.pass(std::move(*piece)));
    rest.offset += length;
    rest.length -= length;
  }
  co_return Status();
}

void append_fields(Items& response, const std::string& label, const std::string& fields,
                   const std::optional<imap::Partial>& partial) {
  const message::Range part =
      cut({.offset = 0, .length = static_cast<uint32_t>(fields.size())}, partial);
  response.begin(label);
  imap::append_literal_head(response.out, part.length);
  response.out += part.of(fields);
}

// Takes the section from the kept fields. False: the message must be read.
bool append_kept_section(Items& response, MessageReader& reader, const imap::FetchSection& section,
                         const Plan& plan, size_t i) {
  if (!plan.kept[i]) return false;
  const message::KeptFields* fields = reader.fields();
  if (!fields || !fields->has(*plan.kept[i])) return false;
  append_fields(response, plan.labels[i], plan.pickers[i]->pick(fields->header()), section.partial);
  return true;
}

bool is_binary(const imap::FetchSection& section) {
  return section.form == Form::binary || section.form == Form::binary_size;
}

// A part as it stands in the message.
struct Encoded {
  message::Range range;
  message::Encoding encoding = message::Encoding::none;
};

// What BINARY of the section decodes; nullopt: there is no such part. A multipart has no encoding
// of its own (RFC 2045 §6.4), and neither has the message as a whole.
Task<Result<std::optional<Encoded>>> encoded_part(MessageReader& reader,
                                                  const imap::FetchSection& section) {
  if (section.part.empty()) co_return Encoded{.range = {.offset = 0, .length = reader.size()}};
  CO_TRY(const message::StructureView* view, co_await reader.structure());
  const auto range = view->locate(section.part, message::Section::all);
  if (!range) co_return std::nullopt;
  Encoded found{.range = *range};
  if (const auto index = view->find(section.part)) {
    const message::Part part = view->part(*index);
    if (part.kind != message::Kind::multipart) found.encoding = part.encoding;
  }
  if (found.encoding == message::Encoding::other)
    co_return fail(Fault::refused, "the transfer encoding of the part is not known", {},
                   "UNKNOWN-CTE");
  co_return found;
}

// The decoded bytes of a part, of which one piece at a time is held. Gives way to others.
class Decoded {
 public:
  Decoded(Loop& loop, MessageReader& reader, const Encoded& part)
      : slice_(loop),
        reader_(reader),
        rest_(part.range),
        plain_(part.encoding == message::Encoding::none),
        decoder_(part.encoding) {}

  // The next ones; none at the end. Of a part of kPiece bytes the first ones are all.
  Task<Result<std::string>> next() {
    std::string decoded;
    while (decoded.empty() && rest_.length > 0) {
      const uint32_t length = std::min(rest_.length, kPiece);
      CO_TRY(std::string piece, co_await reader_.bytes({.offset = rest_.offset, .length = length}));
      rest_.offset += length;
      rest_.length -= length;
      if (plain_) co_return piece;
      decoder_.feed(piece, decoded);
      if (rest_.length == 0) decoder_.finish(decoded);
      co_await slice_.spend();
    }
    co_return decoded;
  }

 private:
  TimeSlice slice_;
  MessageReader& reader_;
  message::Range rest_;
  bool plain_;
  message::TransferDecoder decoder_;
};

// The bytes that a partial BINARY wants, of pieces that come one after the other.
class Window {
 public:
  explicit Window(const std::optional<imap::Partial>& partial) {
    if (partial) {
      skip_ = partial->offset;
      left_ = partial->length;
    }
  }
  [[nodiscard]] bool ended() const { return left_ == 0; }
  std::string_view of(std::string_view piece) {
    const size_t skipped = std::min<uint64_t>(skip_, piece.size());
    skip_ -= skipped;
    piece = piece.substr(skipped, left_);
    left_ -= piece.size();
    return piece;
  }

 private:
  uint64_t skip_ = 0, left_ = UINT64_MAX;
};

// What must be known of the decoded bytes before they are sent.
struct Extent {
  uint64_t size = 0;
  bool nul = false;
  std::string all;  // the bytes themselves, of a small part
};

Task<Result<Extent>> measure(Session& session, MessageReader& reader, const Encoded& part,
                             const std::optional<imap::Partial>& partial) {
  Extent extent;
  Decoded decoded(session.host().loop(), reader, part);
  Window window(partial);
  while (!window.ended()) {
    CO_TRY(const std::string piece, co_await decoded.next());
    if (piece.empty()) break;
    const std::string_view wanted = window.of(piece);
    extent.size += wanted.size();
    extent.nul = extent.nul || wanted.contains('\0');
    if (part.range.length <= kPiece) extent.all += wanted;
  }
  co_return extent;
}

// BINARY and BINARY.SIZE. The size comes before the bytes, so a large part is decoded twice.
// Errors: as append_section().
Task<Status> append_binary(Session& session, Items& response, MessageReader& reader,
                           const imap::FetchSection& section, const std::string& label) {
  const bool size_only = section.form == Form::binary_size;
  CO_TRY(const std::optional<Encoded> part, co_await encoded_part(reader, section));
  if (!part) {
    response.begin(label);
    response.out += size_only ? "0" : "NIL";
    co_return Status();
  }
  Extent extent{.size = part->range.length};
  if (!size_only || part->encoding != message::Encoding::none) {
    CO_TRY(extent, co_await measure(session, reader, *part, section.partial));
  }
  response.begin(label);
  if (size_only) {
    imap::append_number(response.out, extent.size);
    co_return Status();
  }
  // Only a literal8 may hold NUL; what holds none is a string (RFC 3516 §4.3).
  if (extent.nul) response.out += '~';
  imap::append_literal_head(response.out, extent.size);
  if (part->range.length <= kPiece) {
    response.out += extent.all;
    co_return Status();
  }
  Decoded decoded(session.host().loop(), reader, *part);
  Window window(section.partial);
  while (!window.ended()) {
    auto piece = co_await decoded.next();
    if (!piece) {
      log::error(session.id(), "FETCH: {}", piece.error().detail());
      co_return fail(Fault::peer_gone, "closed", "a part could not be read to its end");
    }
    if (piece->empty()) break;
    CO_TRY_STATUS(co_await session.pass(std::string(window.of(*piece))));
  }
  co_return Status();
}

// One section, read and appended. Errors: storage as long as nothing of the message was passed on.
Task<Status> append_section(Session& session, Items& response, MessageReader& reader,
                            const imap::FetchSection& section, const Plan& plan, size_t i) {
  const std::string& label = plan.labels[i];
  if (is_binary(section))
    co_return co_await append_binary(session, response, reader, section, label);
  std::optional<message::Range> range = message::Range{.offset = 0, .length = reader.size()};
  if (!is_whole_message(section)) {
    CO_TRY(const message::StructureView* view, co_await reader.structure());
    range = view->locate(section.part, section_of(section.text));
  }
  std::string& out = session.out();
  if (!range) {
    response.begin(label);
    out += "NIL";
    co_return Status();
  }
  if (picks_fields(section)) {
    range->length = std::min(range->length, kHeaderLimit);
    CO_TRY(const std::string header, co_await reader.bytes(*range));
    append_fields(response, label, plan.pickers[i]->pick(header), section.partial);
    co_return Status();
  }
  const message::Range part = cut(*range, section.partial);
  const uint32_t first = std::min(part.length, kPiece);
  CO_TRY(const std::string bytes, co_await reader.bytes({.offset = part.offset, .length = first}));
  response.begin(label);
  imap::append_literal_head(out, part.length);
  out += bytes;
  const message::Range rest{.offset = part.offset + first, .length = part.length - first};
  if (rest.length == 0) co_return Status();
  co_return co_await stream_rest(session, reader, rest);
}

// PREVIEW. One that is not kept, of a message that an earlier program has stored, is made from the
// message, or is NIL for LAZY. Errors: as append_section().
Task<Status> append_preview(Session& session, Items& response, MessageReader& reader, bool lazy) {
  const message::KeptFields* fields = reader.fields();
  if (fields && fields->preview()) {
    response.begin("PREVIEW");
    imap::append_string(response.out, *fields->preview());
    co_return Status();
  }
  if (lazy) {
    response.begin("PREVIEW");
    response.out += "NIL";
    co_return Status();
  }
  CO_TRY(const message::StructureView* view, co_await reader.structure());
  const auto reach = static_cast<uint32_t>(message::kPreviewReach);
  CO_TRY(const std::string beginning,
         co_await reader.bytes({.offset = 0, .length = std::min(reader.size(), reach)}));
  std::string preview;
  const auto make = [&] { preview = message::make_preview(beginning, *view); };
  co_await session.host().work_on(beginning, make);
  response.begin("PREVIEW");
  imap::append_string(response.out, preview);
  co_return Status();
}

struct Progress {
  Unreadable unreadable;
  bool some_gone = false;
  std::optional<Error> failed;  // the first other error
  std::vector<Uid> left_out;    // of the present batch

  void note(Uid uid, const Error& why) {
    left_out.push_back(uid);
    if (!unreadable.take(why) && !failed) failed = why;
  }
};

// What an answer has besides when it also tells of a change (RFC 7162 §3.2.4, RFC 9051 §7.5.2). In
// UIDFETCH the UID stands at its beginning.
uint16_t with_news(const Session& session) {
  const bool condstore = session.enabled(Extension::condstore);
  uint16_t items = condstore ? imap::Fetch::modseq : 0;
  if ((condstore || session.enabled(Extension::imap4rev2)) && !session.enabled(Extension::uidonly))
    items |= imap::Fetch::uid;
  return items;
}

// One FETCH response. Error: peer_gone only; what cannot be read is noted and left out.
Task<Status> fetch_one(Session& session, const imap::Fetch& args, const Plan& plan, uint32_t index,
                       bool seen_now, store::Structures::One kept, Progress& progress) {
  Selected& selected = session.selected();
  const store::MessageEntry* present = selected.mailbox->find(selected.view.uid_at(index));
  if (!present) {
    progress.some_gone = true;
    co_return Status();
  }
  store::MessageEntry entry = *present;
  uint16_t items = plan.items;
  if (seen_now) items |= imap::Fetch::flags;

  MessageReader reader(session.host(), session.account(), entry, kept);
  const message::StructureView* structure = nullptr;
  if (plan.needs_structure) {
    auto read = co_await reader.structure();
    if (!read) {
      progress.note(entry.uid, read.error());
      co_return Status();
    }
    structure = *read;
    // The flags may have changed while we waited; the client gets the current ones.
    if (const store::MessageEntry* now = selected.mailbox->find(entry.uid)) entry = *now;
  }
  const bool tells_flags = (items & imap::Fetch::flags) != 0;
  // What is told here of a change need not be told again.
  const bool was_news = tells_flags && selected.view.told_flags(entry.uid);
  if (seen_now || was_news) items |= with_news(session);
  std::string& out = session.out();
  const size_t begin = out.size();
  const uint64_t passed = session.passed();
  session.append_fetch_head(entry.uid);
  Items response{out};
  append_entry_items(response, session.account(), selected, entry, items);
  if (structure) append_structure_items(response, *structure, items);
  const size_t sections = args.sections.size();
  for (size_t i = asks_preview(items) ? 0 : 1; i <= sections; i++) {
    Status done;
    if (i == 0) {
      const bool lazy = (items & imap::Fetch::preview) == 0;
      done = co_await append_preview(session, response, reader, lazy);
    } else if (!append_kept_section(response, reader, args.sections[i - 1], plan, i - 1)) {
      done = co_await append_section(session, response, reader, args.sections[i - 1], plan, i - 1);
    }
    if (done) continue;
    const Fault fault = done.error().fault();
    if (fault == Fault::peer_gone || fault == Fault::timeout)
      co_return std::unexpected(done.error());
    // After a large section, part of the response is on its way.
    if (session.passed() != passed) {
      log::error(session.id(), "FETCH: {}", done.error().detail());
      co_return fail(Fault::peer_gone, "closed", "a response could not be finished");
    }
    progress.note(entry.uid, done.error());
    out.resize(begin);
    if (tells_flags) selected.view.flags_changed(std::span(&entry.uid, 1), entry.modseq);
    co_return Status();
  }
  if ((items & imap::Fetch::modseq) != 0) session.sent_modseq(entry.modseq);
  out += ")\r\n";
  co_return Status();
}

// Nobody has read what could not be given: of `seen`, it is unseen again.
Task<Status> unsee_left_out(Session& session, const std::vector<Uid>& seen, Progress& progress) {
  std::vector<Uid> left_out = std::exchange(progress.left_out, {});
  std::ranges::sort(left_out);
  store::FlagChange change{.uids = {}, .op = store::FlagOp::remove, .flags = store::kSeen};
  std::ranges::set_intersection(seen, left_out, std::back_inserter(change.uids));
  if (change.uids.empty()) co_return Status();
  const auto undone = co_await session.account().change_flags(session.selected().id(),
                                                              std::move(change), session.origin());
  if (!undone) co_return std::unexpected(undone.error());
  co_return Status();
}

// Keeps the page of those messages that are there. No more of them are looked at than it takes.
Task<void> keep_page(const Selected& selected, const imap::Page& page, TimeSlice& slice,
                     std::vector<uint32_t>& indexes) {
  std::vector<uint32_t> kept;
  uint64_t seen = 0;
  for (size_t i = 0; i < indexes.size() && kept.size() < page.size(); i++) {
    if (slice.step()) co_await slice.spend();
    const uint32_t index = indexes[page.from_end ? indexes.size() - 1 - i : i];
    if (selected.mailbox->find(selected.view.uid_at(index)) && seen++ >= page.skips())
      kept.push_back(index);
  }
  if (page.from_end) std::ranges::reverse(kept);
  indexes = std::move(kept);
}

// The ids of the message at indexes[from] and of those that follow it.
std::vector<MessageId> coming(const Selected& selected, std::span<const uint32_t> indexes) {
  std::vector<MessageId> messages;
  for (const uint32_t index : indexes.first(std::min(indexes.size(), StructuresAhead::kMost)))
    if (const auto* present = selected.mailbox->find(selected.view.uid_at(index)))
      messages.push_back(present->message);
  return messages;
}

}  // namespace

Task<Result<Reply>> fetch(Session& session, imap::Command command) {
  const auto& args = std::get<imap::Fetch>(command.args);
  CO_TRY(std::vector<uint32_t> indexes, session.resolve(args.messages, command.by_uid));
  if (args.vanished && !session.enabled(Extension::qresync))
    co_return fail(Fault::syntax, "QRESYNC must be enabled before VANISHED is used");
  Selected& selected = session.selected();
  std::optional<Uid> lowest;
  if (!args.page) {
    lowest =
        cut_to_limit(session, indexes, [&](uint32_t index) { return selected.view.uid_at(index); });
  } else if (const auto limit = session.message_limit(); limit && args.page->size() > *limit) {
    co_return too_many(*limit, "fetch");
  }
  const bool names_uid = command.by_uid && !session.enabled(Extension::uidonly);
  const Plan plan = plan_of(args, names_uid, selected.read_only);
  TimeSlice slice(session.host().loop());
  StructuresAhead ahead(session.account(), plan.wanted);
  Progress progress{
      .unreadable{session.account(), session.id(), "FETCH"}, .failed = {}, .left_out = {}};
  std::vector<Uid> made_seen;  // of the present batch, ascending
  if ((plan.items & imap::Fetch::modseq) != 0) session.enable(Extension::condstore);
  if (args.vanished) {
    CO_TRY_STATUS(co_await tell_vanished(session, ModSeq(*args.changed_since), args.messages));
  }
  // The page is one of the set; what has not changed is left out of it (RFC 9394 §3.4).
  if (args.page) co_await keep_page(selected, *args.page, slice, indexes);
  if (args.changed_since) indexes = changed_since(session, indexes, ModSeq(*args.changed_since));
  if (lowest) std::ranges::reverse(indexes);  // RFC 9738 §3.1
  if ((plan.items & imap::Fetch::flags) != 0 || plan.sets_seen) session.tell_keywords();

  for (size_t i = 0; i < indexes.size(); i++) {
    if (plan.sets_seen && i % kSeenBatch == 0) {
      CO_TRY_STATUS(co_await unsee_left_out(session, made_seen, progress));
      made_seen.clear();
      for (size_t j = i; j < std::min(indexes.size(), i + kSeenBatch); j++) {
        const store::MessageEntry* present =
            selected.mailbox->find(selected.view.uid_at(indexes[j]));
        if (present && (present->flags & store::kSeen) == 0) made_seen.push_back(present->uid);
      }
      if (lowest) std::ranges::reverse(made_seen);
      if (!made_seen.empty()) {
        rims::store::FlagChange change{
            .uids = made_seen, .op = rims::store::FlagOp::add, .flags = rims::store::kSeen};
        const auto outcomes = co_await session.account().change_flags(
            selected.id(), std::move(change), session.origin());
        // When nothing can be written, mail can still be read; it stays unseen.
        if (!outcomes) {
          if (outcomes.error().code() != "UNAVAILABLE" || session.account().failed())
            co_return std::unexpected(outcomes.error());
          made_seen.clear();
        }
      }
    }
    const bool seen_now = std::ranges::binary_search(made_seen, selected.view.uid_at(indexes[i]));
    store::Structures::One kept;
    const store::MessageEntry* next =
        ahead.wants_some() ? selected.mailbox->find(selected.view.uid_at(indexes[i])) : nullptr;
    if (next) {
      const MessageId message = next->message;
      const store::Structures::One* found = ahead.find(message);
      if (!found) {
        CO_TRY_STATUS(co_await ahead.read(coming(selected, std::span(indexes).subspan(i))));
        found = ahead.find(message);
      }
      if (found) kept = *found;
    }
    CO_TRY_STATUS(co_await fetch_one(session, args, plan, indexes[i], seen_now, kept, progress));
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
    co_await slice.spend();
  }
  CO_TRY_STATUS(co_await unsee_left_out(session, made_seen, progress));
  if (progress.failed) co_return std::unexpected(*std::move(progress.failed));
  // RFC 3501 §6.4.5: NO is "can't fetch that data". What came before it is good.
  if (progress.unreadable.any())
    co_return fail(Fault::storage, progress.unreadable.text("fetched"), {}, "UNAVAILABLE");
  if (progress.some_gone && !command.by_uid && !args.messages.saved) {
    tell_limit(session, lowest);
    co_return some_are_gone();
  }
  Reply reply{.text = command.by_uid ? "UID FETCH completed" : "FETCH completed", .code = {}};
  tell_limit(session, reply, lowest);
  co_return reply;
}

}  // namespace rims::imapd::commands
