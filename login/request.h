// login/request.h - what a client said, as the question that rims-auth is asked
//
// Whatever the client says, the message is within its bounds: what can not be a user's is cut or
// left out, and marked as impossible.
//
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/ipc/auth_link.h"

namespace rims::login {

// LOGIN (RFC 3501 §6.2.3).
[[nodiscard]] ipc::LoginRequest login_request(std::string_view user, std::string_view password);
// SASL PLAIN (RFC 4616 §2). Error: syntax, for the client.
[[nodiscard]] Result<ipc::LoginRequest> plain_request(std::string_view answer);
// CRAM-MD5 (RFC 2195 §2): the challenge, and the answer to it.
[[nodiscard]] std::string make_challenge(std::string_view random, int64_t now,
                                         std::string_view hostname);
[[nodiscard]] ipc::LoginRequest cram_request(std::string_view answer, std::string challenge);

// What the log and rims-imapd call a connection: the `number`th of this process.
[[nodiscard]] std::string session_id(uint32_t index, uint64_t number);

}  // namespace rims::login
