// imapd/imap/session.cc - the life of a session: login, the command loop, waiting, BYE

#include "imapd/imap/session.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <utility>

#include "common/base/log.h"
#include "common/imap/response.h"
#include "imapd/imap/render.h"

namespace rims::imapd {
namespace {

// A client that accepts no byte for this long is considered gone.
constexpr Milliseconds kWriteLimit{120'000};

}  // namespace

Session::Session(SessionHost& host, Client client)
    : host_(host),
      client_(std::move(client)),
      connection_(host.loop(), std::move(client_.socket), kWriteLimit),
      wake_(host.loop(), connection_.fd()),
      input_slice_(host.loop()),
      reader_(imap::limits_after_login(host.limits().line_bytes, host.limits().message_bytes,
                                       host.limits().annotation_bytes),
              imap::ParserLimits()) {
  const uint32_t most = host.limits().messages_per_command;
  const uint32_t most_saved = most != 0 ? most : host.limits().messages_per_save;
  if (most != 0) message_limit_ = most;
  if (most_saved != 0) save_limit_ = most_saved;
  if (!client_.unread.empty()) connection_.unread(client_.unread);
  std::string().swap(client_.unread);
}

Session::~Session() {
  // It was cut while it waited.
  if (running_)
    log::info(id(), "session of {} ended after {} commands, it was cut", log::quoted(user()),
              commands_);
  count_viewed(0);
  if (account_) account_->unlisten(this);
}

void Session::select(Selected mailbox) {
  unselect();
  selected_ = std::move(mailbox);
  count_viewed(selected_->view.size());
}

void Session::unselect() {
  if (notifications_) {
    notifications_->forget_arrivals();
    // From now on it is one of the others.
    if (selected_ && others_change_)
      news_elsewhere(selected_->id(), imap::Notify::message_new, nullptr);
  }
  own_change_ = others_change_ = false;
  selected_.reset();
  count_viewed(0);
}

Status Session::save_result(imap::NumberSet<Uid> found) {
  selected_->saved = {};
  const size_t counted = selected_->view.size() + selected_->view.arrivals();
  if (!room_to_view(counted + 2 * found.ranges().size())) {
    count_viewed(counted);
    return fail(Fault::limit, "the other sessions of this user hold too much", {}, "NOTSAVED");
  }
  selected_->saved = std::move(found);
  count_viewed(counted);
  return {};
}

Status Session::room_to_view(size_t messages) const {
  const uint64_t others = host_.viewed(user()) - viewed_;
  if (others == 0 || others + messages <= SessionHost::kMostViewed) return {};
  return fail(Fault::limit, "the other sessions of this user have too large mailboxes open", {},
              "LIMIT");
}

void Session::count_viewed(uint64_t messages) {
  const uint64_t now = messages == 0 ? 0 : messages + saved_numbers();
  host_.view(user(), static_cast<int64_t>(now - viewed_));
  viewed_ = now;
}

void Session::stop(std::string_view why) {
  stop_reason_ = why;
  wake_.poke();
}

HostedSession::Activity Session::activity() const {
  return {.mailbox = selected_ ? selected_->mailbox->info().name : std::string(),
          .client = client_name_,
          .last_input = last_input_};
}

Task<Status> Session::unauthenticate(std::string tag) {
  // rims-login does not compress.
  if (connection_.compressed())
    co_return fail(Fault::refused, "not while the connection is compressed", {}, "CANNOT");
  CO_TRY_STATUS(co_await flush());
  Fd socket(fcntl(connection_.fd(), F_DUPFD_CLOEXEC, 0));
  if (!socket) co_return fail_errno("fcntl(F_DUPFD_CLOEXEC)", errno);
  CO_TRY_STATUS(
      co_await host_.give_back(std::move(socket), client_, std::move(tag), connection_.input()));
  given_back_ = ended_ = true;
  co_return Status();
}

// ---------------------------------------------------------------- the life of a session

Task<void> Session::run() {
  running_ = true;
  const bool opened = co_await open();
  if (opened) co_await serve();
  const Status told = co_await flush();
  running_ = false;
  log::info(id(), "session of {} ended after {} commands{}{}", log::quoted(user()), commands_,
            given_back_ ? ", by UNAUTHENTICATE"
            : told      ? ""
                        : ", the client was gone",
            what_it_used());
}

// For those who look for a client that behaves oddly.
std::string Session::what_it_used() const {
  std::string text;
  const std::string& name = client_name();
  if (!name.empty()) text += ", client " + log::quoted(name);
  std::string used = extensions_.names();
  if (compressed()) used += used.empty() ? "COMPRESS" : " COMPRESS";
  if (!used.empty()) text += ", with " + used;
  return text;
}

Task<bool> Session::open() {
  if (const Status admitted = host_.admit(client_); !admitted) {
    answer(client_.tag, nullptr, std::unexpected(admitted.error()));
    bye("too many sessions");
    co_return false;
  }
  if (!post_only()) {
    Result<std::shared_ptr<store::Account>> opened = co_await host_.open_account(user());
    if (!opened) {
      answer(client_.tag, nullptr, std::unexpected(opened.error()));
      bye("the mailboxes cannot be opened now");
      co_return false;
    }
    account_ = std::move(*opened);
    account_->listen(this);
  }
  log::info(id(), "session of {} began, from {}{}{}", log::quoted(user()),
            client_.address.empty() ? "a local socket" : client_.address,
            client_.over_tls ? " over TLS" : "", post_only() ? ", to deliver only" : "");
  imap::append_status(out(), client_.tag, imap::Condition::ok, "CAPABILITY " + capabilities(),
                      "LOGIN completed");
  co_return true;
}

std::string Session::capabilities() const {
  return imap::capabilities({.logged_in = true,
                             .compressed = compressed(),
                             .post_only = post_only(),
                             .append_limit = append_limit(),
                             .message_limit = message_limit_,
                             .save_limit = save_limit_,
                             .disabled = host_.capabilities_disabled(),
                             .client = client_name()});
}

bool Session::announces(std::string_view capability) const {
  return !imap::is_disabled(host_.capabilities_disabled(), capability, client_name());
}

Task<void> Session::serve() {
  using Event = imap::Reader::Event;
  while (!ended_) {
    if (stopped()) co_return;
    std::string_view rest = connection_.input();
    const size_t before = rest.size();
    const Event event = reader_.next(rest);
    const size_t taken = before - rest.size();
    if (event == Event::command) {
      std::string tag(reader_.tag());
      Result<imap::Command> command = reader_.take();  // before its bytes are released
      connection_.consume(taken);
      if (!command) save_nothing(command.error());
      co_await execute(std::move(command), std::move(tag));
      continue;
    }
    connection_.consume(taken);
    switch (event) {
      case Event::go_ahead:
        out() += imap::Reader::go_ahead_line();
        break;
      case Event::refused:
        save_nothing(reader_.refusal());
        answer(reader_.refusal_tag(), nullptr, std::unexpected(reader_.refusal()));
        break;
      case Event::fatal:
        log::info(id(), "closing: {}", reader_.refusal().detail());
        bye(reader_.refusal().reply(), reader_.refusal().code());
        co_return;
      case Event::need_more: {
        if (notifications_ && reader_.idle()) {
          const Status told = co_await tell_news(!notifications_->delays_expunges(), true);
          if (!told) co_return;
          const auto modseq = out().empty() ? std::nullopt : modseq_to_tell(false);
          if (modseq) append_highest_modseq(out(), *modseq);
        }
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

// A SEARCH that was to save its result and gets NO saves that nothing was found; one that gets BAD
// changes nothing (RFC 5182 §2.1).
void Session::save_nothing(const Error& refused) {
  if (selected_ && refused.fault() != Fault::syntax && reader_.refused_saving())
    selected_->saved = {};
}

Task<bool> Session::wait_for_bytes() {
  if (connection_.has_more()) {
    co_await input_slice_.spend();
    co_return take_bytes();
  }
  connection_.rest();
  while (true) {
    // What we send in IDLE does not count, only what the client sends (RFC 3501 §5.4).
    const auto idle_for = std::chrono::duration_cast<Milliseconds>(Loop::now() - last_input_);
    Milliseconds left = host_.limits().inactivity - idle_for;
    const Milliseconds notify = host_.limits().idle_notify;
    const bool calm = idling_ && notify.count() > 0;
    const auto until_told = std::chrono::ceil<Milliseconds>(last_told_ + notify - Loop::now());
    const bool tell_first = calm && until_told < left;
    if (tell_first) left = until_told;
    const Woken why = co_await wake_.wait(std::max(left, Milliseconds(0)));
    if (why == Woken::timed_out && tell_first) {
      imap::append_untagged(out(), "OK Still here");
      co_return true;
    }
    if (why == Woken::timed_out) {
      bye("logged out for inactivity");
      co_return false;
    }
    if (why == Woken::readable) co_return take_bytes();
    if (stopped() || lost()) co_return false;
    if (idling_ || notifications_) co_return true;
  }
}

bool Session::take_bytes() {
  last_input_ = Loop::now();
  const Status filled = connection_.fill_now();
  if (filled) return true;
  if (filled.error().fault() == Fault::syntax) {
    log::info(id(), "closing: {}", filled.error().detail());
    bye(filled.error().reply());
  }
  ended_ = true;
  return false;
}

void Session::bye(std::string_view text, std::string_view code) {
  if (!said_bye_) imap::append_status(out(), "*", imap::Condition::bye, code, text);
  said_bye_ = true;
  ended_ = true;
}

bool Session::stopped() {
  if (stop_reason_) bye(*stop_reason_);
  return stop_reason_.has_value();
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

}  // namespace rims::imapd
