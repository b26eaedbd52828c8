// tests/fuzz/message_text_fuzz.cc - foreign text: headers, parameters, charsets, dates, search
//
// The first byte chooses: 'h' a header value, 'p' a parameterised value, 'a' an address list, 'd'
// a date, 'f' a header of which fields are picked, 'c' a charset name, LF, and bytes, 't' a part's
// header, an empty line and its body, 's' a needle, LF, a charset, LF, and an encoded body.
//
// Promises   what comes out is valid UTF-8 and within its limit; UTF-8 comes through unchanged;
//            fields picked and fields left are the header; a body says the same in any pieces

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <unicode/utf8.h>

#include "common/message/address.h"
#include "common/message/date.h"
#include "common/message/header.h"
#include "common/message/text.h"

namespace {

using namespace rims::message;

void insist(bool promise) {
  if (!promise) std::abort();
}

void insist_utf8(std::string_view text) {
  for (int32_t at = 0; at < static_cast<int32_t>(text.size());) {
    UChar32 c = 0;
    U8_NEXT(text.data(), at, static_cast<int32_t>(text.size()), c);
    insist(c >= 0);
  }
}

std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

bool streamed(std::string_view body, size_t piece, const Needle& needle, Encoding encoding,
              std::string_view charset) {
  TextSearcher searcher(needle, encoding, charset);
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size())))
    if (searcher.feed(std::string(body.substr(0, piece)))) return true;
  return searcher.finish();
}

void search(std::string_view input) {
  const auto needle = Needle::make(take_line(input), "utf-8");
  insist(needle.has_value());
  const std::string_view charset = take_line(input);
  for (const Encoding encoding : {Encoding::none, Encoding::quoted_printable, Encoding::base64}) {
    const bool whole = streamed(input, 1 << 20, *needle, encoding, charset);
    insist(streamed(input, 1, *needle, encoding, charset) == whole);
    insist(streamed(input, 5, *needle, encoding, charset) == whole);
  }
  static_cast<void>(header_contains(input, "subject", *needle));
  static_cast<void>(header_contains(input, "from", *needle));
  const std::string blob = make_structure(input);
  const auto view = StructureView::open(blob);
  insist(view.has_value());
  if (body_contains(input, *view, *needle)) insist(text_contains(input, *view, *needle));
}

void pick(std::string_view header) {
  std::vector<std::string> names;
  FieldReader reader(header);
  size_t fields = 0;
  for (Field field; reader.next(field);)
    if (fields++ % 2 == 0) names.emplace_back(field.name);
  const size_t length = reader.consumed();
  insist(length == header_length(header));
  const std::string with = select_fields(header, names, false);
  const std::string without = select_fields(header, names, true);
  insist(with.size() + without.size() == length + reader.empty_line().size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'h': {
      const std::string text = decode_header(input, 300);
      insist(text.size() <= 300);
      insist_utf8(text);
      break;
    }
    case 'p':
      for (const char* name : {"charset", "filename", "a"})
        if (const auto value = parameter(input, name)) insist_utf8(*value);
      break;
    case 'a':
      for (size_t max = 0; max < 5; max++) insist(parse_addresses(input, max).size() <= max);
      break;
    case 'd':
      if (const auto date = parse_date(input)) {
        insist(date->month >= 1 && date->month <= 12 && date->day >= 1 && date->day <= 31);
        insist(day_number(date->year, date->month, date->day) == date->day_number());
        const int64_t apart = date->utc_seconds() - int64_t{date->day_number()} * 86400;
        insist(apart > -200 * 3600 && apart < 200 * 3600);
      }
      break;
    case 'f':
      pick(input);
      break;
    case 'c': {
      const std::string_view charset = take_line(input);
      const std::string text = to_utf8(input, charset, 500);
      insist(text.size() <= 500);
      insist_utf8(text);
      insist(to_utf8(text, "utf-8") == text);
      break;
    }
    case 't': {
      const size_t header = header_length(input);
      const std::string text = decode_text(input.substr(0, header), input.substr(header), 1000);
      insist(text.size() <= 1000);
      insist_utf8(text);
      break;
    }
    case 's':
      search(input);
      break;
    default:
      break;
  }
  return 0;
}
