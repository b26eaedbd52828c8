// common/config/config.h - config.yml: read once, checked as a whole, then plain typed values
//
//   Trust    the file is the administrator's; what is wrong in it is reported with file, line,
//            column, what was expected, and the nearest known key
//   Keys     one table (schema.h) says name, type, default, range and meaning of each; the man
//            page rims.yml(5) and etc/config.yml.sample are compared with it by tests
//   Paths    base_dir is relative to the directory of the file, as the original's; all other
//            paths are relative to base_dir, certificates to the directory of the file
//   Secrets  a plain password or a hash is in Config::users and in AuthPart, nowhere else
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/config/parts.h"

namespace rims::config {

// A place in the file, counted from 1; 0: not from the file (default, override).
struct Position {
  unsigned line = 0, column = 0;
};

struct UserEntry {
  std::string name;
  Secret password;  // plain, or a hash as `rims pass-hash` prints it
  bool hashed = false;
  Position at;
};

// The files of one certificate: its chain, its key and what its issuer says of it (RFC 6960), ""
// for none.
struct CertificatePaths {
  std::string certificate, key, ocsp;
  Position at;
};

// Where to listen: at a local socket, or at a port of a numeric address.
struct ListenPlace {
  std::string path;  // absolute; "" for a port
  std::string host;
  uint16_t port = 0;  // 0: any free one
  bool operator==(const ListenPlace&) const = default;
};

// All settings with their final values. Paths are absolute. Members follow the key's name, with
// the section in front: `tls: {key: …}` is tls_key.
struct Config {
  std::string file;       // absolute, "" when there is none
  std::string directory;  // of the file

  std::string base_dir;
  std::string log_stdout, log_file, log_level, log_shift_age;
  std::optional<uint64_t> log_shift_size;
  std::string key_value_store_type;
  bool use_key_value_store_checksum = true;
  std::string hostname;
  std::string mail_delivery_user;
  std::vector<std::string> imap_capabilities_disabled;
  std::string imap_host;
  std::optional<uint16_t> imap_port;                            // always there; 0: any free one
  std::string process_privilege_user, process_privilege_group;  // name or number
  std::vector<UserEntry> users;  // username, password and user_list in one
  std::string auth_user_directory;
  uint64_t auth_keep_removed_users = 0;  // seconds

  std::string tls_certificate, tls_key, tls_ocsp;  // "" when there is no TLS
  std::vector<CertificatePaths> tls_more;          // for clients that ask for their names
  std::string tls_min_version;                     // "1.2" or "1.3"
  std::optional<uint16_t> listen_imaps_port;       // nullopt: no implicit TLS
  std::string listen_deliver_socket;               // of rims-deliver
  std::string listen_deliver_socket_group;         // name or number, "" leaves the group alone
  uint32_t listen_deliver_socket_mode = 0;

  std::vector<ListenPlace> lmtp_listen;  // in the order of the file; one place once
  std::vector<std::string> lmtp_allow;   // addresses and networks

  std::string auth_plaintext, auth_cram_md5;
  uint64_t auth_delay_first = 0, auth_delay_max = 0;  // milliseconds, seconds
  uint64_t auth_cache_lifetime = 0;                   // seconds
  bool auth_end_sessions_on_change = true;

  std::vector<std::string> delivery_domains;
  std::string delivery_recipient_delimiter;
  uint64_t delivery_duplicate_window = 0;  // seconds

  uint64_t storage_expunge_retention = 0;     // seconds
  uint64_t storage_free_space_floor = 0;      // percent
  uint64_t storage_free_space_floor_max = 0;  // bytes
  uint64_t storage_segment_size = 0;          // bytes

  uint64_t quota_storage = 0, quota_messages = 0, quota_mailboxes = 0;  // 0: no limit
  std::string quota_delivery;

  uint64_t processes_imapd_workers = 0;  // resolved: at least 1
  uint64_t processes_login_workers = 0;  // resolved: at least 1
  uint64_t processes_io_threads = 0;     // of one rims-imapd

  uint64_t limits_message_size = 0, limits_line_size = 0;  // bytes
  uint64_t limits_mailboxes = 0, limits_keywords = 0, limits_mime_depth = 0, limits_mime_parts = 0;
  uint64_t limits_mailbox_messages = 0, limits_account_messages = 0;
  uint64_t limits_metadata_value = 0, limits_metadata_total = 0;  // bytes
  uint64_t limits_metadata_entries = 0;
  uint64_t limits_messages_per_command = 0, limits_messages_per_save = 0;  // 0: no limit
  uint64_t limits_connections = 0;                                         // of one rims-login
  uint64_t limits_logins_per_address = 0;  // not yet logged in, of one rims-login
  uint64_t limits_login_attempts = 0, limits_login_timeout = 0;  // seconds
  uint64_t limits_inactivity_timeout = 0;                        // seconds
  uint64_t limits_progress_interval = 0;                         // seconds; 0: never
  uint64_t limits_idle_notify_interval = 0;                      // seconds; 0: never
  uint64_t limits_sessions_per_user = 0;
  uint64_t limits_deliver_connections = 0;

  // Entries of the server (RFC 5464), names in lower case, each once.
  std::vector<std::pair<std::string, std::string>> metadata_server;

  std::string paths_run_dir;  // sockets and the pid file
  std::string paths_pid_file;

  // The place of each key that is in the file, by its full name ("tls.key").
  std::map<std::string, Position, std::less<>> positions;
  // Not errors, but the administrator should know: complete lines with file, line and column.
  std::vector<std::string> warnings;
};

struct Options {
  // Values from a command line, by full key: they override the file. `rims server -u foo -w bar`
  // gives username and password here.
  std::vector<std::pair<std::string, std::string>> overrides;
  // The server needs a user; commands that only read other settings do not.
  bool need_users = true;
  // Root starts the suite. Then the mail and the run directory belong to different users, so one
  // can not be below the other: this changes where the run directory and the log are by default.
  bool by_root = false;
};

// Does root start the suite that this process is about? Yes, if root asks.
[[nodiscard]] bool started_by_root();

// Reads and checks `path`. An Error's reply holds one line per problem (at most 20), each
// "FILE:LINE:COLUMN: what is wrong"; nothing in it is secret.
[[nodiscard]] Result<Config> load(const std::string& path, const Options& options = {});
// The same for bytes that came from elsewhere. `file` is for messages; `directory`, absolute, is
// what relative paths start from.
[[nodiscard]] Result<Config> parse(std::string_view yaml, const std::string& file,
                                   const std::string& directory, const Options& options = {});

// "FILE:LINE:COLUMN: " for a key, as far as known; for problems that are found later (a user that
// does not exist, a socket that can not be bound).
[[nodiscard]] std::string where(const Config& config, std::string_view key);
[[nodiscard]] std::string where(const Config& config, Position at);

// process_privilege_user and _group as numbers; the error names file, line and column.
struct Account {
  uint32_t uid = 0, gid = 0;
};
[[nodiscard]] Result<Account> privilege_account(const Config& config);
// listen.deliver_socket_group as a number, nullopt when there is none.
[[nodiscard]] Result<std::optional<uint32_t>> deliver_socket_gid(const Config& config);

// Each process's part. log_file, base_dir and the like are not touched.
[[nodiscard]] LogPart log_part(const Config& config);
[[nodiscard]] AuthPart auth_part(const Config& config);
[[nodiscard]] ImapdPart imapd_part(const Config& config);
[[nodiscard]] DeliverdPart deliverd_part(const Config& config);
// Reads the certificate and the key: the error names the file and the reason (missing, a mode
// that lets others read the key, not PEM, the two do not belong together, expired only warns).
[[nodiscard]] Result<LoginPart> login_part(const Config& config);

}  // namespace rims::config
