// common/config/schema.cc - the table of settings

#include "common/config/schema.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "common/config/parts.h"

namespace rims::config {
namespace {

constexpr std::string_view kLevels[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
constexpr std::string_view kTlsVersions[] = {"1.2", "1.3"};
constexpr std::string_view kLevelsOrQuiet[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL", "QUIET"};
constexpr std::string_view kStores[] = {"GDBM", "MEMORY"};
constexpr std::string_view kPlaintext[] = {"auto", "never", "loopback", "always"};

constexpr std::string_view kQuotaDelivery[] = {"defer", "reject"};
constexpr std::string_view kCramMd5[] = {"auto", "always", "never"};

constexpr uint64_t kMiB = 1u << 20;

constexpr auto kSettings = std::to_array<Setting>({
    // The settings of the original.
    {.key = "base_dir",
     .kind = Kind::path,
     .shown = "the directory of the configuration file",
     .min = 1,
     .max = kMaxPath,
     .member = &Config::base_dir,
     .doc =
         "The directory under which all mail and, unless said otherwise, all other files are "
         "kept, relative to the directory of the configuration file. Where root starts the suite "
         "it must be another one than that directory, which must be root's."},
    {.key = "log_stdout",
     .kind = Kind::choice,
     .fallback = "INFO",
     .choices = kLevelsOrQuiet,
     .member = &Config::log_stdout,
     .doc = "The least severe level of the lines that a server in the foreground also writes to "
            "standard output; QUIET writes none."},
    {.key = "log_file",
     .kind = Kind::path,
     .fallback = "imap.log",
     .min = 1,
     .max = kMaxPath,
     .member = &Config::log_file,
     .doc = "The log file, relative to base_dir. Where root starts the suite, a file directly in "
            "base_dir is kept in the directory log below it, because only rims-imapd may write "
            "among the mail."},
    {.key = "log_level",
     .kind = Kind::choice,
     .fallback = "INFO",
     .choices = kLevels,
     .member = &Config::log_level,
     .doc = "The least severe level of the lines in the log file; no level shows a password."},
    {.key = "log_shift_age",
     .kind = Kind::shift_age,
     .shown = "no rotation",
     .min = 0,
     .max = 10000,
     .member = &Config::log_shift_age,
     .doc = "How many log files are kept when they are rotated by size, or when to rotate them: "
            "daily, weekly or monthly."},
    {.key = "log_shift_size",
     .kind = Kind::bytes,
     .shown = "1M when log_shift_age is a count",
     .min = 1,
     .max = uint64_t{1} << 40,
     .member = &Config::log_shift_size,
     .doc = "The size at which the log file is rotated."},
    {.key = "key_value_store_type",
     .kind = Kind::choice,
     .fallback = "GDBM",
     .choices = kStores,
     .member = &Config::key_value_store_type,
     .doc = "How the index of an account is stored; MEMORY makes it again from the journal at "
            "every start."},
    {.key = "use_key_value_store_checksum",
     .kind = Kind::boolean,
     .fallback = "true",
     .member = &Config::use_key_value_store_checksum,
     .doc = "Whether every value of the index carries a checksum that is compared when it is "
            "read."},
    {.key = "hostname",
     .kind = Kind::text,
     .shown = "the name that hostname(1) prints",
     .min = 1,
     .max = ipc::kMaxHostName,
     .member = &Config::hostname,
     .doc = "The name of this server in CRAM-MD5 challenges."},
    {.key = "username",
     .kind = Kind::text,
     .min = 1,
     .max = ipc::kMaxUserName,
     .member = std::monostate(),
     .doc = "The name of the only user; password goes with it."},
    {.key = "password",
     .kind = Kind::password,
     .min = 1,
     .max = ipc::kMaxPassword,
     .member = std::monostate(),
     .doc = "The plain password of the user that username names."},
    {.key = "user_list",
     .kind = Kind::user_list,
     .member = std::monostate(),
     .doc = "The users: a list of maps, each with user and either pass (the plain password) or "
            "hash (what rims pass-hash prints, or what another system has stored)."},
    {.key = "imap_host",
     .kind = Kind::text,
     .fallback = "0.0.0.0",
     .min = 1,
     .max = 255,
     .member = &Config::imap_host,
     .doc =
         "The address or host name to listen on; \"::\" takes IPv6 and IPv4, or IPv4 alone where "
         "IPv6 is off."},
    {.key = "imap_port",
     .kind = Kind::port,
     .fallback = "1430",
     .member = &Config::imap_port,
     .doc = "The port for IMAP, with STARTTLS when there is a certificate; imap2 is the name of "
            "143."},
    {.key = "imap_capabilities_disabled",
     .kind = Kind::text_list,
     .shown = "none",
     .min = 1,
     .max = CapabilityRule::kMax,
     .member = &Config::imap_capabilities_disabled,
     .doc = "Capabilities of rims-imapd(8) that are not announced, and that ENABLE does not know, "
            "for clients that do harm with them: COMPRESS=DEFLATE is one that nobody is told of, "
            "and \"QRESYNC for Mail 16*\" one that is hidden from clients whose name and version, "
            "as they say by ID, match the pattern of * and ?, in any case. What is hidden still "
            "works when it is asked for. rims who shows what a client calls itself."},
    {.key = "mail_delivery_user",
     .kind = Kind::text,
     .fallback = "#postman",
     .min = 1,
     .max = ipc::kMaxUserName,
     .member = &Config::mail_delivery_user,
     .doc = "The user who may deliver to any mailbox and do nothing else; it needs an entry in "
            "user_list to log in."},
    {.key = "process_privilege_user",
     .kind = Kind::account,
     .fallback = "65534",
     .min = 1,
     .max = 255,
     .member = &Config::process_privilege_user,
     .doc = "The system user, by name or number, who owns the mail when the server is started "
            "as root."},
    {.key = "process_privilege_group",
     .kind = Kind::account,
     .fallback = "65534",
     .min = 1,
     .max = 255,
     .member = &Config::process_privilege_group,
     .doc = "The system group, by name or number, that goes with process_privilege_user."},

    {.key = "tls.certificate",
     .kind = Kind::path,
     .shown = "no TLS",
     .min = 1,
     .max = kMaxPath,
     .member = &Config::tls_certificate,
     .doc = "The file with the certificate and its chain in PEM, relative to the directory of "
            "the configuration file."},
    {.key = "tls.key",
     .kind = Kind::path,
     .shown = "no TLS",
     .min = 1,
     .max = kMaxPath,
     .member = &Config::tls_key,
     .doc = "The file with the private key in PEM, which nobody but its owner and group may "
            "read."},
    {.key = "tls.ocsp",
     .kind = Kind::path,
     .shown = "nothing is stapled",
     .min = 1,
     .max = kMaxPath,
     .member = &Config::tls_ocsp,
     .doc = "The file with what the certificate's issuer says of it (OCSP), in DER, which clients "
            "that ask for it get."},
    {.key = "tls.more",
     .kind = Kind::certificate_list,
     .member = std::monostate(),
     .doc = "More certificates, each for clients that ask for a name in it: a list of maps, each "
            "with certificate and key and perhaps ocsp; who asks for another name gets "
            "tls.certificate."},
    {.key = "tls.min_version",
     .kind = Kind::choice,
     .fallback = "1.2",
     .choices = kTlsVersions,
     .member = &Config::tls_min_version,
     .doc = "The oldest version of TLS that a client may use."},

    {.key = "listen.imaps_port",
     .kind = Kind::port,
     .shown = "not listened on",
     .member = &Config::listen_imaps_port,
     .doc = "The port for IMAP with TLS from the first byte; imaps is the name of 993."},
    {.key = "listen.deliver_socket",
     .kind = Kind::path,
     .shown = "deliver.sock in paths.run_dir",
     .min = 1,
     .max = 107,
     .member = &Config::listen_deliver_socket,
     .doc = "The local socket that rims-deliver(1) connects to, relative to base_dir. "
            "For root: in a directory that only root may change."},
    {.key = "listen.deliver_socket_group",
     .kind = Kind::account,
     .shown = "the group of the server",
     .min = 1,
     .max = 255,
     .member = &Config::listen_deliver_socket_group,
     .doc = "The system group, by name or number, of that socket: the one as which the MTA runs "
            "rims-deliver."},
    {.key = "listen.deliver_socket_mode",
     .kind = Kind::mode,
     .fallback = "0660",
     .max = 0777,
     .member = &Config::listen_deliver_socket_mode,
     .doc = "The permission bits of that socket."},

    {.key = "lmtp.listen",
     .kind = Kind::place_list,
     .shown = "[unix:lmtp]",
     .min = 1,
     .max = 112,
     .member = std::monostate(),
     .doc =
         "Where LMTP is spoken: unix:PATH is a local socket, relative to paths.run_dir, with the "
         "group and permission bits of listen.deliver_socket; ADDRESS:PORT or [ADDRESS]:PORT "
         "is a port of a numeric address. [] speaks it nowhere. For root: in a directory that "
         "only root may change."},
    {.key = "lmtp.allow",
     .kind = Kind::text_list,
     .shown = "this machine",
     .min = 1,
     .max = 64,
     .member = &Config::lmtp_allow,
     .doc = "The addresses and networks, such as 192.0.2.7 or 2001:db8::/64, that may deliver by "
            "LMTP besides this machine; needed where lmtp.listen has an address that others reach, "
            "since nothing on the way is encrypted."},

    {.key = "auth.plaintext",
     .kind = Kind::choice,
     .fallback = "auto",
     .choices = kPlaintext,
     .member = &Config::auth_plaintext,
     .doc = "Which clients may send a password without TLS: auto means loopback when there is "
            "a certificate and always when there is none."},
    {.key = "auth.cram_md5",
     .kind = Kind::choice,
     .fallback = "auto",
     .choices = kCramMd5,
     .member = &Config::auth_cram_md5,
     .doc = "Whether CRAM-MD5 is offered, which works only for passwords that are stored as "
            "plain text: auto offers it when all of them are, since many clients choose it "
            "whenever it is offered."},
    {.key = "auth.delay_first",
     .kind = Kind::number,
     .fallback = "1000",
     .min = 0,
     .max = 60'000,
     .member = &Config::auth_delay_first,
     .doc = "How many milliseconds the answer to a first wrong password is delayed; the delay "
            "doubles with each further one from the same address or for the same user."},
    {.key = "auth.delay_max",
     .kind = Kind::seconds,
     .fallback = "15",
     .min = 0,
     .max = 300,
     .member = &Config::auth_delay_max,
     .doc = "The longest delay of such an answer."},
    {.key = "auth.cache_lifetime",
     .kind = Kind::seconds,
     .fallback = "5m",
     .min = 0,
     .max = 86'400,
     .member = &Config::auth_cache_lifetime,
     .doc = "How long a hashed password that was right is remembered, as a keyed hash in "
            "memory, so that repeated logins are cheap; 0 remembers none."},
    {.key = "auth.end_sessions_on_change",
     .kind = Kind::boolean,
     .fallback = "true",
     .member = &Config::auth_end_sessions_on_change,
     .doc = "Whether a reload ends the sessions of the users whom it removed or renamed, or whose "
            "password it changed."},

    {.key = "auth.user_directory",
     .kind = Kind::path,
     .fallback = "users",
     .min = 1,
     .max = kMaxPath,
     .member = &Config::auth_user_directory,
     .doc = "The directory of the users that rims-ctl user adds, relative to base_dir; see "
            "rims-users(7). It is rims-auth's alone. Where it is set, user_list may be missing."},
    {.key = "auth.keep_removed_users",
     .kind = Kind::seconds,
     .fallback = "30d",
     .min = 0,
     .max = 3650 * 86'400,
     .member = &Config::auth_keep_removed_users,
     .doc = "How long a user whom rims-ctl user del has removed can be restored, and the name is "
            "not free."},

    {.key = "delivery.domains",
     .kind = Kind::text_list,
     .shown = "any",
     .min = 1,
     .max = Domain::kMax,
     .member = &Config::delivery_domains,
     .doc = "The mail domains whose local parts are user names; without any, every domain is "
            "accepted, since the MTA has decided already."},
    {.key = "delivery.recipient_delimiter",
     .kind = Kind::text,
     .fallback = "+",
     .min = 0,
     .max = kMaxDelimiter,
     .member = &Config::delivery_recipient_delimiter,
     .doc = "The character that ends the user name in a recipient, so that foo+lists reaches "
            "foo."},
    {.key = "delivery.duplicate_window",
     .kind = Kind::seconds,
     .fallback = "7d",
     .min = 0,
     .max = 14 * 86'400,
     .member = &Config::delivery_duplicate_window,
     .doc = "How long a delivery is remembered, so that the MTA may repeat it after a lost answer "
            "and no second copy is stored; 0 stores every one."},

    {.key = "storage.expunge_retention",
     .kind = Kind::seconds,
     .fallback = "14d",
     .min = 0,
     .max = 3650 * 86'400,
     .member = &Config::storage_expunge_retention,
     .doc = "How long the bytes of an expunged message are kept, so that it can be brought "
            "back; then their space is freed in the background. 0 keeps none."},
    {.key = "storage.free_space_floor",
     .kind = Kind::number,
     .fallback = "5",
     .min = 0,
     .max = 90,
     .member = &Config::storage_free_space_floor,
     .doc = "How many percent of the file system, in bytes and in inodes, must be free; with "
            "less, new mail is refused temporarily, while reading and expunging still work. 0 "
            "sets no such limit."},
    {.key = "storage.free_space_floor_max",
     .kind = Kind::bytes,
     .fallback = "1G",
     .min = 0,
     .max = uint64_t{1} << 50,
     .member = &Config::storage_free_space_floor_max,
     .doc = "The most free bytes that storage.free_space_floor asks for."},
    {.key = "storage.segment_size",
     .kind = Kind::bytes,
     .fallback = "64M",
     .min = uint64_t{64} << 10,
     .max = uint64_t{1} << 30,
     .member = &Config::storage_segment_size,
     .doc = "How large a file of an account's journal gets before the next one is begun; a "
            "larger message gets a file of its own. The space of expunged messages is freed "
            "file by file: with small files it is freed sooner, but there are more of them."},

    {.key = "quota.storage",
     .kind = Kind::bytes,
     .fallback = "0",
     .min = 0,
     .max = uint64_t{1} << 50,
     .member = &Config::quota_storage,
     .doc = "How many bytes of mail a user may have in all mailboxes together; a copy "
            "counts like another message, and an expunged message no more. What exceeds it "
            "is refused: APPEND and COPY with NO [OVERQUOTA], a delivery as quota.delivery "
            "says. What is there already stays, and can be moved. 0 sets no limit."},
    {.key = "quota.messages",
     .kind = Kind::number,
     .fallback = "0",
     .min = 0,
     .max = 1'000'000'000,
     .member = &Config::quota_messages,
     .doc = "The same for the number of messages; 0 sets no limit."},
    {.key = "quota.mailboxes",
     .kind = Kind::number,
     .fallback = "0",
     .min = 0,
     .max = 1'000'000,
     .member = &Config::quota_mailboxes,
     .doc = "How many mailboxes a user may have; a new account has six. CREATE of more is "
            "refused with NO [OVERQUOTA]. 0 sets no limit."},
    {.key = "quota.delivery",
     .kind = Kind::choice,
     .fallback = "defer",
     .choices = kQuotaDelivery,
     .member = &Config::quota_delivery,
     .doc = "What becomes of a delivery for which quota.storage or quota.messages leaves no "
            "room: with defer the MTA keeps it and tries again, with reject it is refused "
            "for good, and the MTA tells the sender."},

    {.key = "processes.imapd_workers",
     .kind = Kind::number,
     .shown = "one per processor",
     .min = 1,
     .max = 64,
     .member = &Config::processes_imapd_workers,
     .doc = "How many rims-imapd(8) processes share the accounts."},
    {.key = "processes.login_workers",
     .kind = Kind::number,
     .shown = "one per processor",
     .min = 1,
     .max = 64,
     .member = &Config::processes_login_workers,
     .doc = "How many rims-login(8) processes take connections."},
    {.key = "processes.io_threads",
     .kind = Kind::number,
     .fallback = "64",
     .min = 1,
     .max = 256,
     .member = &Config::processes_io_threads,
     .doc = "How many threads of each rims-imapd(8) wait for the disk."},

    {.key = "limits.message_size",
     .kind = Kind::bytes,
     .fallback = "64M",
     .min = 1024,
     .max = 2048 * kMiB - 1,
     .member = &Config::limits_message_size,
     .doc = "The largest message that is accepted."},
    {.key = "limits.line_size",
     .kind = Kind::bytes,
     .fallback = "64K",
     .min = 1024,
     .max = 16 * kMiB,
     .member = &Config::limits_line_size,
     .doc = "The longest command of a logged-in client, without its literals."},
    {.key = "limits.mailboxes",
     .kind = Kind::number,
     .fallback = "10000",
     .min = 10,
     .max = 1'000'000,
     .member = &Config::limits_mailboxes,
     .doc = "How many mailboxes an account may have."},
    {.key = "limits.mailbox_messages",
     .kind = Kind::number,
     .fallback = "1000000",
     .min = 10,
     .max = 100'000'000,
     .member = &Config::limits_mailbox_messages,
     .doc = "How many messages a mailbox may hold. More are refused: APPEND and COPY with NO "
            "[LIMIT], a delivery for the time being. Those that are there stay. A message of a "
            "mailbox in use takes 50 bytes of memory."},
    {.key = "limits.account_messages",
     .kind = Kind::number,
     .fallback = "4000000",
     .min = 10,
     .max = 1'000'000'000,
     .member = &Config::limits_account_messages,
     .doc = "The same for all mailboxes of an account together; a copy counts as one more."},
    {.key = "limits.messages_per_command",
     .kind = Kind::number,
     .fallback = "0",
     .min = 0,
     .max = 100'000'000,
     .member = &Config::limits_messages_per_command,
     .doc = "How many messages one command of a client may work on; 0: any number. SEARCH, FETCH, "
            "STORE, MOVE and UID EXPUNGE then work on the newest ones and say so with MESSAGELIMIT "
            "(RFC 9738), which few clients know: others will miss the older messages. COPY, "
            "APPEND, SORT and THREAD of more are refused. It should not be below 1000."},
    {.key = "limits.messages_per_save",
     .kind = Kind::number,
     .fallback = "0",
     .min = 0,
     .max = 100'000'000,
     .member = &Config::limits_messages_per_save,
     .doc = "How many messages one COPY or APPEND may bring into a mailbox; more are refused with "
            "NO [MESSAGELIMIT]. 0: any number. Where limits.messages_per_command is set, that "
            "counts instead."},
    {.key = "limits.keywords",
     .kind = Kind::number,
     .fallback = "1000",
     .min = 64,
     .max = 10'000,
     .member = &Config::limits_keywords,
     .doc = "How many keywords (labels that clients make) a mailbox may know. When there is no "
            "room for one more, a new message comes in without it, and STORE is refused."},
    {.key = "limits.metadata_value",
     .kind = Kind::bytes,
     .fallback = "64K",
     .min = 1024,
     .max = kMiB,
     .member = &Config::limits_metadata_value,
     .doc = "The longest value of an annotation that a client keeps with a mailbox or with the "
            "account (SETMETADATA)."},
    {.key = "limits.metadata_entries",
     .kind = Kind::number,
     .fallback = "100",
     .min = 10,
     .max = 10'000,
     .member = &Config::limits_metadata_entries,
     .doc = "How many annotations a mailbox may have, and how many the account itself."},
    {.key = "limits.metadata_total",
     .kind = Kind::bytes,
     .fallback = "1M",
     .min = 16 * 1024,
     .max = 16 * kMiB,
     .member = &Config::limits_metadata_total,
     .doc = "How many bytes the names and values of all annotations of an account may have "
            "together; they are in memory while the account is in use. Those that are there "
            "stay."},
    {.key = "limits.mime_depth",
     .kind = Kind::number,
     .fallback = "100",
     .min = 1,
     .max = 1000,
     .member = &Config::limits_mime_depth,
     .doc = "How deeply nested the parts of a message may be; what is deeper is not divided "
            "into parts."},
    {.key = "limits.mime_parts",
     .kind = Kind::number,
     .fallback = "10000",
     .min = 1,
     .max = 100'000,
     .member = &Config::limits_mime_parts,
     .doc = "How many parts of a message are recognised."},
    {.key = "limits.connections",
     .kind = Kind::number,
     .fallback = "8192",
     .min = 1,
     .max = 100'000,
     .member = &Config::limits_connections,
     .doc = "How many connections one rims-login(8) process keeps: those before login, and all "
            "with TLS."},
    {.key = "limits.logins_per_address",
     .kind = Kind::number,
     .fallback = "256",
     .min = 1,
     .max = 100'000,
     .member = &Config::limits_logins_per_address,
     .doc = "How many connections of one client address one rims-login(8) process keeps before "
            "login."},
    {.key = "limits.login_attempts",
     .kind = Kind::number,
     .fallback = "3",
     .min = 1,
     .max = 100,
     .member = &Config::limits_login_attempts,
     .doc = "After how many failed attempts a connection is closed."},
    {.key = "limits.login_timeout",
     .kind = Kind::seconds,
     .fallback = "60",
     .min = 1,
     .max = 600,
     .member = &Config::limits_login_timeout,
     .doc = "How long a client may take to log in."},
    {.key = "limits.inactivity_timeout",
     .kind = Kind::seconds,
     .fallback = "30m",
     .min = 1,
     .max = 7 * 86'400,
     .member = &Config::limits_inactivity_timeout,
     .doc = "How long a logged-in client may send nothing before it is logged out; RFC 3501 "
            "asks for at least 30 minutes."},
    {.key = "limits.idle_notify_interval",
     .kind = Kind::seconds,
     .fallback = "2m",
     .min = 0,
     .max = 86'400,
     .member = &Config::limits_idle_notify_interval,
     .doc = "After how long without news a client in IDLE is sent \"* OK Still here\", so that "
            "no router between takes the connection for a dead one; 0: never."},
    {.key = "limits.progress_interval",
     .kind = Kind::seconds,
     .fallback = "10s",
     .min = 0,
     .max = 3600,
     .member = &Config::limits_progress_interval,
     .doc = "After how long a SEARCH, SORT or THREAD that is still at work says so, again and "
            "again, so that the client does not give up; 0: never."},
    {.key = "limits.sessions_per_user",
     .kind = Kind::number,
     .fallback = "1000",
     .min = 1,
     .max = 100'000,
     .member = &Config::limits_sessions_per_user,
     .doc = "How many sessions one user may have at a time."},
    {.key = "limits.deliver_connections",
     .kind = Kind::number,
     .fallback = "256",
     .min = 1,
     .max = 10'000,
     .member = &Config::limits_deliver_connections,
     .doc = "How many rims-deliver(1) processes are served at a time, and as many connections of "
            "LMTP; more processes wait, and more connections are told to come again."},

    {.key = "metadata.server",
     .kind = Kind::entry_map,
     .shown = "none",
     .min = 0,
     .max = kMaxServerValue,
     .member = &Config::metadata_server,
     .doc = "What the server tells each client that asks for it (GETMETADATA): a map of names "
            "that begin with /shared/ to texts. /shared/comment is a note, /shared/admin the URI "
            "of who looks after the server; /shared/vendor/deltachat/maxsmtprecipients, "
            "/shared/vendor/deltachat/irohrelay and /shared/vendor/deltachat/turn are for Delta "
            "Chat. Clients can not change them."},

    {.key = "paths.run_dir",
     .kind = Kind::path,
     .fallback = "run",
     .min = 1,
     .max = kMaxPath,
     .member = &Config::paths_run_dir,
     .doc = "The directory of sockets and of the pid file, relative to base_dir. Where root "
            "starts the suite, the default is /run/rims."},
    {.key = "paths.pid_file",
     .kind = Kind::path,
     .shown = "rims.pid in paths.run_dir",
     .min = 1,
     .max = kMaxPath,
     .member = &Config::paths_pid_file,
     .doc = "The file with the process ID of the controller, relative to base_dir. "
            "For root: in a directory that only root may change."},
});

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string_view last_part(std::string_view key) { return key.substr(key.rfind('.') + 1); }

}  // namespace

std::span<const Setting> settings() { return kSettings; }

const Setting* find_setting(std::string_view key) {
  const auto found = std::ranges::find(kSettings, key, &Setting::key);
  return found == kSettings.end() ? nullptr : &*found;
}

std::string expectation(const Setting& setting) {
  switch (setting.kind) {
    case Kind::text:
      if (setting.max == 1) return "one character or none";
      return fmt::format("text of {} to {} bytes", setting.min, setting.max);
    case Kind::password:
      return fmt::format("a password of {} to {} bytes", setting.min, setting.max);
    case Kind::path:
      return fmt::format("a path of at most {} bytes", setting.max);
    case Kind::choice: {
      std::string all = "one of";
      for (const auto choice : setting.choices) all += fmt::format(" {}", choice);
      return all;
    }
    case Kind::number:
      return fmt::format("a number from {} to {}", setting.min, setting.max);
    case Kind::bytes:
      return fmt::format("a size from {} to {} bytes (K, M and G may follow)", setting.min,
                         setting.max);
    case Kind::seconds:
      return fmt::format("a time from {} to {} seconds (s, m, h and d may follow)", setting.min,
                         setting.max);
    case Kind::boolean:
      return "true or false";
    case Kind::port:
      return "a port from 0 to 65535 or the name of a service";
    case Kind::mode:
      return "permission bits in octal, at most 0777";
    case Kind::account:
      return "a name or a number";
    case Kind::shift_age:
      return fmt::format("a number from {} to {}, daily, weekly or monthly", setting.min,
                         setting.max);
    case Kind::text_list:
      return fmt::format("a list of texts of {} to {} bytes", setting.min, setting.max);
    case Kind::place_list:
      return "a list of unix:PATH and ADDRESS:PORT";
    case Kind::entry_map:
      return fmt::format("a map of names below /shared to texts of at most {} bytes", setting.max);
    case Kind::certificate_list:
      return "a list of maps with certificate, key and perhaps ocsp";
    case Kind::user_list:
      return "a list of maps with user and either pass or hash";
  }
  return {};
}

std::string shown_default(const Setting& setting) {
  if (!setting.shown.empty()) return std::string(setting.shown);
  return setting.fallback.empty() ? "none" : std::string(setting.fallback);
}

std::string nearest_key(std::string_view key) {
  // Limits the time for a very long key.
  if (key.size() > 64) return {};
  // A key in the wrong section, or without its section, first.
  for (const Setting& s : kSettings)
    if (last_part(s.key) == last_part(key)) return std::string(s.key);
  std::string_view best;
  size_t least = std::max<size_t>(2, key.size() / 3) + 1;
  for (const Setting& s : kSettings) {
    const size_t distance = edit_distance(key, s.key);
    if (distance < least) {
      least = distance;
      best = s.key;
    }
  }
  return std::string(best);
}

}  // namespace rims::config
