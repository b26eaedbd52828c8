// common/message/preview.cc - which part, its text without markup, and what of it is worth showing

#include "common/message/preview.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/message/header.h"
#include "common/message/mime_field.h"
#include "common/message/text.h"

namespace rims::message {
namespace {

// So many parts without a word are looked into.
constexpr size_t kMostParts = 4;
// Encoded and decoded bytes of one part. Style sheets stand in front of the text, and are long.
constexpr size_t kPartReach = 128 * 1024;
constexpr size_t kMaxHeader = 16 * 1024;

// ---------------------------------------------------------------- what is shown

// Collects characters until there are enough.
class Collector {
 public:
  [[nodiscard]] bool full() const { return count_ == kMaxPreview; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  std::string take() { return std::move(out_); }

  void space() { space_ = true; }
  void add(uint32_t point) {
    if (full()) return;
    if (is_space(point)) return space();
    const bool joins = point == kJoiner && !space_ && count_ > 0;
    if (point == kGraphemeJoiner || (utf8::is_invisible(point) && !joins)) return;
    if (space_ && count_ > 0) {
      // A space that nothing could follow is not put.
      if (count_ + 1 == kMaxPreview) {
        count_ = kMaxPreview;
        return;
      }
      out_ += ' ';
      count_++;
    }
    space_ = false;
    utf8::append(out_, point);
    count_++;
  }
  void add(std::string_view utf8_text) {
    while (!utf8_text.empty() && !full()) {
      const utf8::First first = utf8::first(utf8_text);
      add(first.bytes == 0 ? kReplacement : first.point);
      utf8_text.remove_prefix(std::max<size_t>(first.bytes, 1));
    }
  }

 private:
  static constexpr uint32_t kReplacement = 0xfffd;
  static constexpr uint32_t kJoiner = 0x200d;          // of emoji
  static constexpr uint32_t kGraphemeJoiner = 0x034f;  // filler behind hidden headings

  static bool is_space(uint32_t point) {
    return point == ' ' || (point >= '\t' && point <= '\r') || point == 0xa0 || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 ||
           point == 0x202f || point == 0x205f || point == 0x3000;
  }

  std::string out_;
  size_t count_ = 0;
  bool space_ = false;
};

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t from = line.find_first_not_of(kBlank);
  if (from == line.npos) return {};
  return line.substr(from, line.find_last_not_of(kBlank) - from + 1);
}

std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return line;
}

// "-----", "= = =": nothing to read.
bool is_rule(std::string_view line) {
  return line.size() >= 3 && line.find_first_not_of("-_=*~#+ ") == line.npos;
}

bool is_quoted(std::string_view line) { return line.starts_with('>'); }

// "On Monday A wrote:", perhaps in two lines, in front of what is quoted.
bool introduces_quote(std::string_view line, std::string_view rest) {
  if (!line.ends_with(':')) return false;
  while (!rest.empty()) {
    const std::string_view next = trimmed(take_line(rest));
    if (!next.empty()) return is_quoted(next);
  }
  return false;
}

void add_plain(Collector& out, std::string_view text, bool with_quotes) {
  while (!text.empty() && !out.full()) {
    const std::string_view raw = take_line(text);
    const std::string_view line = trimmed(raw);
    // The signature; mail programs write "-- ".
    if (line == "--" && !out.empty()) return;
    if (line.starts_with("-----Original Message") && !out.empty()) return;
    if (line.starts_with("-----BEGIN PGP MESSAGE")) return;
    out.space();
    if (line.starts_with("-----BEGIN PGP SIGNED")) {
      while (!trimmed(take_line(text)).empty()) {  // the fields of its armor
      }
      continue;
    }
    if (is_rule(line)) continue;
    if (!with_quotes && (is_quoted(line) || introduces_quote(line, text))) continue;
    std::string_view shown = line;
    while (is_quoted(shown)) shown = trimmed(shown.substr(1));
    out.add(shown);
  }
}

// ---------------------------------------------------------------- HTML

// U+00A0 to U+00FF in their order.
constexpr std::array<std::string_view, 96> kLatin1 = {
    "nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",
    "copy",   "ordf",   "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn",
    "sup2",   "sup3",   "acute",  "micro",  "para",   "middot", "cedil",  "sup1",   "ordm",
    "raquo",  "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",  "Atilde",
    "Auml",   "Aring",  "AElig",  "Ccedil", "Egrave", "Eacute", "Ecirc",  "Euml",   "Igrave",
    "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde", "Ograve", "Oacute", "Ocirc",  "Otilde",
    "Ouml",   "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",  "Uuml",   "Yacute", "THORN",
    "szlig",  "agrave", "aacute", "acirc",  "atilde", "auml",   "aring",  "aelig",  "ccedil",
    "egrave", "eacute", "ecirc",  "euml",   "igrave", "iacute", "icirc",  "iuml",   "eth",
    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide", "oslash", "ugrave",
    "uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml"};

struct Entity {
  std::string_view name;
  uint32_t point;
};
constexpr Entity kEntities[] = {
    {"amp", '&'},       {"lt", '<'},        {"gt", '>'},
    {"quot", '"'},      {"apos", '\''},     {"hellip", 0x2026},
    {"mdash", 0x2014},  {"ndash", 0x2013},  {"lsquo", 0x2018},
    {"rsquo", 0x2019},  {"sbquo", 0x201a},  {"ldquo", 0x201c},
    {"rdquo", 0x201d},  {"bdquo", 0x201e},  {"lsaquo", 0x2039},
    {"rsaquo", 0x203a}, {"bull", 0x2022},   {"euro", 0x20ac},
    {"trade", 0x2122},  {"dagger", 0x2020}, {"larr", 0x2190},
    {"uarr", 0x2191},   {"rarr", 0x2192},   {"darr", 0x2193},
    {"hearts", 0x2665}, {"check", 0x2713},  {"minus", 0x2212},
    {"ne", 0x2260},     {"le", 0x2264},     {"ge", 0x2265},
    {"OElig", 0x0152},  {"oelig", 0x0153},  {"Scaron", 0x0160},
    {"scaron", 0x0161}, {"ensp", 0x2002},   {"emsp", 0x2003},
    {"thinsp", 0x2009}, {"zwnj", 0x200c},   {"zwj", 0x200d},
    {"lrm", 0x200e},    {"rlm", 0x200f},    {"ZeroWidthSpace", 0x200b},
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<uint32_t> named(std::string_view name) {
  if (name.size() < 2) return std::nullopt;
  for (const Entity& entity : kEntities)
    if (entity.name == name) return entity.point;
  for (size_t i = 0; i < kLatin1.size(); i++)
    if (kLatin1[i] == name) return static_cast<uint32_t>(0xa0 + i);
  return std::nullopt;
}

// The character that `text`, which begins with "&", names; its length goes to `used`.
std::optional<uint32_t> entity(std::string_view text, size_t& used) {
  constexpr size_t kLongest = 16;
  size_t at = 1;
  if (text.substr(at).starts_with('#')) {
    at++;
    const bool hex = at < text.size() && (text[at] == 'x' || text[at] == 'X');
    if (hex) at++;
    uint32_t point = 0;
    const size_t digits = at;
    for (; at < text.size() && at < digits + kLongest; at++) {
      const char c = text[at];
      uint32_t digit = 0;
      if (is_digit(c))
        digit = static_cast<uint32_t>(c - '0');
      else if (hex && is_letter(c) && ascii::upper(c) <= 'F')
        digit = static_cast<uint32_t>(ascii::upper(c) - 'A' + 10);
      else
        break;
      if (point <= 0x10ffff) point = point * (hex ? 16 : 10) + digit;
    }
    if (at == digits) return std::nullopt;
    used = at < text.size() && text[at] == ';' ? at + 1 : at;
    // As browsers have it, these are bytes of windows-1252.
    if (point >= 0x80 && point < 0xa0)
      point = utf8::first(to_utf8(std::string(1, static_cast<char>(point)), "windows-1252")).point;
    return point == 0 ? 0xfffd : point;
  }
  while (at < text.size() && at < kLongest && (is_letter(text[at]) || is_digit(text[at]))) at++;
  const auto point = named(text.substr(1, at - 1));
  if (point) used = at < text.size() && text[at] == ';' ? at + 1 : at;
  return point;
}

struct Tag {
  std::string name;  // lower case
  bool closes = false;
};

// Takes the tag that `html` begins with; nullopt: it is a "<" of the text. A tag without an end
// takes all that follows.
std::optional<Tag> take_tag(std::string_view& html) {
  constexpr size_t kLongest = 16;
  size_t at = 1;
  Tag tag;
  if (at < html.size() && html[at] == '/') {
    tag.closes = true;
    at++;
  }
  if (at == html.size() || !(is_letter(html[at]) || html[at] == '!' || html[at] == '?'))
    return std::nullopt;
  for (size_t i = at; i < html.size() && i < at + kLongest; i++) {
    if (!is_letter(html[i]) && !is_digit(html[i])) break;
    tag.name += ascii::lower(html[i]);
  }
  char quote = '\0';
  for (; at < html.size(); at++) {
    const char c = html[at];
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if ((c == '"' || c == '\'') && html[at - 1] == '=') {
      quote = c;
    } else if (c == '>') {
      break;
    }
  }
  html.remove_prefix(std::min(html.size(), at + 1));
  return tag;
}

template <size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::ranges::find(names, name) != names.end();
}

// What stands in these is no text.
constexpr std::array<std::string_view, 6> kSkipped = {"style",    "script", "title",
                                                      "template", "xml",    "noframes"};
// These do not part words.
constexpr std::array<std::string_view, 17> kInline = {
    "a",   "abbr", "b",    "code", "em",  "font", "i",   "ins",   "mark",
    "del", "s",    "span", "sub",  "sup", "u",    "wbr", "strong"};

// Up to the closing tag of that name, or all.
void skip_element(std::string_view& html, std::string_view name) {
  for (size_t at = 0; (at = html.find("</", at)) != html.npos; at += 2)
    if (ascii::equal(html.substr(at + 2, name.size()), name)) {
      html.remove_prefix(at);
      return;
    }
  html = {};
}

void add_html(Collector& out, std::string_view html, bool with_quotes) {
  size_t quotes = 0;
  while (!html.empty() && !out.full()) {
    const size_t plain = std::min(html.find_first_of("<&"), html.size());
    const bool shown = quotes == 0 || with_quotes;
    if (shown) out.add(html.substr(0, plain));
    html.remove_prefix(plain);
    if (html.empty()) return;
    if (html.front() == '&') {
      size_t used = 1;
      const auto point = entity(html, used);
      if (shown) out.add(point.value_or('&'));
      html.remove_prefix(used);
      continue;
    }
    if (html.starts_with("<!--")) {
      const size_t end = html.find("-->");
      html.remove_prefix(end == html.npos ? html.size() : end + 3);
      continue;
    }
    const auto tag = take_tag(html);
    if (!tag) {
      if (shown) out.add(uint32_t{'<'});
      html.remove_prefix(1);
      continue;
    }
    if (!is_one_of(tag->name, kInline)) out.space();
    if (!tag->closes && is_one_of(tag->name, kSkipped)) skip_element(html, tag->name);
    if (tag->name != "blockquote") continue;
    if (!tag->closes)
      quotes++;
    else if (quotes > 0)
      quotes--;
  }
}

// ---------------------------------------------------------------- which part

enum class Form { none, plain, html };

Form form_of(const Part& part, std::string_view header) {
  if (part.kind != Kind::text) return Form::none;
  if (ascii::equal(parse_disposition(first_value(header, "Content-Disposition")).type,
                   "attachment"))
    return Form::none;
  const MimeField type = parse_content_type(first_value(header, "Content-Type"));
  if (ascii::equal(type.subtype, "html")) return Form::html;
  // Without a type that can be read, it is text/plain (RFC 2045 §5.2).
  const bool plain = type.type.empty() || type.subtype.empty() ||
                     ascii::equal(type.subtype, "plain") || ascii::equal(type.subtype, "markdown");
  return plain ? Form::plain : Form::none;
}

std::string preview_of(std::string_view header, std::string_view body, Form form) {
  const std::string text = decode_text(header, body.substr(0, kPartReach), kPartReach);
  for (const bool with_quotes : {false, true}) {
    Collector out;
    if (form == Form::html)
      add_html(out, text, with_quotes);
    else
      add_plain(out, text, with_quotes);
    if (!out.empty()) return out.take();
  }
  return {};
}

}  // namespace

std::string make_preview(std::string_view beginning, const StructureView& view) {
  beginning = beginning.substr(0, kPreviewReach);
  // In the order in which they are read; embedded messages are somebody else's words.
  std::vector<uint32_t> coming = {0};
  size_t looked = 0;
  while (!coming.empty() && looked < kMostParts) {
    const Part part = view.part(coming.back());
    coming.pop_back();
    if (part.body.offset >= beginning.size()) continue;
    if (part.kind == Kind::multipart)
      for (uint32_t i = part.child_count; i > 0; i--) coming.push_back(part.first_child + i - 1);
    const std::string_view header = part.header.of(beginning).substr(0, kMaxHeader);
    const Form form = form_of(part, header);
    if (form == Form::none) continue;
    looked++;
    std::string text = preview_of(header, part.body.of(beginning), form);
    if (!text.empty()) return text;
  }
  return {};
}

}  // namespace rims::message
