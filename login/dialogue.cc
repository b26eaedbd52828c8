// login/dialogue.cc - the not-authenticated state

#include "login/dialogue.h"

#include <algorithm>
#include <ctime>

#include <fmt/core.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "common/imap/capabilities.h"
#include "common/ipc/admin_link.h"
#include "common/tls/from_config.h"
#include "login/request.h"

namespace rims::login {
namespace {

using imap::Condition;

imap::ParserLimits parser_limits() {
  imap::ParserLimits limits;
  limits.before_login = true;
  return limits;
}

}  // namespace

Result<std::shared_ptr<const Settings>> Settings::make(config::LoginPart part) {
  auto settings = std::make_shared<Settings>();
  if (!part.certificates.value.empty()) {
    TRY(auto context, tls::context_of(part));
    settings->tls = std::move(context);
    part.certificates.value.clear();
  }
  settings->capabilities_disabled = config::texts(part.capabilities_disabled);
  settings->part = std::move(part);
  return std::shared_ptr<const Settings>(std::move(settings));
}

Dialogue::Dialogue(Channel& channel, Backend& backend, std::shared_ptr<const Settings> settings,
                   const Peer& peer, std::chrono::steady_clock::time_point deadline)
    : channel_(channel),
      backend_(backend),
      settings_(std::move(settings)),
      peer_(peer),
      deadline_(deadline),
      reader_(imap::limits_before_login(), parser_limits()) {}

Milliseconds Dialogue::left() const {
  return std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(deadline_ - Loop::now()));
}

bool Dialogue::password_allowed() const {
  if (channel_.over_tls()) return true;
  switch (settings_->part.plaintext) {
    case config::Plaintext::always:
      return true;
    case config::Plaintext::loopback:
      return peer_.loopback;
    case config::Plaintext::never:
      return false;
  }
  return false;
}

std::string Dialogue::capabilities() const {
  return imap::capabilities({.tls_active = channel_.over_tls(),
                             .tls_offered = settings_->tls.has_value(),
                             .plaintext = password_allowed(),
                             .cram_md5 = settings_->part.cram_md5,
                             .disabled = settings_->capabilities_disabled,
                             .client = client_});
}

void Dialogue::status(std::string_view tag, Condition condition, std::string_view code,
                      std::string_view text) {
  std::string line;
  imap::append_status(line, tag, condition, code, text);
  channel_.put(line);
}

Dialogue::Next Dialogue::bye(std::string_view text, std::string why) {
  status("*", Condition::bye, "", text);
  why_ = std::move(why);
  return Next::close;
}

// For an error of the client that is not a failed login: some are allowed, as a person may be
// typing.
Dialogue::Next Dialogue::bad(std::string_view tag, const Error& error) {
  std::string line;
  imap::append_error(line, tag, error);
  channel_.put(line);
  if (++bad_ < kMaxBad) return Next::go_on;
  return bye("too many bad commands", "too many bad commands");
}

void Dialogue::settle() {
  channel_.consume(offered_);
  offered_ = 0;
}

Task<Result<Dialogue::Event>> Dialogue::next() {
  while (true) {
    settle();
    std::string_view rest = channel_.input();
    const size_t before = rest.size();
    const Event event = reader_.next(rest);
    offered_ = before - rest.size();
    if (event == Event::go_ahead) channel_.put(imap::Reader::go_ahead_line());
    if (event != Event::need_more && event != Event::go_ahead) co_return event;
    settle();
    CO_TRY_STATUS(co_await channel_.flush());
    if (event == Event::go_ahead) continue;
    if (bytes_ >= kMaxBytes)
      co_return fail(Fault::limit, "too much input before login", "too much input before login");
    CO_TRY_STATUS(co_await channel_.fill(left(), 4096));
    bytes_ += channel_.input().size();
    last_input_ = Loop::now();
  }
}

Task<Dialogue::Outcome> Dialogue::run(std::string unauthenticated) {
  if (unauthenticated.empty())
    status("*", Condition::ok, "CAPABILITY " + capabilities(),
           fmt::format("RIMS v{} IMAP4rev1 service ready.", program_version()));
  else
    status(unauthenticated, Condition::ok, "CAPABILITY " + capabilities(),
           "UNAUTHENTICATE completed");
  Next next = Next::go_on;
  while (next == Next::go_on) next = co_await command();
  if (next == Next::done) co_return Outcome{End::handed_over, std::move(inside_), {}};
  settle();
  channel_.close_notify();
  (void)co_await channel_.flush();
  co_return Outcome{End::closed, {}, why_};
}

Task<Dialogue::Next> Dialogue::command() {
  const auto event = co_await next();
  if (!event) {
    if (event.error().fault() == Fault::limit)
      co_return bye(event.error().reply(), event.error().detail());
    if (event.error().fault() == Fault::timeout) co_return bye("login took too long", "timeout");
    why_ = event.error().detail();
    co_return Next::close;
  }
  if (++commands_ > kMaxCommands)
    co_return bye("too many commands before login", "too many commands before login");
  switch (*event) {
    case Event::command: {
      const std::string tag(reader_.tag());
      auto parsed = reader_.take();
      settle();
      if (parsed) co_return co_await handle(std::move(*parsed));
      // Refused here means a command of a later state (RFC 3501 §3.1).
      co_return bad(tag, parsed.error());
    }
    case Event::refused:
      co_return bad(reader_.refusal_tag(), reader_.refusal());
    default:
      co_return bye(reader_.refusal().reply(), reader_.refusal().detail());
  }
}

Task<Dialogue::Next> Dialogue::handle(imap::Command command) {
  const std::string& tag = command.tag;
  if (std::holds_alternative<imap::Capability>(command.args)) {
    std::string line;
    imap::append_untagged(line, "CAPABILITY " + capabilities());
    channel_.put(line);
    status(tag, Condition::ok, "", "CAPABILITY completed");
    co_return Next::go_on;
  }
  if (std::holds_alternative<imap::Noop>(command.args)) {
    status(tag, Condition::ok, "", "NOOP completed");
    co_return Next::go_on;
  }
  if (const auto* id = std::get_if<imap::Id>(&command.args)) {  // RFC 2971 §3.2
    client_ = imap::client_name(*id).substr(0, ipc::kMaxClientName);
    std::string line;
    imap::append_untagged(line, "ID (\"name\" \"RIMS\")");
    channel_.put(line);
    status(tag, Condition::ok, "", "ID completed");
    co_return Next::go_on;
  }
  if (std::holds_alternative<imap::Logout>(command.args)) {
    (void)bye("see you", "logout");
    status(tag, Condition::ok, "", "LOGOUT completed");
    co_return Next::close;
  }
  if (std::holds_alternative<imap::Starttls>(command.args))
    co_return co_await starttls(command.tag);
  if (auto* args = std::get_if<imap::Authenticate>(&command.args))
    co_return co_await authenticate(command.tag, std::move(*args));
  if (auto* args = std::get_if<imap::Login>(&command.args)) {
    if (!password_allowed()) {  // RFC 3501 §6.2.3, RFC 5530 §3
      status(tag, Condition::no, "PRIVACYREQUIRED", "LOGIN is disabled without TLS");
      co_return Next::go_on;
    }
    auto request = login_request(args->user, args->password.reveal());
    args->password.wipe();
    co_return co_await attempt(command.tag, std::move(request));
  }
  co_return bad(tag, Error(Fault::refused, "log in first"));
}

// RFC 3501 §6.2.1. Bytes after the command were not sent by a client that waits for TLS, but
// perhaps by an attacker on the network, whose command would run as if it had been sent inside TLS.
Task<Dialogue::Next> Dialogue::starttls(std::string tag) {
  if (channel_.over_tls() || !settings_->tls)
    co_return bad(tag, Error(Fault::syntax,
                             channel_.over_tls() ? "TLS is active already" : "TLS is not offered"));
  if (!channel_.input().empty()) {
    log::warn(peer_.session, "plaintext came along with STARTTLS from {}: connection ended",
              peer_.address);
    why_ = "plaintext behind STARTTLS";
    co_return Next::close;
  }
  status(tag, Condition::ok, "", "begin TLS now");
  const auto flushed = co_await channel_.flush();
  const Status secured = flushed ? co_await channel_.start_tls(*settings_->tls, left()) : flushed;
  if (!secured) {
    why_ = secured.error().detail();
    co_return Next::close;
  }
  reader_.reset();
  bytes_ = 0;
  commands_ = bad_ = failures_ = 0;
  client_.clear();
  co_return Next::go_on;
}

std::optional<Secret> Dialogue::decode(const std::string& tag, std::string_view base64) {
  auto bytes = from_base64(base64);
  if (!bytes) {
    (void)bad(tag, Error(Fault::syntax, "expected base64"));
    return std::nullopt;
  }
  Secret secret(*bytes);
  wipe(*bytes);
  return secret;
}

Task<Result<std::optional<Secret>>> Dialogue::sasl_answer(const std::string& tag,
                                                          std::string challenge) {
  std::string line;
  imap::append_continuation(line, challenge);
  channel_.put(line);
  reader_.expect_line();
  CO_TRY(const Event event, co_await next());
  if (event != Event::line) {
    const Error why = reader_.refusal();
    (void)bad(tag, why);
    if (event == Event::fatal) co_return std::unexpected(why);
    co_return std::optional<Secret>();
  }
  if (reader_.line() == "*") {  // RFC 3501 §6.2.2
    settle();
    (void)bad(tag, Error(Fault::syntax, "authentication cancelled"));
    co_return std::optional<Secret>();
  }
  auto secret = decode(tag, reader_.line());
  settle();
  co_return secret;
}

Task<Dialogue::Next> Dialogue::authenticate(std::string tag, imap::Authenticate args) {
  const bool plain = args.mechanism == "PLAIN";
  const bool cram = args.mechanism == "CRAM-MD5" && settings_->part.cram_md5;
  if (!plain && !cram) {
    status(tag, Condition::no, "", "this mechanism is not offered");
    co_return Next::go_on;
  }
  if (plain && !password_allowed()) {
    status(tag, Condition::no, "PRIVACYREQUIRED", "PLAIN is disabled without TLS");
    co_return Next::go_on;
  }
  // RFC 4959 §3: CRAM-MD5 begins with the server, so nothing can be said first.
  if (cram && args.response) co_return bad(tag, Error(Fault::syntax, "the challenge comes first"));

  std::string challenge;
  if (cram)  // random, so never the same twice
    challenge = make_challenge(random_bytes(ipc::kChallengeRandom), std::time(nullptr),
                               settings_->part.hostname.value);
  std::optional<Secret> answer;
  if (args.response) {
    answer = decode(tag, args.response->reveal());
  } else {
    auto got = co_await sasl_answer(tag, to_base64(challenge));
    if (!got) {
      if (got.error().fault() == Fault::timeout) co_return bye("login took too long", "timeout");
      why_ = got.error().detail();
      co_return Next::close;
    }
    answer = std::move(*got);
  }
  if (!answer) {
    if (bad_ >= kMaxBad) co_return Next::close;
    co_return Next::go_on;
  }

  auto request =
      cram ? cram_request(answer->reveal(), std::move(challenge)) : plain_request(answer->reveal());
  answer->wipe();
  if (!request) co_return bad(tag, request.error());
  co_return co_await attempt(std::move(tag), *std::move(request));
}

Task<Dialogue::Next> Dialogue::refuse_attempt(std::string tag, Milliseconds hold) {
  co_await sleep_for(channel_.loop(), std::min(hold, left()));
  status(tag, Condition::no, "AUTHENTICATIONFAILED", "authentication failed");
  if (++failures_ < settings_->part.login_attempts_max) co_return Next::go_on;
  co_return bye("too many failed attempts", "too many failed attempts");
}

Task<Dialogue::Next> Dialogue::attempt(std::string tag, ipc::LoginRequest request) {
  request.client_address = peer_.address;
  request.over_tls = channel_.over_tls();
  auto reply = co_await backend_.ask(channel_, std::move(request));
  if (reply && reply->verdict == ipc::Verdict::denied)
    co_return co_await refuse_attempt(std::move(tag), Milliseconds(reply->delay_ms));
  if (reply && reply->verdict == ipc::Verdict::granted) {
    // Earlier answers must be sent before the worker writes to the client.
    const auto flushed = co_await channel_.flush();
    if (!flushed) {
      why_ = flushed.error().detail();
      co_return Next::close;
    }
    auto given = co_await backend_.hand_over(channel_, peer_, std::move(*reply), tag, client_);
    if (given) {
      inside_ = std::move(*given);
      co_return Next::done;
    }
    log::warn(peer_.session, "no hand-over: {}", given.error().detail());
  } else if (!reply && reply.error().fault() == Fault::peer_gone && reply.error().code().empty()) {
    why_ = reply.error().detail();
    co_return Next::close;
  } else if (reply) {
    co_await sleep_for(channel_.loop(), std::min(Milliseconds(reply->delay_ms), left()));
  } else {
    log::warn(peer_.session, "no login: {}", reply.error().detail());
  }
  status(tag, Condition::no, "UNAVAILABLE", "try again later");
  co_return Next::go_on;
}

}  // namespace rims::login
