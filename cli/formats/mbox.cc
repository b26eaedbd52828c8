// cli/formats/mbox.cc - separators, quoting, and the fields that hold flags

#include "cli/formats/mbox.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/formats/maildir_names.h"
#include "common/base/ascii.h"
#include "common/mail/types.h"
#include "common/message/date.h"

namespace rims::cli {
namespace {

constexpr std::string_view kFrom = "From ";
constexpr std::string_view kSender = "MAILER-DAEMON";  // in separators that are written

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

std::optional<uint32_t> to_number(std::string_view text, int base = 10) {
  uint32_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

bool is_year(std::string_view word) {
  const auto n = to_number(word);
  return word.size() == 4 && n && *n >= 1;
}

bool is_time(std::string_view word) {
  return word.size() >= 4 && word.size() <= 8 && word.find(':') != word.npos &&
         word.find_first_not_of("0123456789:") == word.npos;
}

// What is before the colon, without white space; empty: the line is not the begin of a field.
std::string_view field_name(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == line.npos) return {};
  const size_t last = line.substr(0, colon).find_last_not_of(" \t");
  return line.substr(0, last == line.npos ? 0 : last + 1);
}

enum class Field : uint8_t {
  status,
  x_status,
  keywords,
  uid,
  base,
  mozilla_status,
  mozilla_status2,
  mozilla_keys,
  other,  // means nothing here, but something to other readers
  none
};
constexpr std::pair<std::string_view, Field> kFields[] = {
    {"Status", Field::status},
    {"X-Status", Field::x_status},
    {"X-Keywords", Field::keywords},
    {"X-UID", Field::uid},
    {"X-IMAPbase", Field::base},
    {"X-IMAP", Field::base},
    {"X-Mozilla-Status", Field::mozilla_status},
    {"X-Mozilla-Status2", Field::mozilla_status2},
    {"X-Mozilla-Keys", Field::mozilla_keys},
    {"X-Evolution", Field::other},
    {"Content-Length", Field::other},
};
constexpr std::string_view kKept = "X-RIMS-Kept-";

Field field_of(std::string_view name) {
  for (const auto& [known, field] : kFields) {
    if (ascii::equal(known, name)) return field;
  }
  return Field::none;
}

bool has_mark(std::string_view name) {
  return name.size() > kKept.size() && ascii::equal(name.substr(0, kKept.size()), kKept);
}

// Thunderbird writes these above what a message came with, where no sender can have put them.
bool is_mozilla(Field field) {
  return field == Field::mozilla_status || field == Field::mozilla_status2 ||
         field == Field::mozilla_keys;
}

// One of the fields above, with any number of marks before it.
bool is_of_file(std::string_view name) {
  while (has_mark(name)) name.remove_prefix(kKept.size());
  return field_of(name) != Field::none;
}

void add_keyword(MboxMessage& m, std::string_view keyword) {
  if (std::ranges::none_of(m.keywords, [&](const auto& k) { return ascii::equal(k, keyword); }))
    m.keywords.emplace_back(keyword);
}

// The bits of Thunderbird's database, as it writes them into the file.
void take_mozilla(MboxMessage& m, Field field, uint32_t bits) {
  if (field == Field::mozilla_status) {
    if ((bits & 0x0001) != 0) m.flags |= store::kSeen;
    if ((bits & 0x0002) != 0) m.flags |= store::kAnswered;
    if ((bits & 0x0004) != 0) m.flags |= store::kFlagged;
    if ((bits & 0x0008) != 0) m.flags |= store::kDeleted;
    m.expunged = m.expunged || (bits & 0x0008) != 0;
    if ((bits & 0x1000) != 0) add_keyword(m, kForwarded);
    return;
  }
  if ((bits & 0x0020'0000) != 0) m.flags |= store::kDeleted;
  if ((bits & 0x0080'0000) != 0) add_keyword(m, "$MDNSent");
  const uint32_t label = bits >> 25 & 7;
  if (label > 0) add_keyword(m, fmt::format("$label{}", label));
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
    case Field::mozilla_keys:
      for (const auto word : words(value)) add_keyword(m, word);
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
    case Field::mozilla_status:
    case Field::mozilla_status2:
      for (const auto word : words(value)) take_mozilla(m, field, to_number(word, 16).value_or(0));
      break;
    case Field::other:
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

// What a separator can say: years of four digits.
constexpr int64_t kFirst = -62'135'596'800, kLast = 253'402'300'799;

std::optional<MboxDate> separator_date(const message::DateTime& date) {
  const int64_t seconds = date.utc_seconds();
  if (seconds < kFirst || seconds > kLast) return std::nullopt;
  return MboxDate{seconds, static_cast<int16_t>(date.zone_minutes)};
}

// "Subject: hello": what a header begins with, and text hardly.
bool is_field(std::string_view line) {
  const size_t colon =
      line.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-");
  if (colon == 0 || colon == line.npos || line[colon] != ':') return false;
  const std::string_view value = without_end(line.substr(colon + 1));
  return value.empty() || value[0] == ' ' || value[0] == '\t';
}

// How much what follows looks like the header of a mail.
enum class Header : uint8_t {
  none,
  likely,  // nothing but fields up to the empty line, two at least, and one that each mail has
  full,    // and From among them, with two more that programs write and people do not
};
Header header_in(std::string_view text) {
  constexpr std::string_view kUsual[] = {"To", "Subject", "Cc"};
  constexpr std::string_view kOfPrograms[] = {"Date",       "Received",     "Return-Path",
                                              "Message-ID", "MIME-Version", "Content-Type"};
  unsigned fields = 0, of_programs = 0;
  bool usual = false, from = false;
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = line_at(text, at);
    at += line.size();
    if (without_end(line).empty()) break;
    if (fields > 0 && (line[0] == ' ' || line[0] == '\t')) continue;
    if (!is_field(line)) return Header::none;
    fields++;
    const auto is_one = [&](std::string_view name) { return ascii::equal(name, field_name(line)); };
    from = from || is_one("From");
    usual = usual || std::ranges::any_of(kUsual, is_one);
    of_programs += std::ranges::any_of(kOfPrograms, is_one) ? 1 : 0;
  }
  if (fields > 1 && from && of_programs > 1) return Header::full;
  return fields > 1 && (usual || from || of_programs > 0) ? Header::likely : Header::none;
}

// The line at `at` begins with From: does it begin a message?
bool is_separator(std::string_view file, size_t at, bool after_empty) {
  const std::string_view line = line_at(file, at);
  const std::string_view behind = file.substr(at + line.size());
  if (parse_separator(line)) return after_empty || is_field(line_at(behind, 0));
  if (!after_empty) return false;
  const auto all = words(line.substr(kFrom.size()));
  const bool has_sender = all.size() == 1 || (!all.empty() && all[0].contains('@'));
  return header_in(behind) >= (has_sender ? Header::likely : Header::full);
}

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
    if (year < all.size() && all[year] == "DST") year++;  // "MET DST 2003"
    if (year >= all.size() || !is_year(all[year])) continue;
    if (year + 1 < all.size()) zone = all[year + 1];
    const auto date = message::parse_date(
        fmt::format("{} {} {} {} {}", all[i + 2], all[i + 1], all[year], all[i + 3], zone));
    if (date) return separator_date(*date);
  }
  // As in a Date field: Www, dd Mmm yyyy hh:mm:ss zone
  for (const auto word : all) {
    if (!word.ends_with(',') ||
        std::ranges::find(kDays, word.substr(0, word.size() - 1)) == kDays.end())
      continue;
    const auto date =
        message::parse_date(line.substr(static_cast<size_t>(word.data() - line.data())));
    if (date) return separator_date(*date);
  }
  return std::nullopt;
}

size_t end_of_mbox_message(std::string_view file, size_t at) {
  bool after_empty = false;
  for (at += line_at(file, at).size(); at < file.size();) {
    const std::string_view line = line_at(file, at);
    if (line.starts_with(kFrom) && is_separator(file, at, after_empty)) return at;
    after_empty = without_end(line).empty();
    at += line.size();
  }
  return file.size();
}

bool find_mbox_messages(std::string_view file, std::vector<MboxPlace>& places) {
  places.clear();
  if (file.empty()) return true;
  if (!file.starts_with(kFrom)) return false;
  for (size_t at = 0; at < file.size();) {
    const size_t end = end_of_mbox_message(file, at);
    places.push_back({at, end - at});
    at = end;
  }
  return true;
}

MboxMessage parse_mbox_message(std::string_view text, MboxQuoting quoting) {
  MboxMessage m;
  const std::string_view separator = line_at(text, 0);
  if (const auto date = parse_separator(separator)) {
    m.dated = true;
    m.date = date->seconds;
    m.zone = date->zone;
    const auto first = words(separator.substr(kFrom.size()))[0];
    if (first.starts_with(kSender) && first.substr(kSender.size()).starts_with('/'))
      m.zone = zone_from_text(first.substr(kSender.size() + 1)).value_or(m.zone);
  }
  text.remove_prefix(std::min(separator.size(), text.size()));
  // The empty line before the next separator, which is not the one that ends the header.
  if (text.ends_with("\n\r\n") && text.size() > 3)
    text.remove_suffix(2);
  else if (text.ends_with("\n\n"))
    text.remove_suffix(1);

  m.bytes.reserve(text.size());
  bool header = true, dropping = false, top = true;
  Field field = Field::none;
  for (size_t at = 0; at < text.size();) {
    std::string_view line = line_at(text, at);
    at += line.size();
    if (header) {
      const std::string_view bare = without_end(line);
      if (bare.empty()) {
        header = false;
      } else if (bare[0] == ' ' || bare[0] == '\t') {
        if (dropping) {
          take_field(m, field, bare);
          continue;
        }
      } else {
        const std::string_view name = field_name(bare);
        field = field_of(name);
        if (is_mozilla(field) && !top) field = Field::other;
        // Some have put a second separator there, and quoted it.
        top = top && (is_mozilla(field) || ascii::equal(name, "X-Account-Key") ||
                      ascii::equal(name, "X-UIDL") || bare.starts_with(">From "));
        dropping = field != Field::none && field != Field::other;
        if (dropping) {
          take_field(m, field, bare.substr(bare.find(':') + 1));
          continue;
        }
        if (has_mark(name) && is_of_file(name)) line.remove_prefix(kKept.size());
      }
    }
    m.bytes += quoted(line, quoting) ? line.substr(1) : line;
  }
  return m;
}

std::string mbox_text(const MboxMessage& message) {
  const std::string_view bytes = message.bytes;
  const std::time_t seconds = std::clamp(message.date, kFirst, kLast);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::string out =
      fmt::format("From {}{} {} {} {:2} {:02}:{:02}:{:02} {:04}\n", kSender,
                  message.zone == 0 ? "" : "/" + zone_text(message.zone),
                  kDays[static_cast<size_t>(utc.tm_wday)], kMonths[static_cast<size_t>(utc.tm_mon)],
                  utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, utc.tm_year + 1900);
  out.reserve(out.size() + bytes.size() + 256);
  const auto fields = [&] {
    if (message.uidvalidity != 0)
      out += fmt::format("X-IMAPbase: {} {:010}{}{}\n", message.uidvalidity, message.last_uid,
                         message.all_keywords.empty() ? "" : " ",
                         fmt::join(message.all_keywords, " "));
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
    if (header && line[0] != ' ' && line[0] != '\t' && is_of_file(field_name(line))) out += kKept;
    out += line;
  }
  if (!out.ends_with('\n')) out += '\n';
  if (header) fields();
  return out + '\n';
}

}  // namespace rims::cli
