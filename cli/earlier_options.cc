// cli/earlier_options.cc - the table of earlier options

#include "cli/earlier_options.h"

#include <cstdio>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace rims::cli {
namespace {

constexpr std::string_view kNoProtocolLog =
    "there is no log of the protocol; `--log-level=debug' logs each command";
constexpr std::string_view kBuiltIn = "all that RIMS can do is built in";
constexpr std::string_view kNoWaits = "RIMS does not wait at such a place";
constexpr std::string_view kOwnBounds = "RIMS has bounds of its own for that";
constexpr std::string_view kCharsets = "the character sets are those of ICU";
constexpr std::string_view kUsers =
    "users stand in user_list of the configuration, or `--username' and `--password' name one";
constexpr std::string_view kTextStore =
    "messages are kept in a journal, which always has checksums";

struct Row {
  char letter = 0;
  const char* name;
  OptionKind kind;
  const char* now;       // today's setting; nullptr: see `why`
  std::string_view why;  // it has no effect, or is refused
  bool refused = false;
};

constexpr auto value = OptionKind::value;
constexpr auto flag = OptionKind::flag;
constexpr auto negatable = OptionKind::negatable;

constexpr Row kRows[] = {
    {'r', "required-feature", value, nullptr, kBuiltIn},
    {0, "load-library", value, nullptr, kBuiltIn},
    {0, "protocol-log-file", value, nullptr, kNoProtocolLog},
    {'p', "protocol-log-level", value, nullptr, kNoProtocolLog},
    {0, "protocol-log-shift-age", value, nullptr, kNoProtocolLog},
    {0, "protocol-log-shift-age-daily", flag, nullptr, kNoProtocolLog},
    {0, "protocol-log-shift-age-weekly", flag, nullptr, kNoProtocolLog},
    {0, "protocol-log-shift-age-monthly", flag, nullptr, kNoProtocolLog},
    {0, "protocol-log-shift-size", value, nullptr, kNoProtocolLog},
    {0, "daemonize", negatable, nullptr,
     "`rims daemon start' starts it in the background, `rims server' in the foreground"},
    {0, "daemon-debug", negatable, nullptr, "`--log-level=debug' tells more"},
    {0, "daemon-umask", value, nullptr, "mail and logs are never open to others"},
    {0, "status-file", value, "paths.pid_file", ""},
    {0, "accept-polling-timeout", value, nullptr, kNoWaits},
    {0, "process-num", value, "processes.imapd_workers", ""},
    {0, "process-queue-size", value, nullptr, "see limits.connections"},
    {0, "process-queue-polling-timeout", value, nullptr, kNoWaits},
    {0, "process-send-io-polling-timeout", value, nullptr, kNoWaits},
    {0, "thread-num", value, nullptr, "a process serves many users; see processes.imapd_workers"},
    {0, "thread-queue-size", value, nullptr, "see limits.connections"},
    {0, "thread-queue-polling-timeout", value, nullptr, kNoWaits},
    {0, "send-buffer-limit", value, nullptr, kOwnBounds},
    {0, "read-polling-interval", value, nullptr, kNoWaits},
    {0, "command-wait-timeout", value, "limits.inactivity_timeout", ""},
    {0, "line-length-limit", value, "limits.line_size", ""},
    {0, "literal-size-limit", value, "limits.message_size", ""},
    {0, "command-size-limit", value, nullptr, "see limits.line_size and limits.message_size"},
    {0, "use-default-charset-aliases", negatable, nullptr, kCharsets},
    {0, "add-charset-alias", value, nullptr, kCharsets},
    {0, "replace-charset-invalid", negatable, nullptr, kCharsets},
    {0, "replace-charset-undef", negatable, nullptr, kCharsets},
    {0, "charset-replaced-mark", value, nullptr, kCharsets},
    {0, "drb-process-num", value, nullptr, "see processes.imapd_workers"},
    {0, "drb-load-limit", value, nullptr, kOwnBounds},
    {0, "bulk-response-count", value, nullptr, kOwnBounds},
    {0, "bulk-response-size", value, nullptr, kOwnBounds},
    {0, "read-lock-timeout", value, nullptr, kNoWaits},
    {0, "write-lock-timeout", value, nullptr, kNoWaits},
    {0, "cleanup-write-lock-timeout", value, nullptr, kNoWaits},
    {0, "meta-kvs-type", value, "key_value_store_type", ""},
    {0, "meta-kvs-config", value, nullptr, "the index needs none"},
    {0, "use-meta-kvs-checksum", negatable, "use_key_value_store_checksum", ""},
    {0, "text-kvs-type", value, nullptr, kTextStore},
    {0, "text-kvs-config", value, nullptr, kTextStore},
    {0, "use-text-kvs-checksum", negatable, nullptr, kTextStore},
    {0, "auth-hostname", value, "hostname", ""},
    {0, "passwd-config", OptionKind::secret, nullptr, kUsers, true},
    {0, "passwd-file", value, nullptr, kUsers, true},
    {0, "mail-delivery-user", value, "mail_delivery_user", ""},
};

// "0.0.0.0:1430", "[::1]:1430", "tcp://..."
Status listen_on(ServerOptions& options, std::string_view text) {
  if (text.starts_with("tcp://")) text.remove_prefix(6);
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.contains('/'))
    return fail(Fault::syntax, "expected an address and a port of TCP, as in 0.0.0.0:143");
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (!host.empty()) options.overrides.emplace_back("imap_host", host);
  options.overrides.emplace_back("imap_port", text.substr(colon + 1));
  return {};
}

}  // namespace

void add_earlier_options(OptionParser& parser, ServerOptions& options) {
  for (const Row& row : kRows) {
    Option option{.letter = row.letter,
                  .name = row.name,
                  .kind = row.kind,
                  .value_name = "VALUE",
                  .help = {},
                  .take = {},
                  .earlier = true};
    option.take = [&options, &row](std::string_view given) -> Status {
      if (row.now)
        options.overrides.emplace_back(row.now, given);
      else if (row.refused)
        return fail(Fault::syntax, std::string(row.why));
      else
        std::fprintf(stderr, "warning: `--%s' has no effect: %.*s.\n", row.name,
                     static_cast<int>(row.why.size()), row.why.data());
      return {};
    };
    parser.add(std::move(option));
  }
  parser.add({.letter = 's',
              .name = "listen",
              .kind = value,
              .value_name = "HOST_PORT",
              .help = {},
              .take = [&options](std::string_view given) { return listen_on(options, given); },
              .earlier = true});
}

}  // namespace rims::cli
