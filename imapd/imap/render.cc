// imapd/imap/render.cc - flags and errors as the client reads them

#include "imapd/imap/render.h"

#include <algorithm>
#include <array>
#include <span>

#include "common/imap/mailbox_name.h"
#include "common/imap/response.h"
#include "imapd/imap/session.h"

namespace rims::imapd {

static_assert(store::kSeen == static_cast<uint8_t>(imap::SystemFlag::seen) &&
                  store::kAnswered == static_cast<uint8_t>(imap::SystemFlag::answered) &&
                  store::kFlagged == static_cast<uint8_t>(imap::SystemFlag::flagged) &&
                  store::kDeleted == static_cast<uint8_t>(imap::SystemFlag::deleted) &&
                  store::kDraft == static_cast<uint8_t>(imap::SystemFlag::draft),
              "the store's flag bits are the grammar's");

void append_message_flags(std::string& out, const Selected& selected,
                          const store::MessageEntry& message) {
  std::array<std::string_view, store::kMaxKeywordsOfMessage> names;
  const auto& keywords = selected.mailbox->keywords();
  size_t count = 0;
  for (const store::KeywordIndex index : keywords.of(message.keywords)) {
    if (count < names.size()) names[count++] = keywords.names()[index];
  }
  uint8_t flags = message.flags;
  if (selected.view.is_recent(message.uid)) flags |= static_cast<uint8_t>(imap::SystemFlag::recent);
  imap::append_flags(out, flags, std::span(names.data(), count));
}

void append_flags_lines(std::string& out, const Selected& selected, const store::Limits& limits) {
  const auto& keywords = selected.mailbox->keywords().names();
  std::string list = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";
  for (const std::string& keyword : keywords) list += ' ' + keyword;
  out += "* FLAGS (" + list + ")\r\n* OK [PERMANENTFLAGS (";
  if (!selected.read_only) {
    out += list;
    if (keywords.size() < limits.keywords) out += " \\*";
  }
  out += selected.read_only ? ")] read-only\r\n" : ")] flags that stay\r\n";
}

std::string list_attributes(std::string_view name, const store::MailboxInfo* info,
                            bool has_children, bool subscribed) {
  std::string attributes;
  const auto add = [&attributes](std::string_view attribute) {
    if (attribute.empty()) return;
    if (!attributes.empty()) attributes += ' ';
    attributes += attribute;
  };
  if (!info) add("\\NonExistent");
  if (info && info->noselect) add("\\Noselect");
  const auto depth = static_cast<size_t>(std::ranges::count(name, '/')) + 1;
  if (depth >= imap::kMaxMailboxDepth) add("\\Noinferiors");
  add(has_children ? "\\HasChildren" : "\\HasNoChildren");
  if (subscribed) add("\\Subscribed");
  if (info) add(store::name(info->special_use));
  return attributes;
}

void append_list_response(Session& session, std::string_view name, std::string_view old_name) {
  const store::Account& account = session.account();
  std::string& out = session.out();
  out += "* LIST (";
  out += list_attributes(name, account.find(name), account.has_inferiors(name),
                         account.subscriptions().contains(name));
  out += ") \"/\" ";
  imap::append_mailbox(out, name, session.name_form());
  if (!old_name.empty()) {
    out += " (\"OLDNAME\" (";
    imap::append_mailbox(out, old_name, session.name_form());
    out += "))";
  }
  out += "\r\n";
}

ModSeq highest_modseq(const store::MailboxInfo& info) {
  return std::max(info.highest_modseq, ModSeq(1));
}

void append_modseq(std::string& out, ModSeq modseq) {
  out += "MODSEQ (";
  imap::append_number(out, modseq.value);
  out += ')';
}

std::string highest_modseq_code(ModSeq modseq) {
  std::string code = "HIGHESTMODSEQ ";
  imap::append_number(code, modseq.value);
  return code;
}

void append_highest_modseq(std::string& out, ModSeq modseq) {
  imap::append_status(out, "*", imap::Condition::ok, highest_modseq_code(modseq),
                      "changes up to here are told");
}

std::string mailbox_id_code(const std::string& id) { return "MAILBOXID (" + id + ')'; }

Task<Result<Deleted>> count_deleted(Session& session, MailboxId id, uint16_t items) {
  constexpr uint16_t kAsked = imap::StatusQuery::deleted | imap::StatusQuery::deleted_storage;
  constexpr size_t kPiece = 65'536;
  Deleted deleted;
  if ((items & kAsked) == 0) co_return deleted;
  CO_TRY(const auto mailbox, co_await session.account().open_mailbox(id));
  TimeSlice slice(session.host().loop());
  for (Uid from{1};;) {
    const auto all = mailbox->messages();
    const auto begin = std::ranges::lower_bound(all, from, {}, &store::MessageEntry::uid);
    const auto rest = all.subspan(static_cast<size_t>(begin - all.begin()));
    if (rest.empty()) co_return deleted;
    const auto piece = rest.first(std::min(kPiece, rest.size()));
    for (const store::MessageEntry& message : piece) {
      if ((message.flags & store::kDeleted) == 0) continue;
      deleted.messages++;
      deleted.bytes += message.size;
    }
    from = Uid(piece.back().uid.value + 1);
    co_await slice.spend();
  }
}

void warn_of_quota(Session& session) {
  const store::Usage used = session.account().usage(), most = session.account().limits().quota;
  const bool over = (most.bytes != 0 && used.bytes > most.bytes) ||
                    (most.messages != 0 && used.messages > most.messages) ||
                    (most.mailboxes != 0 && used.mailboxes > most.mailboxes);
  if (over && session.warns_of_quota())
    imap::append_status(session.out(), "*", imap::Condition::no, "OVERQUOTA",
                        "you have more than your quota allows");
}

// Counts are kept by the store, so a mailbox is not loaded for them.
void append_status_response(std::string& out, Session& session, const store::MailboxInfo& info,
                            uint16_t items, const Deleted& deleted) {
  uint64_t recent = info.recent;
  // What this session has claimed is recent for it alone (RFC 3501 §2.3.2).
  if (session.has_selected() && session.selected().id() == info.id && !session.selected().read_only)
    recent += session.selected().view.recent_count();
  const struct {
    imap::StatusQuery::Item item;
    std::string_view name;
    uint64_t value;
  } rows[] = {
      {imap::StatusQuery::messages, "MESSAGES", info.messages},
      {imap::StatusQuery::recent, "RECENT", recent},
      {imap::StatusQuery::uidnext, "UIDNEXT", info.uidnext.value},
      {imap::StatusQuery::uidvalidity, "UIDVALIDITY", info.uidvalidity.value},
      {imap::StatusQuery::unseen, "UNSEEN", info.unseen},
      {imap::StatusQuery::highestmodseq, "HIGHESTMODSEQ", highest_modseq(info).value},
      {imap::StatusQuery::size, "SIZE", info.bytes},
      {imap::StatusQuery::append_limit, "APPENDLIMIT", session.append_limit()},
      {imap::StatusQuery::deleted, "DELETED", deleted.messages},
      {imap::StatusQuery::deleted_storage, "DELETED-STORAGE", deleted.bytes},
  };
  out += "* STATUS ";
  imap::append_mailbox(out, info.name, session.name_form());
  char before = '(';
  out += ' ';
  for (const auto& row : rows) {
    if ((items & row.item) == 0) continue;
    out += before;
    before = ' ';
    out += row.name;
    out += ' ';
    imap::append_number(out, row.value);
  }
  if ((items & imap::StatusQuery::mailbox_id) != 0) {
    out += before;
    before = ' ';
    out += mailbox_id_code(session.account().object_id(info.id));
  }
  if (before == '(') out += '(';
  out += ")\r\n";
}

std::unexpected<Error> no_such_mailbox() {
  return fail(Fault::not_found, "no such mailbox", {}, "NONEXISTENT");
}

std::unexpected<Error> try_create() {
  return fail(Fault::not_found, "no such mailbox", {}, "TRYCREATE");
}

std::unexpected<Error> some_are_gone() {
  return fail(Fault::not_found, "some of the messages were expunged by another session", {},
              "EXPUNGEISSUED");
}

}  // namespace rims::imapd
