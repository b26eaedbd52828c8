// cli/formats/mbox.cc - separators, quoting, and the fields that hold flags

#include "cli/formats/mbox.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/mail/types.h"
#include "common/message/date.h"

namespace rims::cli {
namespace {

constexpr std::string_view kFrom = "From ";

// The line at `at`, with its line end.
std::string_view line_at(std::string_view text, size_t at) {
  const size_t end = text.find('\n', at);
  return text.substr(at, end == text.npos ? text.npos : end + 1 - at);
}

std::string_view without_end(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> list;
  for (size_t at = 0; at < text.size();) {
    const size_t from = text.find_first_not_of(" \t\r\n", at);
    if (from == text.npos) break;
    at = std::min(text.find_first_of(" \t\r\n", from), text.size());
    list.push_back(text.substr(from, at - from));
  }
  return list;
}

std::optional<uint32_t> to_number(std::string_view text) {
  uint32_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

bool is_year(std::string_view word) {
  const auto n = to_number(word);
  return word.size() == 4 && n && *n >= 1970;
}

bool is_time(std::string_view word) {
  return word.size() >= 4 && word.size() <= 8 && word.find(':') != word.npos &&
         word.find_first_not_of("0123456789:") == word.npos;
}

bool named(std::string_view line, std::string_view field) {
  return line.size() > field.size() && line[field.size()] == ':' &&
         ascii::equal(line.substr(0, field.size()), field);
}

enum class Field : uint8_t { status, x_status, keywords, uid, base, none };

Field field_of(std::string_view line) {
  if (named(line, "Status")) return Field::status;
  if (named(line, "X-Status")) return Field::x_status;
  if (named(line, "X-Keywords")) return Field::keywords;
  if (named(line, "X-UID")) return Field::uid;
  if (named(line, "X-IMAPbase") || named(line, "X-IMAP")) return Field::base;
  return Field::none;
}

void take_field(MboxMessage& m, Field field, std::string_view value) {
  switch (field) {
    case Field::status:
    case Field::x_status:
      for (const char c : value) {
        if (c == 'R' && field == Field::status) m.flags |= store::kSeen;
        if (c == 'D') m.flags |= store::kDeleted;
        if (field == Field::status) continue;
        if (c == 'A') m.flags |= store::kAnswered;
        if (c == 'F') m.flags |= store::kFlagged;
        if (c == 'T') m.flags |= store::kDraft;
      }
      break;
    case Field::keywords:
      for (const auto word : words(value)) m.keywords.emplace_back(word);
      break;
    case Field::uid:
      for (const auto word : words(value)) m.uid = to_number(word).value_or(0);
      break;
    case Field::base: {
      const auto list = words(value);
      if (list.size() < 2) break;
      m.uidvalidity = to_number(list[0]).value_or(0);
      m.last_uid = to_number(list[1]).value_or(0);
      break;
    }
    case Field::none:
      break;
  }
}

// True for a line that has one more > in the file than in the message.
bool quoted(std::string_view line, MboxQuoting quoting) {
  const size_t marks = std::min(line.find_first_not_of('>'), line.size());
  return marks > 0 && (marks == 1 || quoting == MboxQuoting::mboxrd) &&
         line.substr(marks).starts_with(kFrom);
}

constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

}  // namespace

std::optional<MboxDate> parse_separator(std::string_view line) {
  line = without_end(line);
  if (!line.starts_with(kFrom) || line.size() > 1000) return std::nullopt;
  const auto all = words(line.substr(kFrom.size()));
  // [sender] Www Mmm dd hh:mm[:ss] [zone] yyyy [zone]; the sender may have spaces in it.
  for (size_t i = 0; i + 4 < all.size(); i++) {
    if (std::ranges::find(kDays, all[i]) == kDays.end() ||
        std::ranges::find(kMonths, all[i + 1]) == kMonths.end() || !is_time(all[i + 3]))
      continue;
    size_t year = i + 4;
    std::string_view zone = "+0000";
    if (!is_year(all[year])) zone = all[year++];
    if (year >= all.size() || !is_year(all[year])) continue;
    if (year + 1 < all.size()) zone = all[year + 1];
    const auto date = message::parse_date(
        fmt::format("{} {} {} {} {}", all[i + 2], all[i + 1], all[year], all[i + 3], zone));
    if (!date) continue;
    return MboxDate{date->utc_seconds(), static_cast<int16_t>(date->zone_minutes)};
  }
  return std::nullopt;
}

bool find_mbox_messages(std::string_view file, std::vector<MboxPlace>& places) {
  places.clear();
  if (file.empty()) return true;
  if (!file.starts_with(kFrom)) return false;
  bool after_empty = true;
  for (size_t at = 0; at < file.size();) {
    const std::string_view line = line_at(file, at);
    if (after_empty && line.starts_with(kFrom) && (at == 0 || parse_separator(line))) {
      if (!places.empty()) places.back().length = at - places.back().offset;
      places.push_back({at, 0});
    }
    after_empty = without_end(line).empty();
    at += line.size();
  }
  places.back().length = file.size() - places.back().offset;
  return true;
}

MboxMessage parse_mbox_message(std::string_view text, MboxQuoting quoting) {
  MboxMessage m;
  const std::string_view separator = line_at(text, 0);
  if (const auto date = parse_separator(separator)) {
    m.date = date->seconds;
    m.zone = date->zone;
  }
  text.remove_prefix(std::min(separator.size(), text.size()));
  // The empty line before the next separator, which is not the one that ends the header.
  if (text.ends_with("\n\r\n") && text.size() > 3)
    text.remove_suffix(2);
  else if (text.ends_with("\n\n"))
    text.remove_suffix(1);

  m.bytes.reserve(text.size());
  bool header = true, dropping = false;
  Field field = Field::none;
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = line_at(text, at);
    at += line.size();
    if (header) {
      const std::string_view bare = without_end(line);
      if (bare.empty()) {
        header = false;
      } else if (dropping && (bare[0] == ' ' || bare[0] == '\t')) {
        take_field(m, field, bare);
        continue;
      } else {
        field = field_of(bare);
        dropping = field != Field::none;
        if (dropping) {
          take_field(m, field, bare.substr(bare.find(':') + 1));
          continue;
        }
      }
    }
    m.bytes += quoted(line, quoting) ? line.substr(1) : line;
  }
  return m;
}

std::string mbox_text(const MboxMessage& message) {
  const std::string_view bytes = message.bytes;
  // In a separator, a year has four digits.
  const std::time_t seconds = std::clamp<int64_t>(message.date, 0, 253'402'300'799);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::string out =
      fmt::format("From MAILER-DAEMON {} {} {:2} {:02}:{:02}:{:02} {:04}\n",
                  kDays[static_cast<size_t>(utc.tm_wday)], kMonths[static_cast<size_t>(utc.tm_mon)],
                  utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, utc.tm_year + 1900);
  out.reserve(out.size() + bytes.size() + 256);
  const auto fields = [&] {
    if (message.uidvalidity != 0)
      out += fmt::format("X-IMAPbase: {} {:010}\n", message.uidvalidity, message.last_uid);
    if (message.uid != 0) out += fmt::format("X-UID: {}\n", message.uid);
    out += (message.flags & store::kSeen) != 0 ? "Status: RO\n" : "Status: O\n";
    std::string status;
    if ((message.flags & store::kAnswered) != 0) status += 'A';
    if ((message.flags & store::kFlagged) != 0) status += 'F';
    if ((message.flags & store::kDraft) != 0) status += 'T';
    if ((message.flags & store::kDeleted) != 0) status += 'D';
    if (!status.empty()) out += "X-Status: " + status + '\n';
    if (!message.keywords.empty()) {
      out += "X-Keywords:";
      for (const auto& keyword : message.keywords) out += ' ' + keyword;
      out += '\n';
    }
  };
  bool header = true;
  for (size_t at = 0; at < bytes.size();) {
    const std::string_view line = line_at(bytes, at);
    at += line.size();
    if (header && without_end(line).empty()) {
      header = false;
      fields();
    }
    const size_t marks = std::min(line.find_first_not_of('>'), line.size());
    if (line.substr(marks).starts_with(kFrom)) out += '>';
    out += line;
  }
  if (!out.ends_with('\n')) out += '\n';
  if (header) fields();
  return out + '\n';
}

}  // namespace rims::cli
