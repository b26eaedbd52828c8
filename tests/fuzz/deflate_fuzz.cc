// tests/fuzz/deflate_fuzz.cc - compressed data of a client, and what we compress
//
// The first byte is the size of the pieces in which it comes, the second how much is asked for at a
// time; then follow bytes that are read as DEFLATE, and compressed.
//
// Promises   a decoder that rests after each piece gives what zlib gives in one go, and fails where
//            it fails; it never gives more than it is asked for; an encoder that rests after each
//            piece says what a decoder reads back

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <zlib.h>

#include "common/deflate/deflate.h"

namespace rims {
namespace {

constexpr size_t kMost = 1 << 20;  // of output, which is not bounded by the input

void insist(bool promise) {
  if (!promise) std::abort();
}

struct Meaning {
  std::string bytes;
  bool good = true;
  bool operator==(const Meaning&) const = default;
};

Meaning by_zlib(std::string in) {
  Meaning meaning;
  z_stream stream{};
  inflateInit2(&stream, -15);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  int told = Z_OK;
  do {
    Bytef piece[4096];
    stream.next_out = piece;
    stream.avail_out = sizeof piece;
    told = inflate(&stream, Z_SYNC_FLUSH);
    meaning.bytes.append(reinterpret_cast<const char*>(piece), sizeof piece - stream.avail_out);
  } while (told == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0) &&
           meaning.bytes.size() < kMost);
  meaning.good = told == Z_OK || told == Z_BUF_ERROR;
  inflateEnd(&stream);
  return meaning;
}

Meaning by_us(std::string_view in, size_t piece, size_t at_most) {
  Meaning meaning;
  Inflater inflater;
  while (!in.empty() && meaning.bytes.size() < kMost) {
    std::string_view part = in.substr(0, piece);
    in.remove_prefix(part.size());
    do {
      const size_t before = meaning.bytes.size();
      meaning.good = inflater.take(part, meaning.bytes, at_most).has_value();
      insist(meaning.bytes.size() - before <= at_most);
      if (!meaning.good) return meaning;
      inflater.rest();
    } while ((!part.empty() || inflater.has_more()) && meaning.bytes.size() < kMost);
  }
  return meaning;
}

void there_and_back(std::string_view bytes, size_t piece) {
  Deflater deflater;
  std::string said;
  const auto sink = [&said](std::string_view more) { said += more; };
  for (std::string_view rest = bytes; !rest.empty();) {
    const std::string_view part = rest.substr(0, piece);
    rest.remove_prefix(part.size());
    deflater.add(part, sink);
    deflater.flush(sink);
    deflater.rest();
  }
  insist(by_zlib(said) == Meaning{.bytes = std::string(bytes)});
  insist(by_us(said, piece, 4096) == Meaning{.bytes = std::string(bytes)});
}

}  // namespace
}  // namespace rims

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 8 * 1024) return 0;
  const std::string bytes(data + 2, data + size);
  const size_t piece = data[0] + size_t{1};
  const auto whole = rims::by_zlib(bytes);
  const auto pieces = rims::by_us(bytes, piece, data[1] * size_t{16} + 1);
  // Beyond that much, both have ended anywhere.
  if (whole.bytes.size() < rims::kMost) rims::insist(whole == pieces);
  rims::there_and_back(bytes, piece);
  return 0;
}
