// imapd/imap/session_news.cc - unsolicited data: what the store reports of the mailbox, and when
// the client gets it

#include <algorithm>
#include <span>
#include <utility>

#include "common/base/ascii.h"
#include "common/imap/response.h"
#include "imapd/imap/entries.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd {
namespace {

constexpr size_t kExpungesAtOnce = 4096;
// A session that has so many names of entries to tell is ended: nothing may be left out.
constexpr size_t kMostChangedEntries = 1000;

}  // namespace

void Session::tell_keywords() {
  const auto& keywords = selected_->mailbox->keywords().names();
  if (keywords.size() == selected_->told_keywords) return;
  selected_->told_keywords = keywords.size();
  append_flags_lines(out(), *selected_, account_->limits());
}

void Session::append_fetch_head(Uid uid) {
  const bool by_uid = enabled(Extension::uidonly);
  out() += "* ";
  imap::append_number(out(), by_uid ? uid.value : selected_->view.seq_of(uid).value);
  out() += by_uid ? " UIDFETCH (" : " FETCH (";
}

void Session::tell_flags(Uid uid, bool with_uid, Tell what) {
  const store::MessageEntry* message = selected_->mailbox->find(uid);
  if (!message) return;
  const bool condstore = enabled(Extension::condstore);
  append_fetch_head(uid);
  const bool names_uid = with_uid || condstore || enabled(Extension::imap4rev2);
  if (names_uid && !enabled(Extension::uidonly)) {
    out() += "UID ";
    imap::append_number(out(), uid.value);
    out() += ' ';
  }
  if (what == Tell::flags) {
    selected_->view.told_flags(uid);
    out() += "FLAGS ";
    append_message_flags(out(), *selected_, *message);
    if (condstore) out() += ' ';
  }
  if (condstore) {
    append_modseq(out(), message->modseq);
    sent_modseq(message->modseq);
  }
  out() += ")\r\n";
}

void Session::sent_modseq(ModSeq modseq) {
  selected_->sent_modseq = std::max(selected_->sent_modseq, modseq);
}

ModSeq Selected::safe_modseq() const {
  const auto untold = view.first_untold();
  return untold ? ModSeq(untold->value - 1) : highest_modseq(mailbox->info());
}

// What is to be said, unless a client that follows RFC 7162 §6 has it already.
std::optional<ModSeq> Session::modseq_to_tell(bool must) {
  if (!selected_ || (!must && !enabled(Extension::condstore))) return std::nullopt;
  const ModSeq safe = selected_->safe_modseq();
  const ModSeq now = std::max(selected_->known_modseq, selected_->sent_modseq);
  selected_->known_modseq = safe;
  selected_->sent_modseq = ModSeq();
  if (now == safe && !must) return std::nullopt;
  return safe;
}

void Session::tell_modseq(Result<Reply>& reply) {
  const auto modseq = modseq_to_tell(reply && reply->names_modseq);
  if (!modseq) return;
  if (reply && reply->code.empty())
    reply->code = highest_modseq_code(*modseq);
  else
    append_highest_modseq(out(), *modseq);
}

void Session::enable(Extension extension) {
  const bool knew = enabled(Extension::condstore);
  extensions_.add(extension);
  if (name_form() == imap::NameForm::utf8) reader_.accept_utf8();
  if (enabled(Extension::utf8_accept)) reader_.refuse_charset();
  if (knew || !enabled(Extension::condstore)) return;
  if (const auto modseq = modseq_to_tell(true)) append_highest_modseq(out(), *modseq);
}

Task<Status> Session::tell_news(bool expunges, bool with_uid) {
  if (!changed_entries_.empty()) {
    CO_TRY_STATUS(co_await tell_entries());
  }
  CO_TRY_STATUS(co_await tell_selected(Which::wanted, expunges, with_uid));
  co_return co_await tell_others();
}

// What the client has done itself is told in any case (RFC 3501 §5.2, §6.4.3), and as its numbers
// are told with it, so is what others have added or removed.
Task<Status> Session::tell_selected(Which which, bool expunges, bool with_uid) {
  const bool own = std::exchange(own_change_, false);
  if (!selected_ || !selected_->view.has_news()) co_return Status();
  const bool all = which == Which::all || !notifications_;
  const bool messages = all || own || notifications_->tells_messages();
  const bool flags = all || notifications_->tells_flags();
  if (messages && flags && expunges) others_change_ = false;
  View& view = selected_->view;
  TimeSlice slice(host_.loop());
  const auto how = enabled(Extension::qresync) || enabled(Extension::uidonly)
                       ? View::Expunges::as_uids
                       : View::Expunges::as_numbers;
  while (messages && expunges && !view.tell_expunges(out(), kExpungesAtOnce, how)) {
    CO_TRY_STATUS(co_await drain());
    co_await slice.spend();
  }
  if (messages && view.has_arrivals()) {
    claim_recent(view.first_arrival(), view.last_arrival());
    view.tell_arrivals(out());
    if (!enabled(Extension::imap4rev2)) view.tell_recent(out());
  }
  if (!stop_reason_) count_viewed(view.size() + view.arrivals());
  if (messages && notifications_) {
    CO_TRY_STATUS(co_await tell_arrived());
  }
  if (!flags) co_return Status();
  const std::vector<uint32_t> changed = view.take_changed();
  if (!changed.empty()) tell_keywords();
  for (const uint32_t uid : changed) {
    tell_flags(Uid(uid), with_uid || notifications_);
    if (drain_is_due()) {
      CO_TRY_STATUS(co_await drain());
    }
    if (slice.step()) co_await slice.spend();
  }
  co_return Status();
}

// What can not be read is logged by FETCH; the client may ask again.
Task<Status> Session::tell_arrived() {
  auto fetch = notifications_->take_fetch();
  if (!fetch) co_return Status();
  const auto sent = co_await commands::fetch(
      *this, imap::Command{.tag = {}, .by_uid = true, .args = *std::move(fetch)});
  if (!sent && (sent.error().fault() == Fault::peer_gone || sent.error().fault() == Fault::timeout))
    co_return std::unexpected(sent.error());
  co_return Status();
}

// One line for a mailbox, whatever has happened to its messages meanwhile.
Task<Status> Session::tell_others() {
  if (!notifications_ || !notifications_->has_untold()) co_return Status();
  const Notifications::Untold untold = notifications_->take();
  TimeSlice slice(host_.loop());
  for (const auto& [name, old_name] : untold.names) {
    const bool gone = account_->find(name) == nullptr;
    // Renamed, and removed then: both names are gone.
    if (gone && !old_name.empty() && !account_->find(old_name))
      append_list_response(*this, old_name, "");
    append_list_response(*this, name, gone ? std::string_view() : old_name);
    if (drain_is_due()) {
      CO_TRY_STATUS(co_await drain());
    }
    co_await slice.spend();
  }
  for (const MailboxId id : untold.changed) {
    const store::MailboxInfo* info = account_->find(id);
    if (info) append_status_news(*info, false);
    if (drain_is_due()) {
      CO_TRY_STATUS(co_await drain());
    }
    co_await slice.spend();
  }
  if (untold.overflow)
    imap::append_status(out(), "*", imap::Condition::ok, "NOTIFICATIONOVERFLOW",
                        "too much has changed; nothing is told from now on");
  co_return Status();
}

// RFC 5465 §5.1 to §5.3 together; `names_modseq`: also to a client without CONDSTORE (§3.1).
void Session::append_status_news(const store::MailboxInfo& info, bool names_modseq) {
  using Item = imap::StatusQuery::Item;
  if (info.noselect || (selected_ && selected_->id() == info.id)) return;
  uint16_t items = Item::messages | Item::uidnext | Item::uidvalidity | Item::unseen;
  if (names_modseq || enabled(Extension::condstore)) items |= Item::highestmodseq;
  append_status_response(out(), *this, info, items, {});
}

Task<Status> Session::tell_statuses() {
  std::vector<MailboxId> ids;
  for (const store::MailboxInfo* info : account_->mailboxes()) ids.push_back(info->id);
  TimeSlice slice(host_.loop());
  for (const MailboxId id : ids) {
    const store::MailboxInfo* info = account_->find(id);
    const auto& subscriptions = account_->subscriptions();
    if (info && notifications_->wants_messages(info->name, subscriptions))
      append_status_news(
          *info, notifications_->wants(info->name, subscriptions, imap::Notify::flag_change));
    if (drain_is_due()) {
      CO_TRY_STATUS(co_await drain());
    }
    co_await slice.spend();
  }
  co_return Status();
}

void Session::notify(std::unique_ptr<Notifications> wanted) {
  if (notifications_) wanted->take_over(*notifications_);
  notifications_ = std::move(wanted);
}

void Session::claim_recent(Uid first, Uid last) {
  // IMAP4rev2 has no \Recent: what came is left to the clients that know it.
  if (enabled(Extension::imap4rev2)) return;
  // EXAMINE shows what is recent, but leaves it recent for others (RFC 3501 §6.3.2).
  const Uid unclaimed = selected_->read_only ? selected_->mailbox->info().first_recent
                                             : account_->claim_recent(selected_->id());
  first = std::max(first, unclaimed);
  if (first <= last) selected_->view.add_recent(first, last);
}

// What the store reports is kept in the view or in notifications_; only IDLE and NOTIFY send it
// without being asked.
void Session::news(bool wanted, const void* origin) {
  (origin == this ? own_change_ : others_change_) = true;
  if (idling_ || (notifications_ && wanted)) wake_.poke();
}

// RFC 5465 §5: what the client has done itself need not be told.
void Session::news_elsewhere(MailboxId mailbox, uint16_t event, const void* origin) {
  if (!notifications_ || origin == this) return;
  const store::MailboxInfo* info = account_->find(mailbox);
  if (!info || !notifications_->wants(info->name, account_->subscriptions(), event)) return;
  notifications_->messages_changed(mailbox);
  wake_.poke();
}

void Session::appended(MailboxId mailbox, std::span<const Uid> uids, const void* origin) {
  if (!selected_ || selected_->id() != mailbox)
    return news_elsewhere(mailbox, imap::Notify::message_new, origin);
  selected_->view.arrived(uids, account_->modseq());
  if (!stop_reason_) {
    const size_t messages = selected_->view.size() + selected_->view.arrivals();
    const bool room = room_to_view(messages + saved_numbers()).has_value();
    count_viewed(room ? messages : 0);
    if (!room) stop("the sessions of this user have too large mailboxes open");
  }
  if (notifications_ && origin != this) notifications_->arrived(uids);
  news(notifications_ && notifications_->tells_messages(), origin);
}

void Session::flags_changed(MailboxId mailbox, std::span<const Uid> uids, ModSeq modseq,
                            const void* origin) {
  // Our own change is answered by the command that made it.
  if (origin == this) return;
  if (!selected_ || selected_->id() != mailbox)
    return news_elsewhere(mailbox, imap::Notify::flag_change, origin);
  selected_->view.flags_changed(uids, modseq);
  news(notifications_ && notifications_->tells_flags(), origin);
}

void Session::expunged(MailboxId mailbox, std::span<const Uid> uids, ModSeq modseq,
                       const void* origin) {
  if (!selected_ || selected_->id() != mailbox)
    return news_elsewhere(mailbox, imap::Notify::message_expunge, origin);
  selected_->view.expunged(uids, modseq);
  news(notifications_ && notifications_->tells_messages(), origin);
}

void Session::mailbox_changed(const store::Change& change, const void* origin) {
  if (change.kind == store::Change::Kind::special_use && tells_entries(change.mailbox))
    note_entries(change.mailbox, {kSpecialUseEntry});
  if (notifications_ && origin != this) {
    notifications_->mailbox_changed(change, account_->subscriptions());
    if (notifications_->has_untold()) wake_.poke();
  }
  if ((idling_ || notifications_) && selected_ && selected_->mailbox->deleted()) wake_.poke();
}

void Session::annotated(const store::Change& change, const void* origin) {
  // SETMETADATA is answered by its OK alone.
  if (origin == this) return;
  if (tells_entries(change.mailbox)) note_entries(change.mailbox, change.entries);
}

// After NOTIFY, what it has asked for alone (RFC 5465 §3.1).
bool Session::tells_entries(MailboxId mailbox) const {
  const bool server = mailbox.value == 0;
  if (!notifications_) return enabled(server ? Extension::metadata_server : Extension::metadata);
  if (server) return notifications_->wants_server_entries();
  const store::MailboxInfo* info = account_->find(mailbox);
  return info && notifications_->wants(info->name, account_->subscriptions(),
                                       imap::Notify::mailbox_metadata_change);
}

void Session::server_entries_changed(const std::vector<std::string>& names) {
  if (!post_only() && tells_entries(MailboxId())) note_entries(MailboxId(), names);
}

void Session::note_entries(MailboxId mailbox, const std::vector<std::string>& names) {
  if (stop_reason_) return;
  for (const std::string& name : names)
    changed_entry_count_ += changed_entries_[mailbox].insert(name).second ? 1 : 0;
  if (changed_entry_count_ > kMostChangedEntries) {
    changed_entries_.clear();
    stop("too many annotations have changed");
  }
  if (idling_ || notifications_) wake_.poke();
}

// "* METADATA mailbox entry ...": only names, no values.
Task<Status> Session::tell_entries() {
  changed_entry_count_ = 0;
  for (const auto& [id, names] : std::exchange(changed_entries_, {})) {
    const store::MailboxInfo* info = account_->find(id);
    if (id.value != 0 && !info) continue;  // gone meanwhile
    out() += "* METADATA ";
    imap::append_mailbox(out(), info ? std::string_view(info->name) : "", name_form());
    for (const std::string& name : names) {
      out() += ' ';
      imap::append_astring(out(), name);
    }
    out() += "\r\n";
    CO_TRY_STATUS(co_await drain());
  }
  co_return Status();
}

void Session::account_failed(const Error&) { wake_.poke(); }

Task<Result<Reply>> Session::idle() {
  using Event = imap::Reader::Event;
  imap::append_continuation(out(), "idling");
  reader_.expect_line();
  idling_ = true;
  Result<Reply> reply = fail(Fault::peer_gone, "closed");
  while (true) {
    if (lost()) break;
    if (const Status told = co_await tell_news(true, false); !told) break;
    if (const auto modseq = modseq_to_tell(false)) append_highest_modseq(out(), *modseq);
    std::string_view rest = connection_.input();
    const size_t before = rest.size();
    const Event event = reader_.next(rest);
    if (event == Event::line) {
      if (ascii::equal(reader_.line(), "DONE"))
        reply = Reply{.text = "IDLE completed", .code = {}};
      else
        reply = fail(Fault::syntax, "expected DONE");
      connection_.consume(before - rest.size());
      break;
    }
    connection_.consume(before - rest.size());
    if (event != Event::need_more) {
      bye("IDLE ends with DONE");
      break;
    }
    if (!out().empty()) last_told_ = Loop::now();
    if (const Status sent = co_await flush(); !sent) break;
    const bool woken = co_await wait_for_bytes();
    if (!woken) break;
  }
  idling_ = false;
  wake_.forget();
  co_return reply;
}

}  // namespace rims::imapd
