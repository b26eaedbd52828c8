// common/message/base_subject.cc - the rules of RFC 5256 §5, "subject", from both ends

#include "common/message/base_subject.h"

#include <algorithm>

#include "common/base/ascii.h"

namespace rims::message {
namespace {

bool starts_with(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && ascii::equal(text.substr(0, lower.size()), lower);
}

bool ends_with(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         ascii::equal(text.substr(text.size() - lower.size()), lower);
}

std::string_view without_spaces(std::string_view text) {
  const size_t from = std::min(text.find_first_not_of(' '), text.size());
  return text.substr(from);
}

// What is left behind subj-blob = "[" *BLOBCHAR "]" *WSP; `text` itself when there is none.
std::string_view after_blob(std::string_view text) {
  if (!text.starts_with('[')) return text;
  const size_t end = text.find_first_of("[]", 1);
  if (end == text.npos || text[end] != ']') return text;
  return without_spaces(text.substr(end + 1));
}

// What is left behind subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"; `text` itself when
// there is none.
std::string_view after_refwd(std::string_view text) {
  std::string_view rest = text;
  if (starts_with(rest, "re"))
    rest.remove_prefix(2);
  else if (starts_with(rest, "fwd"))
    rest.remove_prefix(3);
  else if (starts_with(rest, "fw"))
    rest.remove_prefix(2);
  else
    return text;
  rest = after_blob(without_spaces(rest));
  return rest.starts_with(':') ? rest.substr(1) : text;
}

// subj-leader = (*subj-blob subj-refwd) / WSP, as often as it is there.
std::string_view after_leaders(std::string_view text, bool& is_reply) {
  for (;;) {
    text = without_spaces(text);
    std::string_view behind_blobs = text;
    for (std::string_view next = after_blob(text); next.size() < behind_blobs.size();
         next = after_blob(next))
      behind_blobs = next;
    const std::string_view rest = after_refwd(behind_blobs);
    if (rest.size() == behind_blobs.size()) return text;
    is_reply = true;
    text = rest;
  }
}

// subj-trailer = "(fwd)" / WSP
std::string_view before_trailers(std::string_view text, bool& is_reply) {
  for (;;) {
    while (text.ends_with(' ')) text.remove_suffix(1);
    if (!ends_with(text, "(fwd)")) return text;
    text.remove_suffix(5);
    is_reply = true;
  }
}

// White space becomes one space.
std::string in_one_line(std::string_view subject) {
  std::string line;
  line.reserve(subject.size());
  for (const char c : subject) {
    const bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!space)
      line += c;
    else if (!line.ends_with(' '))
      line += ' ';
  }
  return line;
}

}  // namespace

BaseSubject base_subject(std::string_view subject) {
  BaseSubject base;
  const std::string line = in_one_line(subject);
  std::string_view text = line;
  for (;;) {
    text = before_trailers(text, base.is_reply);
    text = after_leaders(text, base.is_reply);
    // Behind these blobs is no leader. One that is all there is, is the subject.
    for (std::string_view rest = after_blob(text); !rest.empty() && rest.size() < text.size();
         rest = after_blob(rest))
      text = rest;
    if (!starts_with(text, "[fwd:") || !text.ends_with(']')) break;
    text = text.substr(5, text.size() - 6);
    base.is_reply = true;
  }
  base.text = text;
  return base;
}

}  // namespace rims::message
