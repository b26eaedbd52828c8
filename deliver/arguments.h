// deliver/arguments.h - what the MTA wants of rims-deliver: arguments and environment
//
// An address is data, never an option: local parts such as `-x y;id` exist and are passed on by
// MTAs as they are. So options stand alone ("-d"), are never bundled or abbreviated, take the
// whole next argument whatever it looks like, and after "--" only recipients follow.
//
//   Exim refuses tainted arguments, so it gives addresses in the environment:
//     RECIPIENT, or LOCAL_PART with DOMAIN   the recipient
//     SENDER                                 the envelope sender
//     QUEUE_ID, MESSAGE_ID                   the MTA's name for this delivery
//   An argument overrides the environment. Nothing else of the environment is used, except
//   RIMS_CONFIG (common/config/locate.h).
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace rims::deliver {

// How the program ends: a status of <sysexits.h> and one line.
struct Ending {
  int status = 0;
  std::string reason;
  bool operator==(const Ending&) const = default;
};

struct Arguments {
  std::vector<std::string> recipients;  // at least one
  std::string sender;                   // "" for the null sender
  std::string mailbox;                  // "" for INBOX
  std::string config;                   // -c, "" when not given
  std::string socket;                   // -S, "" when not given
  std::string delivery_id;
  unsigned time_limit_s = 60;  // for rims-deliverd's answer
  bool trace_fields = false;   // -r: Return-Path and Delivered-To in front of the message
  bool help = false, version = false;
};

inline constexpr size_t kMaxRecipients = 1000;
inline constexpr unsigned kMaxTimeLimit = 3600;  // seconds

using Environment = std::function<std::optional<std::string>(std::string_view name)>;

// `argv` without the program's name.
[[nodiscard]] std::variant<Arguments, Ending> read_arguments(std::span<const char* const> argv,
                                                             const Environment& environment);

// For -h; ends with a newline.
[[nodiscard]] std::string_view usage();

}  // namespace rims::deliver
