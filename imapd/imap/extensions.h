// imapd/imap/extensions.h - extensions that a client must ask for before it is answered by them
//
//   RFC   5161 (ENABLE); 5464 §4.1 (METADATA); 7162 §3.1, §3.2.3 (what else enables CONDSTORE);
//         9051 §A (IMAP4rev2); 9586 (UIDONLY); 9755 (UTF8=ACCEPT)
//   Rule  one row per extension. What was enabled stays so until the connection ends. One that
//         has no row is not enabled by ENABLE, whether CAPABILITY names it or not.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rims::imapd {

enum class Extension : uint8_t {
  condstore,
  qresync,
  utf8_accept,
  imap4rev2,
  uidonly,
  metadata,         // changes of all annotations are told
  metadata_server,  // those of the server's
  last = metadata_server
};

// The one that ENABLE calls by this name, in any case.
[[nodiscard]] std::optional<Extension> extension_of(std::string_view name);
// "IMAP4rev2", as CAPABILITY calls it. Static storage.
[[nodiscard]] std::string_view name(Extension extension);

class Extensions {
 public:
  [[nodiscard]] bool has(Extension extension) const {
    return bits_.test(static_cast<size_t>(extension));
  }
  // With those that it includes. False: it was there already.
  bool add(Extension extension);
  // Their names with spaces between.
  [[nodiscard]] std::string names() const;
  // For ENABLED (RFC 5161 §3.1), which names each only once. False: it was named already.
  bool announce(Extension extension);

 private:
  using Bits = std::bitset<static_cast<size_t>(Extension::last) + 1>;
  Bits bits_, announced_;
};

}  // namespace rims::imapd
