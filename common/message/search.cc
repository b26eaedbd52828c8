// common/message/search.cc - SEARCH's substrings in headers and bodies; see text.h
//
//   Both sides are folded: ASCII by a table, the rest by ICU to NFKC_Casefold and then NFD, so
//   that letters are separate from their accents. Folded UTF-8 is searched with memmem(), which is
//   linear. Text that comes in pieces is folded up to its last ASCII character, in front of which
//   nothing can combine; the last bytes of a piece are kept, to find what spans two pieces.

#include <algorithm>
#include <string.h>
#include <utility>

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/message/address.h"
#include "common/message/charset.h"
#include "common/message/field_text.h"
#include "common/message/header.h"
#include "common/message/mime_field.h"
#include "common/message/text.h"
#include "common/message/transfer.h"

namespace rims::message {
namespace {

constexpr size_t kPiece = 16 << 10;       // encoded bytes decoded at a time
constexpr size_t kFold = 32 << 10;        // decoded bytes folded at a time
constexpr size_t kMaxAddresses = 10'000;  // of one field
constexpr size_t kMaxUncut = 256 << 10;   // without an ASCII character: cut between any two

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

// Once per process: ICU keeps them for ever.
const icu::Normalizer2* casefold() {
  static const icu::Normalizer2* const own = [] {
    UErrorCode error = U_ZERO_ERROR;
    return icu::Normalizer2::getNFKCCasefoldInstance(error);
  }();
  return own;
}
const icu::Normalizer2* decomposition() {
  static const icu::Normalizer2* const own = [] {
    UErrorCode error = U_ZERO_ERROR;
    return icu::Normalizer2::getNFDInstance(error);
  }();
  return own;
}

bool normalize(const icu::Normalizer2* how, std::string_view in, std::string& out) {
  if (how == nullptr) return false;
  out.clear();
  UErrorCode error = U_ZERO_ERROR;
  icu::StringByteSink<std::string> sink(&out);
  how->normalizeUTF8(0, icu::StringPiece(in.data(), static_cast<int32_t>(in.size())), sink, nullptr,
                     error);
  return U_SUCCESS(error);
}

bool find(std::string_view hay, std::string_view needle) {
  return memmem(hay.data(), hay.size(), needle.data(), needle.size()) != nullptr;
}

// Where `text` can be cut for folding: in front of its last ASCII character, or, when it is long
// and has none, of its last character. 0: nowhere yet.
size_t safe_cut(std::string_view text) {
  for (size_t i = text.size(); i > 0; i--)
    if ((text[i - 1] & 0x80) == 0) return i - 1;
  if (text.size() < kMaxUncut) return 0;
  return utf8::start_of(text, text.size() - 1);
}

// Finds a needle in UTF-8 that comes in pieces.
class Finder {
 public:
  explicit Finder(const Needle& needle) : needle_(needle.folded()), found_(needle.empty()) {}

  // Takes `text` up to where it can be folded; leaves the rest in it.
  bool take(std::string& text, bool last) {
    if (found_) return true;
    const size_t cut = last ? text.size() : safe_cut(text);
    if (cut == 0) return false;
    window_ += fold(std::string_view(text).substr(0, cut));
    text.erase(0, cut);
    found_ = find(window_, needle_);
    const size_t keep = std::min(window_.size(), needle_.size() - 1);
    window_.erase(0, window_.size() - keep);
    return found_;
  }

 private:
  const std::string& needle_;
  std::string window_;
  bool found_;
};

// The mailboxes of an address field as people know them, without quotes and comments.
std::string addresses_as_text(std::string_view value) {
  std::string out;
  for_each_address(value, kMaxAddresses, [&](const Address& address) {
    if (address.row == Address::Row::group_end) return;
    out += decode_header(address.name);
    out += " <";
    out += address.mailbox;
    if (address.row == Address::Row::mailbox) out += '@' + address.host;
    out += ">, ";
  });
  return out;
}

bool is_address_field(std::string_view name) {
  for (const char* own : {"from", "to", "cc", "bcc", "sender", "reply-to"})
    if (ascii::equal(name, own)) return true;
  return false;
}

// All fields, each as "Name: value".
bool any_field_contains(std::string_view header, const Needle& needle) {
  FieldReader reader(header);
  for (Field field; reader.next(field);)
    if (field_contains(field, std::string(field.name) + ": ", needle)) return true;
  return false;
}

// The text in a part's own header: file names and the description.
bool part_header_contains(std::string_view header, const Needle& needle) {
  FieldReader reader(header);
  for (Field field; reader.next(field);) {
    const auto has = [&](const char* name) {
      const auto value = parameter(field.value, name);
      return value && contains(*value, needle);
    };
    if (ascii::equal(field.name, "content-type") && has("name")) return true;
    if (ascii::equal(field.name, "content-disposition") && has("filename")) return true;
    if (ascii::equal(field.name, "content-description") &&
        contains(decode_header(field.value), needle))
      return true;
  }
  return false;
}

// Does a person read it as text? Reports (message/delivery-status, message/partial and their like),
// and what is written in XML or JSON; not images and archives.
bool is_readable(std::string_view message, const Part& part) {
  if (part.kind == Kind::text) return true;
  if (part.kind != Kind::basic) return false;
  const MimeField type = parse_content_type(first_value(part.header.of(message), "Content-Type"));
  if (ascii::equal(type.type, "message")) return true;
  const std::string subtype = ascii::lower(type.subtype);
  return ascii::equal(type.type, "application") &&
         (subtype == "xml" || subtype == "json" || subtype.ends_with("+xml") ||
          subtype.ends_with("+json"));
}

bool text_part_contains(std::string_view message, const Part& part, const Needle& needle) {
  const auto charset = parameter(first_value(part.header.of(message), "Content-Type"), "charset");
  TextSearcher searcher(needle, part.encoding, charset.value_or(std::string()));
  for (std::string_view body = part.body.of(message); !body.empty();
       body.remove_prefix(std::min(body.size(), kPiece)))
    if (searcher.feed(body.substr(0, kPiece))) return true;
  return searcher.finish();
}

}  // namespace

std::string fold(std::string_view text) {
  std::string folded;
  std::string decomposed;
  if (is_ascii(text) || !normalize(casefold(), text, folded)) return ascii::lower(text);
  return normalize(decomposition(), folded, decomposed) ? decomposed : folded;
}

std::optional<std::string> address_text(const Field& field) {
  if (!is_address_field(field.name) || field.value.find_first_of("\"\\(") == field.value.npos)
    return std::nullopt;
  return addresses_as_text(field.value);
}

bool field_contains(const Field& field, std::string_view prefix, const Needle& needle) {
  if (contains(std::string(prefix) + decode_header(field.value), needle)) return true;
  const auto addresses = address_text(field);
  return addresses && contains(*addresses, needle);
}

Result<Needle> Needle::make(std::string_view bytes, std::string_view charset) {
  if (!charset.empty() && !charset_supported(charset))
    return fail(Fault::refused, "unknown charset", "SEARCH CHARSET " + std::string(charset),
                "BADCHARSET");
  Needle needle;
  needle.folded_ = fold(to_utf8(bytes, charset));
  return needle;
}

bool contains(std::string_view utf8, const Needle& needle) {
  if (needle.empty()) return true;
  if (utf8.size() <= kFold) return find(fold(utf8), needle.folded());
  Finder finder(needle);
  std::string piece;
  while (!utf8.empty()) {
    piece += utf8.substr(0, kFold);
    utf8.remove_prefix(std::min(utf8.size(), kFold));
    if (finder.take(piece, utf8.empty())) return true;
  }
  return false;
}

struct TextSearcher::State {
  State(const Needle& needle, Encoding encoding, std::string_view charset)
      : transfer(encoding), decoder(charset), finder(needle) {}
  TransferDecoder transfer;
  CharsetDecoder decoder;
  Finder finder;
  std::string bytes, text;
};

TextSearcher::TextSearcher(const Needle& needle, Encoding encoding, std::string_view charset)
    : state_(std::make_unique<State>(needle, encoding, charset)) {}

TextSearcher::~TextSearcher() = default;

bool TextSearcher::feed(std::string_view piece) {
  while (!piece.empty()) {
    state_->bytes.clear();
    state_->transfer.feed(piece.substr(0, kPiece), state_->bytes);
    piece.remove_prefix(std::min(piece.size(), kPiece));
    state_->decoder.decode(state_->bytes, state_->text, false);
    if (state_->text.size() >= kFold && state_->finder.take(state_->text, false)) return true;
  }
  return false;
}

bool TextSearcher::finish() {
  state_->bytes.clear();
  state_->transfer.finish(state_->bytes);
  state_->decoder.decode(state_->bytes, state_->text, true);
  return state_->finder.take(state_->text, true);
}

bool header_contains(std::string_view header, std::string_view name, const Needle& needle) {
  FieldReader reader(header);
  for (Field field; reader.next(field);)
    if (ascii::equal(field.name, name) && (needle.empty() || field_contains(field, {}, needle)))
      return true;
  return false;
}

bool body_contains(std::string_view message, const StructureView& view, const Needle& needle) {
  if (needle.empty()) return true;
  for (uint32_t i = 0; i < view.part_count(); i++) {
    const Part part = view.part(i);
    const std::string_view header = part.header.of(message);
    if (i > 0 && part_header_contains(header, needle)) return true;
    if (is_readable(message, part) && text_part_contains(message, part, needle)) return true;
    if (part.kind == Kind::message &&
        any_field_contains(view.part(part.first_child).header.of(message), needle))
      return true;
  }
  return false;
}

bool text_contains(std::string_view message, const StructureView& view, const Needle& needle) {
  if (needle.empty()) return true;
  for (uint32_t i = 0; i < view.part_count(); i++)
    if (any_field_contains(view.part(i).header.of(message), needle)) return true;
  return body_contains(message, view, needle);
}

}  // namespace rims::message
