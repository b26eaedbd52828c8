// login/dialogue.h - a client's conversation from the greeting to its login
//
//   RFC     3501 §6.1, §6.2; 2595 and 3501 §6.2.1 STARTTLS; 4616 PLAIN; 2195 CRAM-MD5;
//           4959 SASL-IR; 2971 ID; 5530 response codes; 8437 UNAUTHENTICATE
//   Trust   every byte is an attacker's, also after TLS
//   Limits  time, bytes, commands, bad commands and failed attempts before login, each below;
//           an unfinished command holds what imap::limits_before_login() says
//   STARTTLS  plaintext that came along with it ends the connection; nothing that was said or
//           counted before it is kept after it
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "common/base/fd.h"
#include "common/base/secret.h"
#include "common/config/parts.h"
#include "common/imap/reader.h"
#include "common/imap/response.h"
#include "common/ipc/auth_link.h"
#include "login/channel.h"

namespace rims::login {

// The settings of one start or reload; shared by the clients that connected under them.
struct Settings {
  config::LoginPart part;
  std::optional<tls::Context> tls;
  std::vector<std::string> capabilities_disabled;
  // The error is the certificate's or the key's.
  [[nodiscard]] static Result<std::shared_ptr<const Settings>> make(config::LoginPart part);
};

struct Peer {
  std::string address;  // numeric
  bool loopback = false;
  std::string session;  // id for the log
};

// The inner end of a socket pair, and which the worker's end is: the number of its inode.
struct Inside {
  Fd fd;
  uint64_t outer = 0;
};

// What a dialogue needs of its process.
class Backend {
 public:
  virtual ~Backend() = default;
  // Error: the reply and code for a tagged NO.
  // peer_gone: the client of the channel has left, and nobody waits for the answer.
  virtual Task<Result<ipc::LoginReply>> ask(Channel& channel, ipc::LoginRequest request) = 0;
  // Gives the client to its worker. With TLS, the result is the inner end of a socket pair, to
  // carry bytes for; without TLS the socket itself was passed, and the result is empty. Error as
  // above; the client is still ours. `client`: what it called itself by ID, or "".
  virtual Task<Result<Inside>> hand_over(Channel& channel, const Peer& peer,
                                         ipc::LoginReply granted, std::string tag,
                                         std::string client) = 0;
};

class Dialogue {
 public:
  // Honest clients need some hundred, and up to 64 KiB for ID.
  static constexpr size_t kMaxBytes = size_t{128} * 1024;
  static constexpr unsigned kMaxCommands = 50, kMaxBad = 10;

  // All references outlive the dialogue. `deadline`: of the whole dialogue.
  Dialogue(Channel& channel, Backend& backend, std::shared_ptr<const Settings> settings,
           const Peer& peer, std::chrono::steady_clock::time_point deadline);

  enum class End : unsigned char { closed, handed_over };
  struct Outcome {
    End end = End::closed;
    Inside inside;    // handed over with TLS; else empty
    std::string why;  // closed: for the log
  };
  // Greets the client, or, if it was logged in before, answers its UNAUTHENTICATE of this tag.
  Task<Outcome> run(std::string unauthenticated = {});
  // What the client called itself by ID, or "".
  [[nodiscard]] const std::string& client() const { return client_; }
  // When it last sent something.
  [[nodiscard]] std::chrono::steady_clock::time_point last_input() const { return last_input_; }

 private:
  using Event = imap::Reader::Event;
  enum class Next : unsigned char { go_on, close, done };

  [[nodiscard]] Milliseconds left() const;
  [[nodiscard]] bool password_allowed() const;
  [[nodiscard]] std::string capabilities() const;
  void status(std::string_view tag, imap::Condition condition, std::string_view code,
              std::string_view text);
  // The next thing from the client. Error: it is gone, too slow or sent too much.
  Task<Result<Event>> next();
  // Removes the input that the last event used.
  void settle();

  Task<Next> command();
  Task<Next> handle(imap::Command command);
  Task<Next> starttls(std::string tag);
  Task<Next> authenticate(std::string tag, imap::Authenticate args);
  // The client's answer to "+ challenge", decoded. nullopt: an error, which was answered already.
  Task<Result<std::optional<Secret>>> sasl_answer(const std::string& tag, std::string challenge);
  std::optional<Secret> decode(const std::string& tag, std::string_view base64);
  Task<Next> attempt(std::string tag, ipc::LoginRequest request);
  Task<Next> refuse_attempt(std::string tag, Milliseconds hold);
  Next bad(std::string_view tag, const Error& error);
  Next bye(std::string_view text, std::string why);

  Channel& channel_;
  Backend& backend_;
  const std::shared_ptr<const Settings> settings_;
  const Peer& peer_;
  const std::chrono::steady_clock::time_point deadline_;
  imap::Reader reader_;
  size_t offered_ = 0;  // bytes of the input that the last event used
  size_t bytes_ = 0;
  unsigned commands_ = 0, bad_ = 0, failures_ = 0;
  Inside inside_;
  std::string why_, client_;
  std::chrono::steady_clock::time_point last_input_ = Loop::now();
};

}  // namespace rims::login
