// cli/imap_client.cc - lines and literals over a socket, with or without TLS

#include "cli/imap_client.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/base/ascii.h"
#include "common/base/encoding.h"
#include "common/base/errno_text.h"
#include "common/base/fd.h"
#include "common/base/log.h"

namespace rims::cli {
namespace {

constexpr size_t kMaxLine = 64 * 1024;  // of a response, with its literals
constexpr size_t kMaxShown = 300;       // bytes of a server's text in our messages
constexpr size_t kLiteralMinus = 4096;  // RFC 7888 §5

std::unexpected<Error> gone(std::string text) { return fail(Fault::peer_gone, std::move(text)); }

std::string tls_error() {
  char text[256] = "";
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  return text;
}

using SslContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using SslSession = std::unique_ptr<SSL, decltype(&SSL_free)>;

// "NAME text", "NAME [CODE ...] text"
ImapClient::Answer split_answer(std::string_view rest) {
  ImapClient::Answer answer;
  const size_t space = rest.find(' ');
  answer.name = ascii::upper(rest.substr(0, space));
  rest = space == std::string_view::npos ? "" : rest.substr(space + 1);
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  }
  answer.text = log::printable(rest, kMaxShown);
  return answer;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t space = text.find(' ');
    if (space != 0) out.emplace_back(text.substr(0, space));
    if (space == std::string_view::npos) break;
    text.remove_prefix(space + 1);
  }
  return out;
}

// The size of a literal that a line announces at its end.
std::optional<size_t> literal_at_end(std::string_view line) {
  if (!line.ends_with('}')) return std::nullopt;
  const size_t open = line.rfind('{');
  if (open == std::string_view::npos) return std::nullopt;
  const std::string_view digits = line.substr(open + 1, line.size() - open - 2);
  size_t size = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return size;
}

}  // namespace

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) return {};
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

struct ImapClient::Impl {
  Endpoint endpoint;
  Fd socket;
  SslContext context{nullptr, SSL_CTX_free};
  SslSession tls{nullptr, SSL_free};
  std::string input;
  Answer greeting;
  std::vector<std::string> capability;
  unsigned tag = 0;

  // Bytes ------------------------------------------------------------------------------------

  Status wait(short what) {
    pollfd p{.fd = socket.get(), .events = what, .revents = 0};
    const auto limit = static_cast<int>(endpoint.limit.count() * 1000);
    int n = 0;
    do n = poll(&p, 1, limit);
    while (n < 0 && errno == EINTR);
    if (n > 0) return {};
    if (n == 0) return fail(Fault::timeout, "the server does not answer");
    return gone(errno_text(errno));
  }
  // Waits until the socket can be read or written, as TLS needs it. An error when the session has
  // ended.
  Status wait_for_tls(int result, const char* what) {
    switch (SSL_get_error(tls.get(), result)) {
      case SSL_ERROR_WANT_READ:
        return wait(POLLIN);
      case SSL_ERROR_WANT_WRITE:
        return wait(POLLOUT);
      case SSL_ERROR_ZERO_RETURN:
        return gone("the server closed the connection");
      default:
        break;
    }
    const long verified = SSL_get_verify_result(tls.get());
    if (verified != X509_V_OK)
      return gone(std::string(what) + ": " + X509_verify_cert_error_string(verified));
    return gone(std::string(what) + ": " + tls_error());
  }

  Status send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      if (tls) {
        const int n = SSL_write(tls.get(), bytes.data(),
                                static_cast<int>(std::min<size_t>(bytes.size(), 1 << 20)));
        if (n > 0) {
          bytes.remove_prefix(static_cast<size_t>(n));
        } else {
          TRY_STATUS(wait_for_tls(n, "TLS"));
        }
        continue;
      }
      const ssize_t n = send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n >= 0) {
        bytes.remove_prefix(static_cast<size_t>(n));
      } else if (errno == EAGAIN) {
        TRY_STATUS(wait(POLLOUT));
      } else if (errno != EINTR) {
        return gone(std::string("sending: ") + errno_text(errno));
      }
    }
    return {};
  }

  Status fill() {
    char buffer[16 * 1024];
    while (true) {
      if (tls) {
        const int n = SSL_read(tls.get(), buffer, sizeof buffer);
        if (n > 0) {
          input.append(buffer, static_cast<size_t>(n));
          return {};
        }
        TRY_STATUS(wait_for_tls(n, "TLS"));
        continue;
      }
      const ssize_t n = recv(socket.get(), buffer, sizeof buffer, 0);
      if (n > 0) {
        input.append(buffer, static_cast<size_t>(n));
        return {};
      }
      if (n == 0) return gone("the server closed the connection");
      if (errno == EAGAIN) {
        TRY_STATUS(wait(POLLIN));
      } else if (errno != EINTR) {
        return gone(std::string("receiving: ") + errno_text(errno));
      }
    }
  }

  // Lines ------------------------------------------------------------------------------------

  void show(const char* direction, std::string_view text) const {
    if (!endpoint.debug) return;
    const std::string line = log::printable(text, 500);
    std::fprintf(stderr, "%s %s\n", direction, line.c_str());
  }

  // A whole response, its literals inside it, without the last CRLF.
  Result<std::string> response() {
    std::string whole;
    while (true) {
      size_t end = 0;
      while ((end = input.find('\n')) == std::string::npos) {
        if (input.size() > kMaxLine) return gone("the server sent a line that is too long");
        TRY_STATUS(fill());
      }
      std::string_view line = std::string_view(input).substr(0, end);
      if (line.ends_with('\r')) line.remove_suffix(1);
      show("S:", line);
      whole += line;
      input.erase(0, end + 1);
      if (whole.size() > kMaxLine) return gone("the server sent a line that is too long");
      const auto literal = literal_at_end(whole);
      if (!literal) return whole;
      if (*literal > kMaxLine) return gone("the server sent a literal that is too large");
      while (input.size() < *literal) {
        TRY_STATUS(fill());
      }
      whole += input.substr(0, *literal);
      input.erase(0, *literal);
    }
  }

  void untagged(std::string_view line) {
    if (line.starts_with("* ")) line.remove_prefix(2);
    if (line.starts_with("CAPABILITY ")) capability = words(line.substr(11));
    // OK [CAPABILITY ...] text
    const size_t code = line.find("[CAPABILITY ");
    if (code != std::string_view::npos && line.starts_with("OK ")) {
      line.remove_prefix(code + 12);
      capability = words(line.substr(0, line.find(']')));
    }
  }

  // Reads until the answer of `mine`, or a line that asks to go on ("+ text"), when one is
  // expected; then the name is "+".
  Result<Answer> answer_of(const std::string& mine, bool may_continue) {
    while (true) {
      TRY(const std::string line, response());
      if (line.starts_with(mine + " ")) {
        const std::string_view rest = std::string_view(line).substr(mine.size() + 1);
        untagged(rest);
        return split_answer(rest);
      }
      if (line.starts_with("* BYE"))
        return gone("the server ends the session: " +
                    split_answer(std::string_view(line).substr(2)).text);
      if (line.starts_with("* ")) {
        untagged(line);
      } else if (line.starts_with('+')) {
        if (!may_continue) return gone("the server asks for something that was not announced");
        std::string_view text = line;
        text.remove_prefix(std::min<size_t>(2, text.size()));
        return Answer{"+", std::string(text)};
      } else {
        return gone("the server sent something that is not IMAP");
      }
    }
  }

  std::string next_tag() { return "A" + std::to_string(++tag); }
  [[nodiscard]] bool can(std::string_view what) const {
    return std::ranges::any_of(capability,
                               [&](const auto& have) { return ascii::equal(have, what); });
  }

  static Result<Answer> must_be_ok(Result<Answer> answer) {
    if (answer && !answer->ok()) return fail(Fault::refused, answer->str());
    return answer;
  }

  // A command in pieces: each of `literals` follows the text of the same place. `shown` replaces
  // the whole command in the trace.
  struct Piece {
    std::string text;
    std::string_view literal;
    bool has_literal = false;
  };
  Result<Answer> command(const std::vector<Piece>& pieces, std::string_view shown) {
    const std::string mine = next_tag();
    show("C:", mine + " " + std::string(shown));
    TRY_STATUS(send_all(mine + " "));
    for (const Piece& piece : pieces) {
      TRY_STATUS(send_all(piece.text));
      if (!piece.has_literal) continue;
      const bool at_once =
          can("LITERAL+") || (can("LITERAL-") && piece.literal.size() <= kLiteralMinus);
      TRY_STATUS(
          send_all("{" + std::to_string(piece.literal.size()) + (at_once ? "+" : "") + "}\r\n"));
      if (!at_once) {
        TRY(Answer go_on, answer_of(mine, true));
        if (go_on.name != "+") return must_be_ok(std::move(go_on));
      }
      TRY_STATUS(send_all(piece.literal));
    }
    TRY_STATUS(send_all("\r\n"));
    return must_be_ok(answer_of(mine, false));
  }

  static Piece string_piece(std::string before, std::string_view text) {
    const std::string q = quoted(text);
    if (!q.empty()) return {before + q, {}, false};
    return {std::move(before), text, true};
  }

  Status open_socket() {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    const int rc = getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &found);
    if (rc != 0) return gone(endpoint.host + ":" + endpoint.port + ": " + gai_strerror(rc));
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);
    std::string why = "no address";
    for (const addrinfo* a = list.get(); a; a = a->ai_next) {
      socket =
          Fd(::socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol));
      if (!socket) continue;
      if (connect_to(*a, why)) return {};
    }
    return gone("can not connect to " + endpoint.host + ":" + endpoint.port + ": " + why);
  }
  bool connect_to(const addrinfo& a, std::string& why) {
    if (::connect(socket.get(), a.ai_addr, a.ai_addrlen) < 0) {
      if (errno != EINPROGRESS) {
        why = errno_text(errno);
        return false;
      }
      if (const Status ready = wait(POLLOUT); !ready) {
        why = ready.error().reply();
        return false;
      }
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) {
        why = errno_text(error);
        return false;
      }
    }
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return true;
  }

  Status start_tls_session() {
    context.reset(SSL_CTX_new(TLS_client_method()));
    if (!context) return gone("TLS: " + tls_error());
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE);
    const int trusted =
        endpoint.ca_file.empty()
            ? SSL_CTX_set_default_verify_paths(context.get())
            : SSL_CTX_load_verify_locations(context.get(), endpoint.ca_file.c_str(), nullptr);
    if (trusted != 1) return gone("TLS: CA certificates: " + tls_error());
    tls.reset(SSL_new(context.get()));
    if (!tls) return gone("TLS: " + tls_error());
    X509_VERIFY_PARAM* param = SSL_get0_param(tls.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(param, endpoint.host.c_str()) != 1) {
      SSL_set1_host(tls.get(), endpoint.host.c_str());
      SSL_set_tlsext_host_name(tls.get(), endpoint.host.c_str());
    }
    SSL_set_fd(tls.get(), socket.get());
    int rc = 0;
    while ((rc = SSL_connect(tls.get())) != 1) {
      TRY_STATUS(wait_for_tls(rc, "TLS"));
    }
    return {};
  }
};

ImapClient::ImapClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ImapClient::ImapClient(ImapClient&&) noexcept = default;
ImapClient& ImapClient::operator=(ImapClient&&) noexcept = default;
ImapClient::~ImapClient() = default;

Result<ImapClient> ImapClient::connect(const Endpoint& endpoint) {
  auto impl = std::make_unique<Impl>();
  impl->endpoint = endpoint;
  TRY_STATUS(impl->open_socket());
  if (endpoint.tls) {
    TRY_STATUS(impl->start_tls_session());
  }
  TRY(const std::string line, impl->response());
  if (!line.starts_with("* ")) return gone("this is not an IMAP server");
  impl->untagged(line);
  impl->greeting = split_answer(std::string_view(line).substr(2));
  if (!impl->greeting.ok()) return gone("the server refuses: " + impl->greeting.str());
  return ImapClient(std::move(impl));
}

const ImapClient::Answer& ImapClient::greeting() const { return impl_->greeting; }

Result<std::vector<std::string>> ImapClient::capability() {
  if (impl_->capability.empty()) {
    TRY_STATUS(impl_->command({{"CAPABILITY", {}, false}}, "CAPABILITY"));
  }
  return impl_->capability;
}

Result<ImapClient::Answer> ImapClient::login(const std::string& user, const Secret& password) {
  TRY_STATUS(capability());   // for literals
  impl_->capability.clear();  // it changes with the login
  std::vector<Impl::Piece> pieces{Impl::string_piece("LOGIN ", user),
                                  Impl::string_piece(" ", password.reveal())};
  auto answer = impl_->command(pieces, "LOGIN (name and password)");
  for (Impl::Piece& piece : pieces) wipe(piece.text);
  return answer;
}

Result<ImapClient::Answer> ImapClient::authenticate_plain(const std::string& user,
                                                          const Secret& password) {
  TRY_STATUS(capability());
  const bool initial = impl_->can("SASL-IR");
  impl_->capability.clear();
  std::string plain = '\0' + user + '\0';
  plain += password.reveal();
  std::string encoded = to_base64(plain);
  wipe(plain);
  const std::string mine = impl_->next_tag();
  impl_->show("C:", mine + " AUTHENTICATE PLAIN (name and password)");
  std::string text = mine + " AUTHENTICATE PLAIN" + (initial ? " " + encoded : "") + "\r\n";
  Status sent = impl_->send_all(text);
  wipe(text);
  auto answer = sent ? impl_->answer_of(mine, !initial) : std::unexpected(sent.error());
  if (answer && answer->name == "+") {
    encoded += "\r\n";
    sent = impl_->send_all(encoded);
    answer = sent ? impl_->answer_of(mine, false) : std::unexpected(sent.error());
  }
  wipe(encoded);
  return Impl::must_be_ok(std::move(answer));
}

Result<ImapClient::Answer> ImapClient::authenticate_cram_md5(const std::string& user,
                                                             const Secret& password) {
  impl_->capability.clear();
  const std::string mine = impl_->next_tag();
  impl_->show("C:", mine + " AUTHENTICATE CRAM-MD5");
  TRY_STATUS(impl_->send_all(mine + " AUTHENTICATE CRAM-MD5\r\n"));
  TRY(Answer asked, impl_->answer_of(mine, true));
  if (asked.name != "+") return Impl::must_be_ok(std::move(asked));
  const auto challenge = from_base64(asked.text);
  if (!challenge) return gone("the server's challenge is not base64");
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const std::string_view key = password.reveal();
  if (!HMAC(EVP_md5(), key.data(), static_cast<int>(key.size()),
            // OpenSSL takes bytes as unsigned char.
            reinterpret_cast<const unsigned char*>(challenge->data()), challenge->size(), digest,
            &size))
    return gone("CRAM-MD5: " + tls_error());
  const std::string_view raw(reinterpret_cast<const char*>(digest), size);
  TRY_STATUS(impl_->send_all(to_base64(user + " " + to_hex(raw)) + "\r\n"));
  return Impl::must_be_ok(impl_->answer_of(mine, false));
}

Result<ImapClient::Answer> ImapClient::append(std::string_view mailbox,
                                              const std::vector<std::string>& flags,
                                              std::string_view date_time,
                                              std::string_view message) {
  TRY_STATUS(capability());
  std::string after = " ";
  if (!flags.empty()) {
    after += "(";
    for (const std::string& flag : flags) after += (after.ends_with('(') ? "" : " ") + flag;
    after += ") ";
  }
  if (!date_time.empty()) after.append("\"").append(date_time).append("\" ");
  return impl_->command({Impl::string_piece("APPEND ", mailbox), {after, message, true}},
                        "APPEND (" + std::to_string(message.size()) + " bytes)");
}

void ImapClient::logout() {
  const std::string mine = impl_->next_tag();
  impl_->show("C:", mine + " LOGOUT");
  // Whether the server still answers does not matter any more.
  if (!impl_->send_all(mine + " LOGOUT\r\n")) return;
  while (true) {
    const auto line = impl_->response();
    if (!line || line->starts_with(mine)) return;
  }
}

}  // namespace rims::cli
