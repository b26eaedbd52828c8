// tests/imapd/stage.cc - sockets and lines

#include "tests/imapd/stage.h"

#include <cctype>
#include <sys/socket.h>
#include <utility>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/ipc/sealed.h"
#include "imapd/worker/accounts.h"
#include "tests/imapd/script.h"

namespace rims::test {

Task<void> TestClient::send(std::string bytes) {
  connection_->put(bytes);
  [[maybe_unused]] const Status sent = co_await connection_->flush();
}

Task<void> TestClient::send_slowly(std::string bytes) {
  for (const char byte : bytes) {
    connection_->put({&byte, 1});
    [[maybe_unused]] const Status sent = co_await connection_->flush();
    co_await sleep_for(connection_->loop(), Milliseconds(0));
  }
}

Task<Status> TestClient::fill() {
  const size_t before = connection_->input().size();
  while (connection_->input().size() == before) {
    if (!connection_->has_more()) {
      const bool ready = co_await readable(connection_->loop(), connection_->fd(), kPatience);
      if (!ready) co_return fail(Fault::timeout, "timeout");
    }
    CO_TRY_STATUS(connection_->fill_now());
  }
  co_return Status();
}

Task<bool> TestClient::compress() {
  const auto lines = co_await command("deflate", "COMPRESS DEFLATE");
  if (!lines.back().starts_with("deflate OK")) co_return false;
  compress_now();
  co_return true;
}

Task<void> TestClient::send_as_it_is(std::string bytes) {
  for (std::string_view rest = bytes; !rest.empty();) {
    const ssize_t sent = ::send(connection_->fd(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent > 0)
      rest.remove_prefix(static_cast<size_t>(sent));
    else [[maybe_unused]]
      const bool ready = co_await writable(connection_->loop(), connection_->fd(), kPatience);
  }
}

void TestClient::finish() { ::shutdown(connection_->fd(), SHUT_WR); }

Task<std::optional<std::string>> TestClient::line() {
  std::string whole;
  while (true) {
    const std::string_view in = connection_->input();
    const size_t end = in.find("\r\n");
    if (end == std::string_view::npos) {
      const Status more = co_await fill();
      if (!more) co_return std::nullopt;
      continue;
    }
    const std::string text(in.substr(0, end));
    connection_->consume(end + 2);
    whole += escape(text);
    const size_t brace = text.rfind('{');
    if (brace == std::string::npos || text.back() != '}' || brace + 2 > text.size() - 1)
      co_return whole;
    const std::string digits = text.substr(brace + 1, text.size() - brace - 2);
    if (digits.find_first_not_of("0123456789") != std::string::npos) co_return whole;
    size_t left = std::stoul(digits);
    whole += "\\r\\n";
    while (left > 0) {
      if (connection_->input().empty()) {
        const Status more = co_await fill();
        if (!more) co_return std::nullopt;
      }
      const std::string piece(connection_->input().substr(0, left));
      whole += escape(piece);
      left -= piece.size();
      connection_->consume(piece.size());
    }
  }
}

Task<std::vector<std::string>> TestClient::command(std::string tag, std::string text) {
  co_await send(tag + " " + text + "\r\n");
  std::vector<std::string> lines;
  while (true) {
    const std::optional<std::string> next = co_await line();
    lines.push_back(next.value_or("(closed)"));
    if (!next || next->starts_with(tag + " ")) co_return lines;
  }
}

Stage::Stage() {
  crypto_init();
  settings.inactivity_timeout_s = 1800;
  settings.message_size_max = 64 << 20;
  settings.line_size_max = 64 * 1024;
  settings.mailbox_count_max = 1000;
  settings.mailbox_messages_max = 1'000'000;
  settings.account_messages_max = 1'000'000;
  settings.keyword_count_max = 1000;
  settings.mime_depth_max = 100;
  settings.mime_part_max = 10'000;
  settings.sessions_per_user_max = 50;
  settings.metadata_value_max = 64 * 1024;
  settings.metadata_entries_max = 100;
  settings.metadata_total_max = 1 << 20;
  settings.server_entries.value.push_back({.name = "/shared/comment", .value = "a note"});
  settings.server_entries.value.push_back(
      {.name = "/shared/vendor/deltachat/maxsmtprecipients", .value = "50"});
}

Stage::~Stage() {
  if (worker) run(loop, stop());
}

void Stage::start() {
  store::Options options;
  options.limits.mailboxes = settings.mailbox_count_max;
  options.limits.mailbox_messages = settings.mailbox_messages_max;
  options.limits.account_messages = settings.account_messages_max;
  options.limits.keywords = settings.keyword_count_max;
  options.limits.annotation_bytes = settings.metadata_value_max;
  options.limits.annotations = settings.metadata_entries_max;
  options.limits.annotations_bytes = settings.metadata_total_max;
  options.limits.quota = imapd::quota_of(settings);
  options.journals = &journals;
  options.key_values = &key_values;
  options.disk = disk;
  store.emplace(loop, pool, std::move(options));
  worker.emplace(loop, pool, *store, settings, protocol);
}

Task<void> Stage::stop() {
  co_await worker->stop();
  worker.reset();
  store.reset();
}

std::unique_ptr<TestClient> Stage::connect(std::string user, bool post_only, std::string unread) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
  worker->start_session({.socket = Fd(fds[0]),
                         .user = std::move(user),
                         .post_only = post_only,
                         .tag = "login",
                         .unread = std::move(unread),
                         .address = "127.0.0.1",
                         .over_tls = false,
                         .id = "s1"});
  return std::make_unique<TestClient>(loop, Fd(fds[1]));
}

Task<std::unique_ptr<TestClient>> Stage::log_in(std::string user, bool post_only) {
  auto client = connect(std::move(user), post_only);
  const auto answer = co_await client->line();
  if (!answer || !answer->starts_with("login OK [CAPABILITY IMAP4rev1 ")) std::abort();
  co_return client;
}

Task<ipc::DeliverReply> Stage::deliver(std::string user, std::string mailbox, std::string bytes) {
  ipc::Deliver order;
  order.request = 1;
  order.user = user;
  order.mailbox = mailbox;
  order.sender = "sender@example.org";
  order.internal_date = 1704103200;
  Fd message = std::move(*ipc::sealed_copy(bytes, "message"));
  co_return co_await worker->deliver(std::move(order), std::move(message));
}

std::string standard_message(int number) {
  return fmt::format(
      "From: Sender {0} <sender{0}@example.org>\r\nTo: foo@example.org\r\nSubject: message {0}\r\n"
      "Date: Mon, {0} Jan 2024 10:00:00 +0000\r\nMessage-ID: <{0}@example.org>\r\n\r\n"
      "This is body {0}.\r\n",
      number);
}

std::string standard_date(int number) {
  return fmt::format("{:2}-Jan-2024 10:00:00 +0000", (number - 1) % 28 + 1);
}

}  // namespace rims::test
