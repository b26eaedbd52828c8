// imapd/session.cc - the command loop, unsolicited data, IDLE

#include "imapd/session.h"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/imap/response.h"
#include "imapd/render.h"
#include "imapd/worker.h"

namespace rims::imapd {
namespace {

// A client that takes no byte for so long is gone.
constexpr Milliseconds kWriteLimit{120'000};
// Output is handed to the stream in pieces of about this size.
constexpr size_t kPiece = 32 * 1024;
// A client that never says anything sensible is no mail client.
constexpr unsigned kMaxBadInARow = 20;

}  // namespace

Session::Session(Worker& worker, Client client)
    : worker_(worker),
      client_(std::move(client)),
      stream_(worker.loop(), std::move(client_.socket), kWriteLimit),
      wake_(worker.loop(), stream_.fd()),
      reader_(imap::limits_after_login(worker.settings().line_size_max,
                                       worker.settings().message_size_max),
              imap::ParserLimits()) {
  if (!client_.unread.empty()) stream_.unread(client_.unread);
  std::string().swap(client_.unread);
  worker_.entered(this, client_.user);
}

Session::~Session() {
  if (account_) account_->unlisten(this);
  worker_.left(this, client_.user);
}

void Session::stop() { wake_.poke(); }

// ---------------------------------------------------------------- the life of a session

Task<void> Session::run() {
  const bool opened = co_await open();
  if (opened) co_await serve();
  const Status told = co_await flush();
  log::info(id(), "session of {} ended after {} commands{}", user(), commands_,
            told ? "" : ", the client was gone");
}

Task<bool> Session::open() {
  const uint32_t limit = worker_.settings().sessions_per_user_max;
  if (!post_only() && limit != 0 && worker_.sessions_of(user()) > limit) {
    log::warn(id(), "{} has {} sessions already; this one is refused", user(), limit);
    imap::append_error(out_, client_.tag,
                       Error(Fault::limit, "too many sessions of this user", {}, "LIMIT"));
    bye("too many sessions");
    co_return false;
  }
  if (!post_only()) {
    Result<std::shared_ptr<store::Account>> opened = co_await worker_.store().open(user());
    if (!opened) {
      answer(client_.tag, nullptr, std::unexpected(opened.error()));
      bye("the mailboxes cannot be opened now");
      co_return false;
    }
    account_ = std::move(*opened);
    account_->listen(this);
  }
  log::info(id(), "session of {} began, from {}{}{}", user(),
            client_.address.empty() ? "a local socket" : client_.address,
            client_.over_tls ? " over TLS" : "", post_only() ? ", to deliver only" : "");
  imap::append_status(out_, client_.tag, imap::Condition::ok, "CAPABILITY " + capabilities(),
                      "logged in");
  co_return true;
}

std::string Session::capabilities() const {
  std::string text = imap::capabilities({.logged_in = true, .tls_active = client_.over_tls});
  if (post_only()) text += " X-RIMS-MAIL-DELIVERY-USER";
  return text;
}

Task<void> Session::serve() {
  using Event = imap::Reader::Event;
  while (!ended_) {
    if (worker_.stopping()) {
      bye("the server is shutting down");
      co_return;
    }
    std::string_view rest = stream_.input();
    const size_t before = rest.size();
    const Event event = reader_.next(rest);
    const size_t taken = before - rest.size();
    if (event == Event::command) {
      std::string tag(reader_.tag());
      Result<imap::Command> command = reader_.take();  // before its bytes go away
      stream_.consume(taken);
      co_await execute(std::move(command), std::move(tag));
      continue;
    }
    stream_.consume(taken);
    switch (event) {
      case Event::go_ahead:
        out_ += imap::Reader::go_ahead_line();
        break;
      case Event::refused:
        answer(reader_.refusal_tag(), nullptr, std::unexpected(reader_.refusal()));
        break;
      case Event::fatal:
        log::info(id(), "closing: {}", reader_.refusal().detail());
        bye(reader_.refusal().reply());
        co_return;
      case Event::need_more: {
        const Status sent = co_await flush();
        if (!sent) co_return;
        const bool more = co_await wait_for_bytes();
        if (!more) co_return;
        break;
      }
      case Event::command:
      case Event::line:
        break;
    }
  }
}

Task<bool> Session::wait_for_bytes() {
  while (true) {
    // News in IDLE does not count: only the client shows that it is there (RFC 3501 §5.4).
    const auto idle_for = std::chrono::duration_cast<Milliseconds>(Loop::now() - last_input_);
    const Milliseconds left = worker_.inactivity_limit() - idle_for;
    const Woken why = co_await wake_.wait(std::max(left, Milliseconds(0)));
    if (why == Woken::timed_out) {
      bye("logged out for inactivity");
      co_return false;
    }
    if (why == Woken::readable) {
      last_input_ = Loop::now();
      const Status filled = stream_.fill_now();
      if (!filled) ended_ = true;
      co_return filled.has_value();
    }
    if (worker_.stopping()) {
      bye("the server is shutting down");
      co_return false;
    }
    if (lost()) co_return false;
    if (idling_) co_return true;
  }
}

void Session::bye(std::string_view text, std::string_view code) {
  if (!said_bye_) imap::append_status(out_, "*", imap::Condition::bye, code, text);
  said_bye_ = true;
  ended_ = true;
}

bool Session::lost() {
  if (account_ && account_->given_away())
    bye("the mailboxes are being maintained; log in again later", "UNAVAILABLE");
  else if (account_ && account_->failed())
    bye("the mailboxes are closed after a failure; log in again");
  else if (selected_ && selected_->mailbox->deleted())
    bye("the selected mailbox was deleted");
  return said_bye_;
}

// ---------------------------------------------------------------- one command

Task<void> Session::execute(Result<imap::Command> command, std::string tag) {
  commands_++;
  if (!command) {
    answer(tag, nullptr, std::unexpected(command.error()));
    co_return;
  }
  const CommandRow& row = row_of(*command);
  const bool by_uid = command->by_uid;
  const bool expunges = may_tell_expunges(row, *command);
  log::debug(id(), "{} {}", tag, imap::name(*command));
  Result<Reply> reply = co_await perform(row, std::move(*command));
  if (!said_bye_ && !(selected_ && selected_->mailbox->deleted())) {
    const Status told = co_await tell_news(expunges, by_uid);
    if (!told) reply = std::unexpected(told.error());
  }
  answer(tag, &row, reply);
  if (!said_bye_ && lost()) co_return;
  const Status passed = co_await drain();
  if (!passed) ended_ = true;
}

Task<Result<Reply>> Session::perform(const CommandRow& row, imap::Command command) {
  if (row.needs == Needs::logged_out) co_return fail(Fault::syntax, "already logged in");
  if (!row.run) co_return fail(Fault::syntax, "unknown command");
  if (post_only() && !row.post_only)
    co_return fail(Fault::refused, "the delivery user may only APPEND", {}, "NOPERM");
  if (selected_ && selected_->mailbox->deleted()) {
    lost();
    co_return fail(Fault::not_found, "the selected mailbox was deleted", {}, "NONEXISTENT");
  }
  if (row.needs == Needs::selected && !selected_)
    co_return fail(Fault::syntax, "no mailbox is selected");
  if (row.changes_messages && selected_->read_only)
    co_return fail(Fault::refused, "the mailbox is open read-only", {}, "NOPERM");
  co_return co_await row.run(*this, std::move(command));
}

void Session::answer(std::string_view tag, const CommandRow* row, const Result<Reply>& reply) {
  if (reply) {
    bad_in_a_row_ = 0;
    imap::append_status(out_, tag, imap::Condition::ok, reply->code, reply->text);
    return;
  }
  const Error& error = reply.error();
  const std::string_view command = row ? row->name : "input";
  std::string code = error.code();
  std::string text = error.reply();
  switch (error.fault()) {
    case Fault::peer_gone:
      ended_ = true;
      return;
    case Fault::storage:
      log::error(id(), "{}: {}", command, error.detail());
      if (code.empty()) code = "UNAVAILABLE";
      break;
    case Fault::bug:
      log::error(id(), "{}: {}", command, error.detail());
      code = "SERVERBUG";
      text = "internal error, see the log";
      break;
    case Fault::syntax:
    case Fault::refused:
    case Fault::not_found:
    case Fault::limit:
      log::debug(id(), "{}: {}", command, error.detail());
      break;
  }
  const bool bad = error.fault() == Fault::syntax;
  imap::append_status(out_, tag, bad ? imap::Condition::bad : imap::Condition::no, code, text);
  bad_in_a_row_ = bad ? bad_in_a_row_ + 1 : 0;
  if (bad_in_a_row_ >= kMaxBadInARow) bye("too many bad commands");
}

Result<std::vector<uint32_t>> Session::resolve(const imap::SequenceSet& set, bool by_uid) {
  const View& view = selected_->view;
  const auto count = static_cast<uint32_t>(view.size());
  std::vector<uint32_t> indexes;
  if (by_uid) {
    const Uid largest = count == 0 ? Uid(0) : view.uid_at(count - 1);
    for (const auto& range : imap::resolve(set, largest).ranges()) {
      size_t index = view.lower_bound(range.first);
      for (; index < count && view.uid_at(index) <= range.last; index++)
        indexes.push_back(static_cast<uint32_t>(index));
    }
    return indexes;
  }
  if (!imap::within(set, SeqNum(count))) return fail(Fault::syntax, "no message has that number");
  for (const auto& range : imap::resolve(set, SeqNum(count)).ranges())
    for (uint32_t number = range.first.value; number <= range.last.value; number++)
      indexes.push_back(number - 1);
  return indexes;
}

// ---------------------------------------------------------------- output

Task<Status> Session::drain() {
  if (out_.size() < kPiece) co_return Status();
  stream_.put(out_);
  out_.clear();
  co_return co_await stream_.drain();
}

Task<Status> Session::flush() {
  if (!out_.empty()) stream_.put(out_);
  // An idle session holds no buffer.
  std::string().swap(out_);
  co_return co_await stream_.flush();
}

Task<Status> Session::pass(std::string bytes) {
  passed_++;
  stream_.put(out_);
  out_.clear();
  stream_.put(bytes);
  co_return co_await stream_.drain();
}

// ---------------------------------------------------------------- news

void Session::tell_keywords() {
  const auto& keywords = selected_->mailbox->keywords();
  if (keywords.size() == selected_->told_keywords) return;
  selected_->told_keywords = keywords.size();
  append_flags_lines(out_, *selected_);
}

void Session::tell_flags(Uid uid, bool with_uid) {
  const store::MessageEntry* message = selected_->mailbox->find(uid);
  if (!message) return;
  selected_->view.told_flags(uid);
  out_ += "* ";
  imap::append_number(out_, selected_->view.seq_of(uid).value);
  out_ += " FETCH (";
  if (with_uid) {
    out_ += "UID ";
    imap::append_number(out_, uid.value);
    out_ += ' ';
  }
  out_ += "FLAGS ";
  append_message_flags(out_, *selected_, *message);
  out_ += ")\r\n";
}

Task<Status> Session::tell_news(bool expunges, bool with_uid) {
  if (!selected_ || !selected_->view.has_news()) co_return Status();
  View& view = selected_->view;
  if (expunges) view.tell_expunges(out_);
  if (view.has_arrivals()) {
    claim_recent(view.first_arrival(), view.last_arrival());
    view.tell_arrivals(out_);
  }
  const std::vector<uint32_t> changed = view.take_changed();
  if (!changed.empty()) tell_keywords();
  for (const uint32_t uid : changed) {
    tell_flags(Uid(uid), with_uid);
    if (drain_is_due()) {
      CO_TRY_STATUS(co_await drain());
    }
  }
  co_return Status();
}

void Session::claim_recent(Uid first, Uid last) {
  // EXAMINE shows what is recent, and leaves it so for others (RFC 3501 §6.3.2).
  const Uid unclaimed = selected_->read_only ? selected_->mailbox->info().first_recent
                                             : account_->claim_recent(selected_->id());
  first = std::max(first, unclaimed);
  if (first <= last) selected_->view.add_recent(first, last);
}

bool Session::drain_is_due() const { return out_.size() >= kPiece; }

// What the listener hears is kept in the view; only IDLE tells it at once.
void Session::news() {
  if (idling_) wake_.poke();
}

void Session::appended(MailboxId mailbox, std::span<const Uid> uids, const void*) {
  if (!selected_ || selected_->id() != mailbox) return;
  for (const Uid uid : uids) selected_->view.arrived(uid);
  news();
}

void Session::flags_changed(MailboxId mailbox, std::span<const Uid> uids, ModSeq,
                            const void* origin) {
  // Our own change is answered by the command that made it.
  if (origin == this || !selected_ || selected_->id() != mailbox) return;
  for (const Uid uid : uids) selected_->view.flags_changed(uid);
  news();
}

void Session::expunged(MailboxId mailbox, std::span<const Uid> uids, ModSeq, const void*) {
  if (!selected_ || selected_->id() != mailbox) return;
  for (const Uid uid : uids) selected_->view.expunged(uid);
  news();
}

void Session::mailboxes_changed() {
  if (selected_ && selected_->mailbox->deleted()) news();
}

void Session::account_failed(const Error&) { wake_.poke(); }

Task<Result<Reply>> Session::idle() {
  using Event = imap::Reader::Event;
  imap::append_continuation(out_, "idling");
  reader_.expect_line();
  idling_ = true;
  Result<Reply> reply = fail(Fault::peer_gone, "closed");
  while (true) {
    if (lost()) break;
    if (const Status told = co_await tell_news(true, false); !told) break;
    std::string_view rest = stream_.input();
    const size_t before = rest.size();
    const Event event = reader_.next(rest);
    if (event == Event::line) {
      if (ascii::equal(reader_.line(), "DONE"))
        reply = Reply{.text = "IDLE done", .code = {}};
      else
        reply = fail(Fault::syntax, "expected DONE");
      stream_.consume(before - rest.size());
      break;
    }
    stream_.consume(before - rest.size());
    if (event != Event::need_more) {
      bye("IDLE ends with DONE");
      break;
    }
    if (const Status sent = co_await flush(); !sent) break;
    const bool woken = co_await wait_for_bytes();
    if (!woken) break;
  }
  idling_ = false;
  wake_.forget();
  co_return reply;
}

}  // namespace rims::imapd
