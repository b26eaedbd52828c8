// common/base/result.h - how a failure is told: who is at fault, what the client may read,
// what only the log may read
//
//   Result<T>  a value or an Error; [[nodiscard]] everywhere
//   Status     Result<void>
//   TRY        binds a value or returns the error (ordinary functions)
//   CO_TRY     the same for coroutines
//
// Exactly one place per program (the command loop, the link dispatcher) turns an Error into a
// reply and logs `detail`. Exceptions do not cross our interfaces.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace rims {

// Who or what is at fault. It decides the shape of the answer (IMAP: syntax is BAD, all else NO).
enum class Fault : unsigned char {
  syntax,     // the peer's bytes do not follow the grammar
  refused,    // understood, and not allowed here or now
  not_found,  // the thing named does not exist
  limit,      // a limit of ours was reached
  peer_gone,  // the other side closed
  timeout,    // the other side did not do its part in time
  storage,    // the disk or the data on it; always temporary for the client
  bug,        // ours; the client is told "internal error"
};

// Small to return, rich to print. `reply` may be shown to the client, `detail` only to the log.
// `code` is an RFC 5530 response code without brackets ("TRYCREATE"), or empty.
class [[nodiscard]] Error {
 public:
  Error(Fault fault, std::string reply, std::string detail = {}, std::string code = {},
        int system = 0)
      : body_(std::make_unique<Body>(
            Body{fault, std::move(reply), std::move(detail), std::move(code), system})) {}
  Error(const Error& other) : body_(std::make_unique<Body>(*other.body_)) {}
  Error& operator=(const Error& other) {
    if (this != &other) body_ = std::make_unique<Body>(*other.body_);
    return *this;
  }
  Error(Error&&) noexcept = default;
  Error& operator=(Error&&) noexcept = default;
  ~Error() = default;

  [[nodiscard]] Fault fault() const { return body_->fault; }
  [[nodiscard]] const std::string& reply() const { return body_->reply; }
  // Falls back to the reply, so that a log line is never empty.
  [[nodiscard]] const std::string& detail() const {
    return body_->detail.empty() ? body_->reply : body_->detail;
  }
  [[nodiscard]] const std::string& code() const { return body_->code; }
  // The error number of the system call that has failed; 0: it was none.
  [[nodiscard]] int system() const { return body_->system; }

 private:
  struct Body {
    Fault fault;
    std::string reply, detail, code;
    int system = 0;
  };
  std::unique_ptr<Body> body_;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(Fault fault, std::string reply, std::string detail = {},
                                   std::string code = {}) {
  return std::unexpected(Error(fault, std::move(reply), std::move(detail), std::move(code)));
}

// For a failed system call: the client reads "temporary failure", the log reads what and why.
// `what` names the call and its object ("open /srv/mail/x"); what to do about it is added. The
// code is OVERQUOTA for a disk quota, LIMIT for open files, else UNAVAILABLE.
std::unexpected<Error> fail_errno(std::string_view what, int error_number);

// A broken invariant, a failed privilege drop, an impossible start: logs and ends the process
// with status 70 (EX_SOFTWARE). Never for something a peer, a client or a file can cause.
[[noreturn]] void fatal(std::string_view why);

}  // namespace rims

#define RIMS_CAT_(a, b) a##b
#define RIMS_CAT(a, b) RIMS_CAT_(a, b)

// TRY(auto x, f());  TRY(existing, f());  - two statements, so not inside an unbraced if.
#define TRY_IMPL_(tmp, ret, lhs, ...)                         \
  auto tmp = (__VA_ARGS__);                                   \
  if (!(tmp).has_value()) ret std::unexpected((tmp).error()); \
  lhs = *std::move(tmp)
#define TRY(lhs, ...) TRY_IMPL_(RIMS_CAT(try_, __LINE__), return, lhs, __VA_ARGS__)
#define CO_TRY(lhs, ...) TRY_IMPL_(RIMS_CAT(try_, __LINE__), co_return, lhs, __VA_ARGS__)

// TRY_STATUS(f()); for a Status, whose value nobody wants.
#define TRY_STATUS_IMPL_(tmp, ret, ...) \
  auto tmp = (__VA_ARGS__);             \
  if (!(tmp).has_value()) ret std::unexpected((tmp).error())
#define TRY_STATUS(...) TRY_STATUS_IMPL_(RIMS_CAT(try_, __LINE__), return, __VA_ARGS__)
#define CO_TRY_STATUS(...) TRY_STATUS_IMPL_(RIMS_CAT(try_, __LINE__), co_return, __VA_ARGS__)
