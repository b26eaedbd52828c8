// common/imap/capabilities.h - what CAPABILITY announces, before and after the login
//
//   RFC   3501 §6.1.1, §7.2.1; 9051 appendix A (both revisions on one port); 7888 §6 (LITERAL-)
//   Rule  what is not announced still works when it is asked for, but ENABLE does not know it
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace rims::imap {

// Capabilities that an administrator takes away from some clients: "QRESYNC", from all, or
// "QRESYNC for Mail 16*", from those whose "name version" by ID (client_name()) matches the pattern
// of `*` and `?`, in any case.
using DisabledCapabilities = std::span<const std::string>;

// refused: what is wrong with it, to be read behind the name of the setting.
[[nodiscard]] Status check_disabled_capability(std::string_view text);
// `name` is all of it, or what stands before "=" ("APPENDLIMIT").
[[nodiscard]] bool is_disabled(DisabledCapabilities disabled, std::string_view name,
                               std::string_view client);

struct CapabilityState {
  // Before the login.
  bool tls_active = false;
  bool tls_offered = false;  // STARTTLS would work
  bool plaintext = false;    // passwords are taken without TLS (always with it)
  bool cram_md5 = false;
  // After it.
  bool logged_in = false;
  bool compressed = false;
  bool post_only = false;     // the delivery user
  uint64_t append_limit = 0;  // bytes (RFC 7889)
  // Messages of one command (RFC 9738 §3). The second stands only where the first does not.
  std::optional<uint32_t> message_limit, save_limit;
  // Both.
  DisabledCapabilities disabled;
  std::string_view client;  // what it called itself, or ""
};
// "IMAP4rev1 LITERAL- ..." for CAPABILITY responses and codes.
[[nodiscard]] std::string capabilities(const CapabilityState& state);

}  // namespace rims::imap
