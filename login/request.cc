// login/request.cc - questions to rims-auth

#include "login/request.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "common/base/encoding.h"

namespace rims::login {
namespace {

// Puts them into the request as far as they fit.
void put_names(ipc::LoginRequest& request, std::string_view user, std::string_view authzid = {}) {
  request.user = user.substr(0, ipc::kMaxUserName);
  request.authzid = authzid.substr(0, ipc::kMaxUserName);
  if (std::max(user.size(), authzid.size()) > ipc::kMaxUserName) request.impossible = true;
}

void put_password(ipc::LoginRequest& request, std::string_view password) {
  if (password.size() <= ipc::kMaxPassword)
    request.password.value = Secret(password);
  else
    request.impossible = true;
}

}  // namespace

ipc::LoginRequest login_request(std::string_view user, std::string_view password) {
  ipc::LoginRequest request;
  request.mechanism = ipc::Mechanism::login;
  put_names(request, user);
  put_password(request, password);
  return request;
}

Result<ipc::LoginRequest> plain_request(std::string_view answer) {
  // [authzid] NUL authcid NUL passwd
  const size_t first = answer.find('\0');
  const size_t second = first == answer.npos ? answer.npos : answer.find('\0', first + 1);
  if (second == answer.npos || answer.find('\0', second + 1) != answer.npos)
    return fail(Fault::syntax, "expected authzid NUL authcid NUL password");
  ipc::LoginRequest request;
  request.mechanism = ipc::Mechanism::plain;
  put_names(request, answer.substr(first + 1, second - first - 1), answer.substr(0, first));
  put_password(request, answer.substr(second + 1));
  return request;
}

std::string make_challenge(std::string_view random, int64_t now, std::string_view hostname) {
  return fmt::format("<{}.{}@{}>", to_hex(random), now, hostname);
}

ipc::LoginRequest cram_request(std::string_view answer, std::string challenge) {
  // The user's name may hold spaces, the digest none.
  const size_t space = answer.rfind(' ');
  const std::string_view digest = answer.substr(space == answer.npos ? 0 : space + 1);
  ipc::LoginRequest request;
  request.mechanism = ipc::Mechanism::cram_md5;
  put_names(request, answer.substr(0, space == answer.npos ? 0 : space));
  request.digest = digest.substr(0, ipc::kDigestSize);
  if (digest.size() != ipc::kDigestSize) request.impossible = true;
  request.challenge = std::move(challenge);
  return request;
}

std::string session_id(uint32_t index, uint64_t number) {
  return fmt::format("s{}.{}", index, number);
}

}  // namespace rims::login
