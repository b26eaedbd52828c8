// common/message/text.cc - headers, parameters and bodies as UTF-8; see text.h

#include "common/message/text.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/message/charset.h"
#include "common/message/header.h"
#include "common/message/mime_field.h"
#include "common/message/transfer.h"

namespace rims::message {
namespace {

constexpr size_t kPiece = 16 << 10;  // how much is decoded at a time

// At most `max` bytes, without half a character at the end. `text` is valid UTF-8.
void cut_utf8(std::string& text, size_t max) {
  if (text.size() <= max) return;
  text.resize(utf8::start_of(text, max));
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t") == std::string_view::npos;
}

struct EncodedWord {
  std::string_view charset;
  char encoding;
  std::string_view text;
  size_t length;
};

// encoded-word = "=?" charset "?" encoding "?" encoded-text "?="   RFC 2047 §2
// Spaces in the text are forbidden and taken, as many senders write them.
std::optional<EncodedWord> encoded_word(std::string_view in) {
  if (!in.starts_with("=?")) return std::nullopt;
  const size_t charset = in.find('?', 2);
  if (charset == std::string_view::npos || charset == 2) return std::nullopt;
  if (charset + 2 >= in.size() || in[charset + 2] != '?') return std::nullopt;
  const char encoding = static_cast<char>(in[charset + 1] | 0x20);
  if (encoding != 'b' && encoding != 'q') return std::nullopt;
  const size_t text = charset + 3;
  const size_t end = in.find('?', text);
  if (end == std::string_view::npos || end + 1 >= in.size() || in[end + 1] != '=')
    return std::nullopt;
  std::string_view name = in.substr(2, charset - 2);
  name = name.substr(0, name.find('*'));  // RFC 2231 §5: a language may follow
  return EncodedWord{name, encoding, in.substr(text, end - text), end + 2};
}

// An encoded word in one of these charsets ends in the state in which it began (RFC 2047 §3). If
// two were joined, ICU would treat the escape sequences between them as an attack.
bool returns_to_ascii(std::string_view charset) {
  for (const char* own : {"iso-2022-jp", "iso-2022-kr", "iso-2022-cn", "hz-gb-2312", "utf-7"})
    if (ascii::equal(charset, own)) return true;
  return false;
}

std::string bytes_of(const EncodedWord& word) {
  if (word.encoding == 'b') return transfer_decode(word.text, Encoding::base64);
  std::string text(word.text);
  std::replace(text.begin(), text.end(), '_', ' ');
  return transfer_decode(text, Encoding::quoted_printable);
}

std::string percent_decoded(std::string_view text) {
  // "%41" is "=41" once a real "=" is out of the way.
  std::string quoted;
  for (const char c : text) {
    if (c == '=') {
      quoted += "=3D";
    } else {
      quoted += c == '%' ? '=' : c;
    }
  }
  return transfer_decode(quoted, Encoding::quoted_printable);
}

}  // namespace

bool charset_supported(std::string_view name) {
  if (name.empty()) return false;
  if (canonical_charset(name).empty()) {
    for (const char* own : {"utf-8", "utf8", "us-ascii", "ascii"})
      if (ascii::equal(name, own)) return true;
    return false;
  }
  return CharsetDecoder(name).known();
}

std::string to_utf8(std::string_view bytes, std::string_view charset, size_t max_out) {
  std::string out;
  CharsetDecoder decoder(charset);
  while (!bytes.empty() && out.size() < max_out) {
    decoder.decode(bytes.substr(0, kPiece), out, false);
    bytes.remove_prefix(std::min(bytes.size(), kPiece));
  }
  decoder.decode({}, out, true);
  cut_utf8(out, max_out);
  return out;
}

std::string decode_header(std::string_view value, size_t max_out) {
  std::string line = unfold(value);
  if (!line.contains("=?") &&
      std::all_of(line.begin(), line.end(), [](char c) { return (c & 0x80) == 0; }))
    return line;

  std::string out;
  std::string bytes;         // of the encoded words since the last text, all in one charset
  std::string_view charset;  // theirs
  const auto flush = [&] {
    if (!bytes.empty()) out += to_utf8(bytes, charset, max_out);
    bytes.clear();
  };
  std::string_view rest = line;
  bool behind_word = false;
  while (!rest.empty() && out.size() < max_out) {
    size_t plain = 0;
    std::optional<EncodedWord> word;
    for (; (plain = rest.find("=?", plain)) != std::string_view::npos; plain++)
      if ((word = encoded_word(rest.substr(plain)))) break;
    const std::string_view text = rest.substr(0, plain);
    // White space between two encoded words is not shown (RFC 2047 §6.2), and a character may
    // begin in one and end in the next.
    if (!text.empty() && !(behind_word && word && is_blank(text))) {
      flush();
      append_lenient_utf8(out, text, true);
    }
    if (!word) break;
    if (word->charset != charset || returns_to_ascii(charset)) flush();
    charset = word->charset;
    bytes += bytes_of(*word);
    behind_word = true;
    rest.remove_prefix(plain + word->length);
  }
  flush();
  cut_utf8(out, max_out);
  return out;
}

std::optional<std::string> parameter(std::string_view value, std::string_view name) {
  const MimeField field = parse_content_type(value);
  if (const std::string* encoded = field.find(std::string(name) + '*')) {
    // extended-initial-value = [charset] "'" [language] "'" value   RFC 2231 §7
    const std::string_view text = *encoded;
    const size_t first = text.find('\'');
    const size_t second = first == std::string_view::npos ? first : text.find('\'', first + 1);
    if (second == std::string_view::npos) return to_utf8(percent_decoded(text), {});
    return to_utf8(percent_decoded(text.substr(second + 1)), text.substr(0, first));
  }
  if (const std::string* plain = field.find(name)) return decode_header(*plain);
  return std::nullopt;
}

std::string decode_text(std::string_view header, std::string_view body, size_t max_out) {
  const std::string encoding = transfer_encoding(first_value(header, "Content-Transfer-Encoding"));
  Encoding how = Encoding::none;
  if (ascii::equal(encoding, "base64")) how = Encoding::base64;
  if (ascii::equal(encoding, "quoted-printable")) how = Encoding::quoted_printable;
  const auto charset = parameter(first_value(header, "Content-Type"), "charset");

  std::string out;
  std::string bytes;
  TransferDecoder transfer(how);
  CharsetDecoder decoder(charset.value_or(std::string()));
  while (!body.empty() && out.size() < max_out) {
    transfer.feed(body.substr(0, kPiece), bytes);
    body.remove_prefix(std::min(body.size(), kPiece));
    decoder.decode(bytes, out, false);
    bytes.clear();
  }
  if (body.empty()) transfer.finish(bytes);
  decoder.decode(bytes, out, true);
  cut_utf8(out, max_out);
  return out;
}

}  // namespace rims::message
