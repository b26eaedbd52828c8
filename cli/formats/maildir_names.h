// cli/formats/maildir_names.h - what the names of a Maildir and Dovecot's files beside it say
//
//   cur/1700000000.M1P2.host,S=120,W=124:2,FSab
//       base: everything before ":2,"          info: D R S F T P, and a-z for keywords; on Windows
//                                              ";2," or "!2,"
//   dovecot-uidlist    3 V1700000000 N90 G...  then one line per message: 5 W124
//   :1700000000.M1P2...
//                      1 1700000000 90         then                       5 1700000000.M1P2...
//   dovecot-keywords   0 $Junk                 0 is the letter a
//   courierimapuiddb   1 1700000000 90         as the older form of dovecot-uidlist
//   .Work.2026         folders lie beside each other (Maildir++), names in modified UTF-7, or
//   Work/2026          in each other (Dovecot's LAYOUT=fs)
//
// Pure: bytes in, values out.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/result.h"

namespace rims::cli {

inline constexpr size_t kMaildirLetters = 26;
inline constexpr const char* kForwarded = "$Forwarded";  // the flag P
// Keyword by letter; empty: the letter has none.
using MaildirKeywords = std::array<std::string, kMaildirLetters>;

struct MaildirName {
  std::string base;
  uint8_t flags = 0;                  // store::kSeen ...
  std::vector<std::string> keywords;  // each once
  std::string unknown;                // letters that mean nothing here
};
[[nodiscard]] MaildirName parse_maildir_name(std::string_view name,
                                             const MaildirKeywords& keywords = {});
// The size of the message (S=), where the name has it.
[[nodiscard]] std::optional<uint64_t> size_in_maildir_name(std::string_view base);
// ":2,..." with the letters in ASCII order. Keywords without a letter are left out.
[[nodiscard]] std::string maildir_info(uint8_t flags, const std::vector<std::string>& keywords,
                                       const MaildirKeywords& letters);

// "+0530". Error: it is none.
[[nodiscard]] std::string zone_text(int16_t minutes);
[[nodiscard]] std::optional<int16_t> zone_from_text(std::string_view text);
// The zone in a name that an export gave: 1700000000.R1U5Z+0900.rims. 0: it names none.
[[nodiscard]] int16_t zone_in_maildir_name(std::string_view base);

[[nodiscard]] MaildirKeywords parse_dovecot_keywords(std::string_view text);
[[nodiscard]] std::string dovecot_keywords_text(const MaildirKeywords& keywords);

// By base.
using CourierKeywords = std::unordered_map<std::string, std::vector<std::string>>;
// courierimapkeywords/:list: names, a line each, an empty line, then "base:0 2". Lines and numbers
// that mean nothing are left out.
[[nodiscard]] CourierKeywords parse_courier_keywords(std::string_view text);

struct DovecotUidlist {
  uint32_t uidvalidity = 0, uidnext = 0;
  std::unordered_map<std::string, uint32_t> uids;  // by base
  std::vector<std::string> bad_lines;              // at most ten
};
// Error: syntax, when the first line is not understood.
[[nodiscard]] Result<DovecotUidlist> parse_dovecot_uidlist(std::string_view text);

// Both forms of Dovecot's file: names, levels by '/'. `separator` is that of the older form.
[[nodiscard]] std::vector<std::string> parse_dovecot_subscriptions(std::string_view text,
                                                                   char separator);
[[nodiscard]] std::string dovecot_subscriptions_text(const std::vector<std::string>& names);

// ".Work.2026" -> "Work/2026"; nullopt when it names no folder. What is not modified UTF-7 is
// taken as UTF-8, as some programs write it. "\2e" is a dot inside of a level.
[[nodiscard]] std::optional<std::string> folder_from_directory(std::string_view name);
[[nodiscard]] std::string directory_of_folder(std::string_view mailbox);

}  // namespace rims::cli
