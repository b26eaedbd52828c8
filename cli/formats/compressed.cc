// cli/formats/compressed.cc - the five libraries, piece by piece into one string

#include "cli/formats/compressed.h"

#include <algorithm>
#include <bzlib.h>
#include <functional>
#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <memory>
#include <utility>
#include <vector>
#include <zstd.h>

#include <fmt/format.h>
#include <zlib.h>

#include "cli/formats/maildir_names.h"

namespace rims::cli {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kDovecotLz4 = "Dovecot-LZ4\x0d\x2a\x9b\xc5";
constexpr std::pair<Compression, std::string_view> kMagics[] = {
    {Compression::gzip, "\x1f\x8b\x08"sv},
    {Compression::xz,
     "\xfd"
     "7zXZ\x00"sv},
    {Compression::zstd, "\x28\xb5\x2f\xfd"sv},
    {Compression::lz4, "\x04\x22\x4d\x18"sv},
    {Compression::dovecot_lz4, kDovecotLz4},
};
constexpr std::string_view kBzip2 = "BZh", kBzip2Block = "\x31\x41\x59\x26\x53\x59";
constexpr std::string_view kCrypted = "CRYPTED\x03\x07";

constexpr uint64_t kDecoderMemory = uint64_t{128} << 20;
constexpr int kZstdWindow = 27;  // 2^27 bytes
constexpr size_t kPiece = size_t{64} << 10;
// Of a message whose name does not say that it is larger.
constexpr uint64_t kMostInflated = uint64_t{256} << 20;
constexpr size_t kMostDovecotChunk = size_t{16} << 20;

const char* name_of(Compression how) {
  switch (how) {
    case Compression::gzip:
      return "gzip";
    case Compression::bzip2:
      return "bzip2";
    case Compression::xz:
      return "xz";
    case Compression::zstd:
      return "zstd";
    case Compression::lz4:
    case Compression::dovecot_lz4:
      return "lz4";
    case Compression::none:
      break;
  }
  return "no";
}

std::unexpected<Error> damaged(std::string why) { return fail(Fault::syntax, std::move(why)); }
std::unexpected<Error> too_short() { return damaged("it ends too early"); }

// What was made so far.
class Output {
 public:
  explicit Output(uint64_t max) : max_(max) {}
  char* piece() { return piece_.data(); }
  [[nodiscard]] size_t piece_size() const { return piece_.size(); }
  // Takes over `size` bytes of the piece.
  Status take(size_t size) { return add({piece_.data(), size}); }
  Status add(std::string_view bytes) {
    if (bytes.size() > max_ - all_.size())
      return fail(Fault::limit, fmt::format("it becomes more than {} bytes", max_));
    all_ += bytes;
    return {};
  }
  std::string whole() { return std::move(all_); }

 private:
  uint64_t max_;
  std::vector<char> piece_ = std::vector<char>(kPiece);
  std::string all_;
};

unsigned char* mutable_bytes(std::string_view bytes) {
  // The libraries' older interfaces take what they only read as if they would write it.
  return reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
}
unsigned char* unsigned_bytes(char* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

// The counters of zlib and bzip2 have 32 bits.
unsigned next_input(std::string_view rest) {
  return static_cast<unsigned>(std::min<size_t>(rest.size(), size_t{1} << 30));
}

Status gunzip(std::string_view in, Output& out) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return damaged("zlib can not begin");
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> end(&stream, &inflateEnd);
  for (;;) {
    stream.next_in = mutable_bytes(in);
    stream.avail_in = next_input(in);
    stream.next_out = unsigned_bytes(out.piece());
    stream.avail_out = static_cast<unsigned>(out.piece_size());
    const int code = inflate(&stream, Z_NO_FLUSH);
    in.remove_prefix(static_cast<size_t>(stream.next_in - mutable_bytes(in)));
    const size_t made = out.piece_size() - stream.avail_out;
    TRY_STATUS(out.take(made));
    if (code == Z_STREAM_END) {
      if (in.empty()) return {};
      if (inflateReset(&stream) != Z_OK) return damaged("zlib can not go on");  // another member
    } else if (code == Z_BUF_ERROR || (code == Z_OK && in.empty() && made == 0)) {
      return too_short();
    } else if (code != Z_OK) {
      return damaged(stream.msg ? stream.msg : "it is damaged");
    }
  }
}

Status bunzip(std::string_view in, Output& out) {
  while (!in.empty()) {  // one stream after the other
    bz_stream stream{};
    if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) return damaged("bzip2 can not begin");
    const std::unique_ptr<bz_stream, decltype(&BZ2_bzDecompressEnd)> end(&stream,
                                                                         &BZ2_bzDecompressEnd);
    for (int code = BZ_OK; code != BZ_STREAM_END;) {
      char* const start = const_cast<char*>(in.data());
      stream.next_in = start;
      stream.avail_in = next_input(in);
      stream.next_out = out.piece();
      stream.avail_out = static_cast<unsigned>(out.piece_size());
      code = BZ2_bzDecompress(&stream);
      in.remove_prefix(static_cast<size_t>(stream.next_in - start));
      const size_t made = out.piece_size() - stream.avail_out;
      TRY_STATUS(out.take(made));
      if (code != BZ_OK && code != BZ_STREAM_END) return damaged("it is damaged");
      if (code == BZ_OK && in.empty() && made == 0) return too_short();
    }
  }
  return {};
}

Status unxz(std::string_view in, Output& out) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, kDecoderMemory, LZMA_CONCATENATED) != LZMA_OK)
    return damaged("xz can not begin");
  const std::unique_ptr<lzma_stream, decltype(&lzma_end)> end(&stream, &lzma_end);
  stream.next_in = mutable_bytes(in);
  stream.avail_in = in.size();
  for (;;) {
    stream.next_out = unsigned_bytes(out.piece());
    stream.avail_out = out.piece_size();
    const lzma_ret code = lzma_code(&stream, LZMA_FINISH);
    TRY_STATUS(out.take(out.piece_size() - stream.avail_out));
    if (code == LZMA_STREAM_END) return {};
    if (code == LZMA_BUF_ERROR) return too_short();
    if (code == LZMA_MEMLIMIT_ERROR) return fail(Fault::limit, "it asks for too much memory");
    if (code != LZMA_OK) return damaged("it is damaged");
  }
}

Status unzstd(std::string_view in, Output& out) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     &ZSTD_freeDCtx);
  if (!context ||
      ZSTD_isError(ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindow)) != 0)
    return damaged("zstd can not begin");
  ZSTD_inBuffer from{.src = in.data(), .size = in.size(), .pos = 0};
  for (;;) {
    ZSTD_outBuffer to{.dst = out.piece(), .size = out.piece_size(), .pos = 0};
    const size_t before = from.pos;
    const size_t left = ZSTD_decompressStream(context.get(), &to, &from);
    TRY_STATUS(out.take(to.pos));
    if (ZSTD_isError(left) != 0) return damaged(ZSTD_getErrorName(left));
    if (from.pos == from.size && left == 0) return {};
    if (to.pos == 0 && from.pos == before) return too_short();
  }
}

Status unlz4(std::string_view in, Output& out) {
  LZ4F_dctx* made = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&made, LZ4F_VERSION)) != 0)
    return damaged("lz4 can not begin");
  const std::unique_ptr<LZ4F_dctx, decltype(&LZ4F_freeDecompressionContext)> context(
      made, &LZ4F_freeDecompressionContext);
  for (;;) {
    size_t took = in.size(), size = out.piece_size();
    const size_t left =
        LZ4F_decompress(context.get(), out.piece(), &size, in.data(), &took, nullptr);
    if (LZ4F_isError(left) != 0) return damaged(LZ4F_getErrorName(left));
    in.remove_prefix(took);
    TRY_STATUS(out.take(size));
    if (in.empty() && left == 0) return {};
    if (took == 0 && size == 0) return too_short();
  }
}

// The magic, the size of the largest chunk, then chunks: size, block. Sizes are big-endian. Nothing
// marks the end.
Status undovecot(std::string_view in, Output& out) {
  const auto size = [&in]() -> Result<size_t> {
    if (in.size() < 4) return too_short();
    size_t n = 0;
    for (int i = 0; i < 4; i++) n = n << 8 | static_cast<unsigned char>(in[static_cast<size_t>(i)]);
    in.remove_prefix(4);
    return n;
  };
  in.remove_prefix(kDovecotLz4.size());
  TRY(const size_t largest, size());
  if (largest == 0 || largest > kMostDovecotChunk) return damaged("it is damaged");
  std::vector<char> chunk(largest);
  while (!in.empty()) {
    TRY(const size_t length, size());
    if (length == 0 || length > kMostDovecotChunk * 2) return damaged("it is damaged");
    if (length > in.size()) return too_short();
    const std::string_view block = in.substr(0, length);
    const int made = LZ4_decompress_safe(block.data(), chunk.data(), static_cast<int>(block.size()),
                                         static_cast<int>(chunk.size()));
    if (made < 0) return damaged("it is damaged");
    TRY_STATUS(out.add({chunk.data(), static_cast<size_t>(made)}));
    in.remove_prefix(length);
  }
  return {};
}

}  // namespace

Compression compression_of(std::string_view bytes) {
  for (const auto& [how, magic] : kMagics) {
    if (bytes.starts_with(magic)) return how;
  }
  // "BZh" alone could be text.
  if (bytes.starts_with(kBzip2) && bytes.size() >= 10 && bytes[3] >= '1' && bytes[3] <= '9' &&
      bytes.substr(4, 6) == kBzip2Block)
    return Compression::bzip2;
  return Compression::none;
}

bool is_encrypted_by_dovecot(std::string_view bytes) { return bytes.starts_with(kCrypted); }

Result<std::string> decompress(std::string_view bytes, Compression how, uint64_t max) {
  Output out(max);
  Status done = damaged("nothing is compressed");
  switch (how) {
    case Compression::gzip:
      done = gunzip(bytes, out);
      break;
    case Compression::bzip2:
      done = bunzip(bytes, out);
      break;
    case Compression::xz:
      done = unxz(bytes, out);
      break;
    case Compression::zstd:
      done = unzstd(bytes, out);
      break;
    case Compression::lz4:
      done = unlz4(bytes, out);
      break;
    case Compression::dovecot_lz4:
      done = undovecot(bytes, out);
      break;
    case Compression::none:
      break;
  }
  if (!done) return std::unexpected(done.error());
  return out.whole();
}

Result<std::string> unpack_maildir_file(std::string bytes, std::string_view base) {
  return unpack_dovecot_mail(std::move(bytes), size_in_maildir_name(base));
}

Result<std::string> unpack_dovecot_mail(std::string bytes, std::optional<uint64_t> size) {
  const bool is_plain = size == bytes.size();  // then it only begins like one
  if (is_encrypted_by_dovecot(bytes) && !is_plain)
    return fail(Fault::refused,
                "it is encrypted (Dovecot's plugin mail_crypt); let Dovecot, which has the keys, "
                "write it without the plugin, and import that");
  const Compression how = compression_of(bytes);
  if (how == Compression::none) return bytes;
  auto mail = decompress(bytes, how, std::max(kMostInflated, size.value_or(0)));
  // Only of chunks without an end is the size a proof; others have checksums, and names may be
  // wrong.
  if (mail && how == Compression::dovecot_lz4 && size && mail->size() < *size)
    mail = Result<std::string>(too_short());
  if (mail && (!is_plain || mail->size() == *size)) return mail;
  if (is_plain) return bytes;
  const bool large = mail.error().fault() == Fault::limit;
  return fail(mail.error().fault(),
              fmt::format("it is compressed ({}), but {}{}", name_of(how), mail.error().detail(),
                          large ? "; if that is mail, decompress the file and import again" : ""));
}

}  // namespace rims::cli
