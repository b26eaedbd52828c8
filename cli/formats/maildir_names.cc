// cli/formats/maildir_names.cc - names of files and folders, and the small files of Dovecot and
// Courier

#include "cli/formats/maildir_names.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/encoding.h"
#include "common/imap/mailbox_name.h"
#include "common/mail/types.h"

namespace rims::cli {
namespace {

constexpr std::pair<char, uint8_t> kLetters[] = {{'D', store::kDraft},
                                                 {'F', store::kFlagged},
                                                 {'R', store::kAnswered},
                                                 {'S', store::kSeen},
                                                 {'T', store::kDeleted}};

template <class Number>
std::optional<Number> to_number(std::string_view text) {
  Number n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

// The next line of `text`, without its end; both move on.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string_view take_word(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

// "\2e" -> "."; a backslash before anything else stands for itself.
std::string unescape_level(std::string_view level) {
  std::string out;
  for (size_t i = 0; i < level.size(); i++) {
    if (level[i] == '\\' && i + 2 < level.size()) {
      if (const auto byte = from_hex(level.substr(i + 1, 2))) {
        out += *byte;
        i += 2;
        continue;
      }
    }
    out += level[i];
  }
  return out;
}

// Dovecot's tab escapes: \001 before 0 (NUL), 1 (\001), t, r, n.
std::string tab_unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '\001' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    out += c == '0'   ? '\0'
           : c == '1' ? '\001'
           : c == 't' ? '\t'
           : c == 'r' ? '\r'
           : c == 'n' ? '\n'
                      : c;
  }
  return out;
}

}  // namespace

MaildirName parse_maildir_name(std::string_view name, const MaildirKeywords& keywords) {
  MaildirName out;
  size_t info = std::string_view::npos;
  for (const char* separator : {":2,", ";2,", "!2,"}) {
    if (info == std::string_view::npos) info = name.rfind(separator);
  }
  out.base = name.substr(0, std::min(info, name.find(':')));
  if (info == std::string_view::npos) return out;
  const auto add = [&out](const std::string& keyword) {
    if (std::ranges::none_of(out.keywords, [&](const auto& k) { return ascii::equal(k, keyword); }))
      out.keywords.push_back(keyword);
  };
  for (const char c : name.substr(info + 3)) {
    if (c == ',') break;  // what follows belongs to other programs
    const auto* letter = std::ranges::find(kLetters, c, &std::pair<char, uint8_t>::first);
    if (letter != std::end(kLetters))
      out.flags |= letter->second;
    else if (c == 'P')
      add(kForwarded);
    else if (c >= 'a' && c <= 'z' && !keywords[static_cast<size_t>(c - 'a')].empty())
      add(keywords[static_cast<size_t>(c - 'a')]);
    else
      out.unknown += c;
  }
  return out;
}

std::optional<uint64_t> size_in_maildir_name(std::string_view base) {
  for (size_t at = base.find(','); at != std::string_view::npos;) {
    const size_t end = base.find(',', at + 1);
    const std::string_view field =
        base.substr(at + 1, end == std::string_view::npos ? end : end - at - 1);
    if (field.starts_with("S=")) return to_number<uint64_t>(field.substr(2));
    at = end;
  }
  return std::nullopt;
}

std::string maildir_info(uint8_t flags, const std::vector<std::string>& keywords,
                         const MaildirKeywords& letters) {
  std::string out;
  for (const auto& [letter, flag] : kLetters) {
    if ((flags & flag) != 0) out += letter;
  }
  for (const auto& keyword : keywords) {
    if (ascii::equal(keyword, kForwarded)) out += 'P';
    for (size_t i = 0; i < letters.size(); i++) {
      if (!letters[i].empty() && ascii::equal(letters[i], keyword))
        out += static_cast<char>('a' + i);
    }
  }
  std::ranges::sort(out);
  return ":2," + out;
}

std::string zone_text(int16_t minutes) {
  const int n = std::abs(minutes);
  return fmt::format("{}{:02}{:02}", minutes < 0 ? '-' : '+', n / 60, n % 60);
}

std::optional<int16_t> zone_from_text(std::string_view text) {
  if (text.size() != 5 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const auto hours = to_number<uint16_t>(text.substr(1, 2));
  const auto minutes = to_number<uint16_t>(text.substr(3));
  if (!hours || !minutes || *minutes > 59) return std::nullopt;
  const int all = *hours * 60 + *minutes;
  return static_cast<int16_t>(text[0] == '-' ? -all : all);
}

int16_t zone_in_maildir_name(std::string_view base) {
  // <digits>.R<digits>U<digits>Z+hhmm.rims
  const auto skip = [&base](std::string_view letter) {
    if (!base.starts_with(letter)) return false;
    base.remove_prefix(letter.size());
    const size_t digits = std::min(base.find_first_not_of("0123456789"), base.size());
    base.remove_prefix(digits);
    return digits > 0;
  };
  if (base.starts_with('-')) base.remove_prefix(1);
  if (!skip("") || !skip(".R") || !skip("U") || !base.starts_with('Z') || base.find(".rims") != 6)
    return 0;
  return zone_from_text(base.substr(1, 5)).value_or(0);
}

MaildirKeywords parse_dovecot_keywords(std::string_view text) {
  MaildirKeywords keywords;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    const auto index = to_number<size_t>(take_word(line));
    if (index && *index < keywords.size() && !line.empty()) keywords[*index] = line;
  }
  return keywords;
}

std::string dovecot_keywords_text(const MaildirKeywords& keywords) {
  std::string out;
  for (size_t i = 0; i < keywords.size(); i++) {
    if (!keywords[i].empty()) out += std::to_string(i) + ' ' + keywords[i] + '\n';
  }
  return out;
}

CourierKeywords parse_courier_keywords(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::string_view name = take_line(text);
    if (name.empty()) break;
    names.emplace_back(name);
  }
  CourierKeywords keywords;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    // The name of a file may have colons in it, the numbers have none.
    const size_t colon = line.rfind(':');
    if (colon == line.npos || colon == 0) continue;
    std::vector<std::string>& own = keywords[std::string(line.substr(0, colon))];
    std::string_view numbers = line.substr(colon + 1);
    while (!numbers.empty()) {
      const auto number = to_number<size_t>(take_word(numbers));
      if (number && *number < names.size()) own.push_back(names[*number]);
    }
  }
  return keywords;
}

Result<DovecotUidlist> parse_dovecot_uidlist(std::string_view text) {
  DovecotUidlist list;
  std::string_view head = take_line(text);
  const std::string_view version = take_word(head);
  if (version == "3") {
    while (!head.empty()) {
      const std::string_view word = take_word(head);
      if (word.empty()) continue;
      const auto n = to_number<uint32_t>(word.substr(1));
      if (word[0] == 'V' && n) list.uidvalidity = *n;
      if (word[0] == 'N' && n) list.uidnext = *n;
    }
  } else if (version == "1") {
    list.uidvalidity = to_number<uint32_t>(take_word(head)).value_or(0);
    list.uidnext = to_number<uint32_t>(take_word(head)).value_or(0);
  }
  if (list.uidvalidity == 0)
    return fail(Fault::syntax, "the first line names no version 1 or 3 and no UIDVALIDITY");
  while (!text.empty()) {
    const std::string_view whole = take_line(text);
    std::string_view line = whole;
    const auto uid = to_number<uint32_t>(take_word(line));
    if (version == "3") {
      // Fields until the one that begins with a colon, which is the name.
      while (!line.empty() && line[0] != ':') (void)take_word(line);
      if (!line.empty()) line.remove_prefix(1);
    }
    const std::string base(line.substr(0, line.find(':')));
    if (!uid || *uid == 0 || base.empty()) {
      if (!whole.empty() && list.bad_lines.size() < 10) list.bad_lines.emplace_back(whole);
      continue;
    }
    list.uids[base] = *uid;  // a message that got a new uid has a later line
  }
  return list;
}

std::vector<std::string> parse_dovecot_subscriptions(std::string_view text, char separator) {
  std::vector<std::string> names;
  const bool levels = text.starts_with("V\t2\n");
  if (levels) (void)take_line(text);
  while (!text.empty()) {
    std::string_view line = take_line(text);
    if (line.empty()) continue;
    std::string name;
    while (true) {
      const size_t end = std::min(line.find(levels ? '\t' : separator), line.size());
      std::string level(line.substr(0, end));
      if (levels) level = tab_unescape(level);
      name += imap::from_modified_utf7(level).value_or(level);
      if (end == line.size()) break;
      name += '/';
      line.remove_prefix(end + 1);
    }
    names.push_back(imap::canonical_inbox(std::move(name)));
  }
  return names;
}

std::string dovecot_subscriptions_text(const std::vector<std::string>& names) {
  std::string out = "V\t2\n\n";
  for (const auto& name : names) {
    std::string line = imap::to_modified_utf7(name);
    std::ranges::replace(line, '/', '\t');
    out += line + '\n';
  }
  return out;
}

std::optional<std::string> folder_from_directory(std::string_view name) {
  if (name.size() < 2 || name[0] != '.') return std::nullopt;
  name.remove_prefix(1);
  std::string out;
  while (true) {
    const size_t end = std::min(name.find('.'), name.size());
    if (end == 0) return std::nullopt;
    const std::string level = unescape_level(name.substr(0, end));
    out += imap::from_modified_utf7(level).value_or(level);
    if (end == name.size()) break;
    out += '/';
    name.remove_prefix(end + 1);
  }
  return imap::canonical_inbox(std::move(out));
}

std::string directory_of_folder(std::string_view mailbox) {
  std::string out = ".";
  for (const char c : imap::to_modified_utf7(mailbox)) {
    if (c == '/')
      out += '.';
    else if (c == '.' || c == '\\')
      out += c == '.' ? "\\2e" : "\\5c";
    else
      out += c;
  }
  return out;
}

}  // namespace rims::cli
