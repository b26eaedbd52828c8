// common/config/parts.h - each process's part of the configuration, as the controller sends it
//
// A part holds only what its process needs: a password hash is in AuthPart and nowhere else, a
// TLS key in LoginPart and nowhere else. Encoded by ipc/wire.h into a sealed memfd.
#pragma once

#include <cstdint>
#include <tuple>

#include "common/ipc/auth_link.h"
#include "common/ipc/control_link.h"
#include "common/ipc/log_link.h"
#include "common/ipc/wire.h"

namespace rims::config {

using ipc::kMaxPath;
using Path = ipc::Text<0, kMaxPath>;

enum class ShiftAge : uint8_t { count, daily, weekly, monthly, last = monthly };

struct LogPart {
  ipc::LogLevel level = ipc::LogLevel::info;
  Path file;  // absolute
  bool to_stdout = false;
  ipc::LogLevel stdout_level = ipc::LogLevel::info;  // with to_stdout: the least level shown
  ShiftAge shift_age = ShiftAge::count;
  uint32_t shift_count = 0;  // files kept, with ShiftAge::count
  uint64_t shift_size = 0;   // bytes; 0: never by size
  static constexpr auto kFields =
      std::tuple(&LogPart::level, &LogPart::file, &LogPart::to_stdout, &LogPart::stdout_level,
                 &LogPart::shift_age, &LogPart::shift_count, &LogPart::shift_size);
};

inline constexpr size_t kMaxTexts = 1000;  // of a setting that is a list

using Domain = ipc::Text<1, ipc::kMaxHostName>;
// As common/imap/capabilities.h reads it.
using CapabilityRule = ipc::Text<1, 255>;
using CapabilityRules = ipc::List<CapabilityRule, kMaxTexts>;
[[nodiscard]] std::vector<std::string> texts(const CapabilityRules& rules);

inline constexpr size_t kMaxUsers = 100'000;
inline constexpr size_t kMaxDelimiter = 1;            // bytes
inline constexpr size_t kMaxPem = size_t{64} * 1024;  // bytes of a file with a chain or a key

struct User {
  ipc::Text<1, ipc::kMaxUserName> name;
  ipc::Sealed<ipc::kMaxPassword> password;  // plain text, or as `rims pass-hash` prints it
  bool hashed = false;
  static constexpr auto kFields = std::tuple(&User::name, &User::password, &User::hashed);
};

struct AuthPart {
  ipc::LogLevel level = ipc::LogLevel::info;
  ipc::List<User, kMaxUsers> users;
  // `#postman` and its password are a User of this name too (mail_delivery_user).
  ipc::Text<1, ipc::kMaxUserName> delivery_user;
  // Recipients: "foo+x@example.org" is the user "foo" when the domain is one of these; an empty
  // list takes any domain, an empty delimiter takes no "+x".
  ipc::List<Domain, kMaxTexts> domains;
  ipc::Text<0, kMaxDelimiter> recipient_delimiter;
  uint32_t delay_first_ms = 0;  // delay of the first failure; then it doubles
  uint32_t delay_max_ms = 0;
  uint32_t cache_lifetime_s = 0;       // how long a right password is remembered; 0: not at all
  bool end_sessions_on_change = true;  // of users whom a reload has changed
  Path user_directory;                 // only the first one counts
  uint32_t keep_removed_s = 0;         // a removed user can be restored for so long
  static constexpr auto kFields =
      std::tuple(&AuthPart::level, &AuthPart::users, &AuthPart::delivery_user, &AuthPart::domains,
                 &AuthPart::recipient_delimiter, &AuthPart::delay_first_ms, &AuthPart::delay_max_ms,
                 &AuthPart::cache_lifetime_s, &AuthPart::end_sessions_on_change,
                 &AuthPart::user_directory, &AuthPart::keep_removed_s);
};

// Which clients may send a password without TLS.
enum class Plaintext : uint8_t { never, loopback, always, last = always };

inline constexpr size_t kMaxMoreCertificates = 500;
inline constexpr size_t kMaxOcsp = size_t{64} * 1024;  // bytes

struct Certificate {
  ipc::Text<1, kMaxPem> chain_pem;
  ipc::Sealed<kMaxPem> key_pem;
  ipc::Text<0, kMaxOcsp> ocsp;  // in DER; "" when there is none
  static constexpr auto kFields =
      std::tuple(&Certificate::chain_pem, &Certificate::key_pem, &Certificate::ocsp);
};

enum class TlsVersion : uint8_t { v1_2, v1_3, last = v1_3 };

struct LoginPart {
  ipc::LogLevel level = ipc::LogLevel::info;
  ipc::Text<1, ipc::kMaxHostName> hostname;
  // The first is for clients that ask for no name, or for one that is in none. None: no TLS.
  ipc::List<Certificate, 1 + kMaxMoreCertificates> certificates;
  TlsVersion tls_min_version = TlsVersion::v1_2;
  Plaintext plaintext = Plaintext::never;
  bool cram_md5 = false;                // to be offered
  uint32_t connections_max = 0;         // of this process, TLS sessions included
  uint32_t logins_per_address_max = 0;  // not yet logged in, of this process
  uint32_t login_timeout_s = 0;         // before authentication
  uint32_t login_attempts_max = 0;      // failed ones, then BYE
  CapabilityRules capabilities_disabled;
  static constexpr auto kFields = std::tuple(
      &LoginPart::level, &LoginPart::hostname, &LoginPart::certificates,
      &LoginPart::tls_min_version, &LoginPart::plaintext, &LoginPart::cram_md5,
      &LoginPart::connections_max, &LoginPart::logins_per_address_max, &LoginPart::login_timeout_s,
      &LoginPart::login_attempts_max, &LoginPart::capabilities_disabled);
};

inline constexpr size_t kMaxServerEntries = 100;
inline constexpr size_t kMaxServerEntryName = 255;  // bytes
inline constexpr size_t kMaxServerValue = 4096;     // bytes

struct ServerEntry {                       // of RFC 5464, below /shared
  ipc::Text<1, kMaxServerEntryName> name;  // in lower case
  ipc::Text<0, kMaxServerValue> value;
  static constexpr auto kFields = std::tuple(&ServerEntry::name, &ServerEntry::value);
};

enum class KeyValueStoreType : uint8_t { gdbm, memory, last = memory };

struct ImapdPart {
  ipc::LogLevel level = ipc::LogLevel::info;
  Path base_dir;  // absolute
  KeyValueStoreType key_value_store = KeyValueStoreType::gdbm;
  bool key_value_checksum = true;
  uint32_t io_threads = 64;  // threads that wait for the disk
  uint32_t inactivity_timeout_s = 1800;
  uint32_t idle_notify_interval_s = 0;    // 0: never
  uint32_t progress_interval_ms = 0;      // 0: never
  uint64_t message_size_max = 0;          // bytes
  uint32_t line_size_max = 0;             // bytes of a command without its literals
  uint32_t mailbox_count_max = 0;         // per account
  uint32_t mailbox_messages_max = 0;      // in one mailbox
  uint32_t account_messages_max = 0;      // in all mailboxes of an account
  uint32_t messages_per_command_max = 0;  // 0: no limit, as the next one
  uint32_t messages_per_save_max = 0;     // of APPEND and COPY
  uint32_t keyword_count_max = 0;         // per mailbox
  uint32_t mime_depth_max = 0;
  uint32_t mime_part_max = 0;
  uint32_t sessions_per_user_max = 0;
  uint32_t expunge_retention_s = 14 * 86'400;
  uint32_t free_space_floor_percent = 0;  // 0: no floor
  uint64_t free_space_floor_max = 0;      // bytes
  uint64_t segment_bytes = 64ULL << 20;
  uint32_t duplicate_window_s = 0;  // 0: a repeated delivery is not recognised
  uint64_t quota_bytes = 0;         // of an account, as the next two; 0: no limit
  uint32_t quota_messages = 0;
  uint32_t quota_mailboxes = 0;
  bool reject_over_quota = false;     // a delivery; else it is deferred
  uint32_t metadata_value_max = 0;    // bytes of an annotation's value
  uint32_t metadata_entries_max = 0;  // annotations of a mailbox, or of the account
  uint32_t metadata_total_max = 0;    // bytes of all of an account
  ipc::List<ServerEntry, kMaxServerEntries> server_entries;
  CapabilityRules capabilities_disabled;
  static constexpr auto kFields = std::tuple(
      &ImapdPart::level, &ImapdPart::base_dir, &ImapdPart::key_value_store,
      &ImapdPart::key_value_checksum, &ImapdPart::io_threads, &ImapdPart::inactivity_timeout_s,
      &ImapdPart::idle_notify_interval_s, &ImapdPart::progress_interval_ms,
      &ImapdPart::message_size_max, &ImapdPart::line_size_max, &ImapdPart::mailbox_count_max,
      &ImapdPart::mailbox_messages_max, &ImapdPart::account_messages_max,
      &ImapdPart::messages_per_command_max, &ImapdPart::messages_per_save_max,
      &ImapdPart::keyword_count_max, &ImapdPart::mime_depth_max, &ImapdPart::mime_part_max,
      &ImapdPart::sessions_per_user_max, &ImapdPart::expunge_retention_s,
      &ImapdPart::free_space_floor_percent, &ImapdPart::free_space_floor_max,
      &ImapdPart::segment_bytes, &ImapdPart::duplicate_window_s, &ImapdPart::quota_bytes,
      &ImapdPart::quota_messages, &ImapdPart::quota_mailboxes, &ImapdPart::reject_over_quota,
      &ImapdPart::metadata_value_max, &ImapdPart::metadata_entries_max,
      &ImapdPart::metadata_total_max, &ImapdPart::server_entries,
      &ImapdPart::capabilities_disabled);
};

using LmtpPeer = ipc::Text<1, 64>;  // an address or a network (common/base/network.h)

struct DeliverdPart {
  ipc::LogLevel level = ipc::LogLevel::info;
  uint64_t message_size_max = 0;  // bytes
  uint32_t connections_max = 0;   // of rims-deliver, and as many of LMTP
  ipc::Text<1, ipc::kMaxHostName> hostname = "localhost";
  ipc::List<LmtpPeer, kMaxTexts> lmtp_allow;
  static constexpr auto kFields = std::tuple(&DeliverdPart::level, &DeliverdPart::message_size_max,
                                             &DeliverdPart::connections_max,
                                             &DeliverdPart::hostname, &DeliverdPart::lmtp_allow);
};

}  // namespace rims::config
