// cli/formats/dbox.cc - headers and metadata of messages

#include "cli/formats/dbox.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <openssl/evp.h>

#include "common/base/encoding.h"

namespace rims::cli {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kBefore = "\x01\x02"sv, kAfter = "\n\x01\x03\n"sv;
constexpr uint64_t kEndOfTime = uint64_t{1} << 40;
constexpr size_t kSizeAt = 13, kSizeDigits = 16;
constexpr size_t kLeastHeader = kSizeAt + kSizeDigits + 1;

template <class T>
std::optional<T> hex(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

Result<DboxFileHeader> parse_dbox_file_header(std::string_view start) {
  const size_t end = start.substr(0, kMaxDboxFileHeader).find('\n');
  if (end == start.npos || end < 1 || start[0] < '0' || start[0] > '9')
    return fail(Fault::syntax, "its first line is not the header of such a file");
  std::string_view line = start.substr(0, end);
  const size_t space = std::min(line.find(' '), line.size());
  if (line.substr(0, space) != "2")
    return fail(Fault::refused, "it has version " + std::string(line.substr(0, space)) +
                                    " of the format, and only 2 is known");
  DboxFileHeader header{.size = end + 1};
  for (line.remove_prefix(space); !line.empty();) {
    line.remove_prefix(1);
    const size_t word = std::min(line.find(' '), line.size());
    if (line.starts_with('M'))
      header.message_header = hex<size_t>(line.substr(1, word - 1)).value_or(0);
    line.remove_prefix(word);
  }
  if (header.message_header < kLeastHeader || header.message_header > kMaxDboxMessageHeader)
    return fail(Fault::syntax, "its first line does not say how large headers are");
  return header;
}

Result<uint64_t> parse_dbox_message_header(std::string_view header) {
  if (header.size() < kLeastHeader || !header.starts_with(kBefore) || header[2] != 'N' ||
      header.back() != '\n')
    return fail(Fault::syntax, "there is no header of a message");
  const auto size = hex<uint64_t>(header.substr(kSizeAt, kSizeDigits));
  if (!size) return fail(Fault::syntax, "the header of the message has no size");
  return *size;
}

Result<DboxMetadata> parse_dbox_metadata(std::string_view bytes) {
  const size_t all = bytes.size();
  if (!bytes.starts_with(kAfter))
    return fail(Fault::syntax, "behind the message there is not what is known of it");
  bytes.remove_prefix(kAfter.size());
  DboxMetadata data;
  for (;;) {
    const size_t end = bytes.find('\n');
    if (end == bytes.npos || all - bytes.size() + end > kMaxDboxMetadata)
      return fail(Fault::syntax, "what is known of the message does not end");
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (line.empty()) break;
    const std::string_view value = line.substr(1);
    switch (line[0]) {
      case 'G':
        data.guid = value;
        break;
      case 'B':
        data.mailbox = value;
        break;
      case 'R':
        if (const auto seconds = hex<uint64_t>(value); seconds && *seconds < kEndOfTime)
          data.received = static_cast<int64_t>(*seconds);
        break;
      case 'Z':
        data.plain_size = hex<uint64_t>(value);
        break;
      case 'X':
        data.external = true;
        break;
      default:  // not for us
        break;
    }
  }
  data.size = all - bytes.size();
  return data;
}

std::vector<std::string> index_names(const std::string& guid) {
  constexpr size_t kBytes = 16;
  if (const auto bytes = from_hex(guid); bytes && bytes->size() == kBytes) return {to_hex(*bytes)};
  if (guid.empty()) return {};
  unsigned size = 0;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  if (EVP_Digest(guid.data(), guid.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1 ||
      size < kBytes)
    return {};
  const std::string bytes(digest.begin(), digest.begin() + size);
  return {to_hex(bytes.substr(size - kBytes)), to_hex(bytes.substr(0, kBytes))};
}

size_t find_dbox_message(std::string_view bytes, size_t from, size_t header_size) {
  for (size_t at = bytes.find(kBefore, from); at != bytes.npos; at = bytes.find(kBefore, at + 1)) {
    if (parse_dbox_message_header(bytes.substr(at, header_size))) return at;
  }
  return bytes.npos;
}

}  // namespace rims::cli
