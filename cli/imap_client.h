// cli/imap_client.h - a small blocking IMAP client: log in, append, leave
//
//   RFC     3501; 7888 (LITERAL+, LITERAL-); 4959 (SASL-IR); 2195 (CRAM-MD5); 4616 (PLAIN)
//   Trust   the server is foreign: its lines and literals are limited, what is shown of them is
//           made printable. With TLS its certificate is verified against the system's CA
//           certificates or a file, and its name against the host that was asked for
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace rims::cli {

class ImapClient {
 public:
  struct Endpoint {
    std::string host = "localhost";
    std::string port = "143";  // number or name of a service
    bool tls = false;
    std::string ca_file;             // "" for the system's
    std::chrono::seconds limit{60};  // for each wait
    bool debug = false;              // show the conversation on standard error, without secrets
  };
  // The answer to a command: "OK", "NO", "BAD" (or "PREAUTH", "BYE" of a greeting) and the text
  // after it, without a response code in brackets.
  struct Answer {
    std::string name, text;
    [[nodiscard]] bool ok() const { return name == "OK" || name == "PREAUTH"; }
    [[nodiscard]] std::string str() const { return name + " " + text; }
  };

  static Result<ImapClient> connect(const Endpoint& endpoint);
  ImapClient(ImapClient&&) noexcept;
  ImapClient& operator=(ImapClient&&) noexcept;
  ~ImapClient();

  [[nodiscard]] const Answer& greeting() const;
  // As the server wrote it; asked for when it is not known.
  [[nodiscard]] Result<std::vector<std::string>> capability();
  // Error: refused, when the server says NO or BAD, with its answer as reply.
  [[nodiscard]] Result<Answer> login(const std::string& user, const Secret& password);
  [[nodiscard]] Result<Answer> authenticate_plain(const std::string& user, const Secret& password);
  [[nodiscard]] Result<Answer> authenticate_cram_md5(const std::string& user,
                                                     const Secret& password);
  // `mailbox` as the wire has it. `flags`: "\\Seen". `date_time`: in the form of RFC 3501, or "".
  [[nodiscard]] Result<Answer> append(std::string_view mailbox,
                                      const std::vector<std::string>& flags,
                                      std::string_view date_time, std::string_view message);
  void logout();

 private:
  struct Impl;
  explicit ImapClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A string as IMAP writes it: quoted, or "" when it needs a literal.
[[nodiscard]] std::string quoted(std::string_view text);

}  // namespace rims::cli
