// common/deflate/deflate.cc - zlib's streams, ended while a connection waits

#include "common/deflate/deflate.h"

#include <algorithm>
#include <limits>

#include <zlib.h>

namespace rims {
namespace {

// The fastest: measured on FETCH responses it gives 12 %, the best one 10 % of the size, for half
// of the time. A window of 16 KiB and 64 KiB of tables say as much of mail as the largest.
constexpr int kLevel = 1;
constexpr int kWindowBits = 14;
constexpr int kMemLevel = 7;
// Whatever window the peer uses.
constexpr int kLargestWindowBits = 15;
// A short answer is 18 % of its size after one like it, and 58 % after nothing. More than this does
// not make it shorter.
constexpr size_t kKeep = 1024;
// zlib's output is told in pieces of this size.
constexpr size_t kPiece = 4096;
// Of a block that is only begun. A partial flush leaves two bytes; this needs no memory of its own.
constexpr size_t kMostBegun = 15;
constexpr size_t kMostAtOnce = std::numeric_limits<uInt>::max();

// What inflate() tells in data_type: it stands behind a block, that was the last one, and, behind a
// block, how many bits of the last byte it has not used.
constexpr int kBehindBlock = 128, kLast = 64, kBits = 7;
// Of a block: whether it is the last, and its kind.
constexpr int kHeaderBits = 3;

Bytef* zlib_bytes(std::string_view bytes) {
  // zlib's interface knows no const, and does not write.
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
}

void insist(bool works) {
  if (!works) fatal("out of memory for compression");
}

}  // namespace

// ---------------------------------------------------------------- Deflater

void Deflater::End::operator()(z_stream_s* encoder) const {
  deflateEnd(encoder);
  delete encoder;
}

Deflater::Deflater() = default;
Deflater::~Deflater() = default;

void Deflater::run(std::string_view bytes, int how, const Sink& sink) {
  if (!encoder_) {
    // Ended by End even when deflateInit2 fails, which zlib allows.
    encoder_.reset(new z_stream{});
    insist(deflateInit2(encoder_.get(), kLevel, Z_DEFLATED, -kWindowBits, kMemLevel,
                        Z_DEFAULT_STRATEGY) == Z_OK);
    if (!latest_.empty())
      insist(deflateSetDictionary(encoder_.get(), zlib_bytes(latest_),
                                  static_cast<uInt>(latest_.size())) == Z_OK);
  }
  encoder_->next_in = zlib_bytes(bytes);
  encoder_->avail_in = static_cast<uInt>(bytes.size());
  char piece[kPiece];
  do {
    encoder_->next_out = reinterpret_cast<Bytef*>(piece);
    encoder_->avail_out = kPiece;
    // Z_BUF_ERROR says that there was nothing to do, which is no error.
    if (deflate(encoder_.get(), how) == Z_STREAM_ERROR) fatal("the state of an encoder is broken");
    const size_t made = kPiece - encoder_->avail_out;
    if (made > 0) sink({piece, made});
  } while (encoder_->avail_out == 0);
}

void Deflater::add(std::string_view bytes, const Sink& sink) {
  for (std::string_view rest = bytes; !rest.empty();) {
    const std::string_view part = rest.substr(0, kMostAtOnce);
    rest.remove_prefix(part.size());
    run(part, Z_NO_FLUSH, sink);
    unflushed_ = true;
  }
  const std::string_view end = bytes.substr(bytes.size() - std::min(bytes.size(), kKeep));
  if (latest_.size() + end.size() > kKeep) latest_.erase(0, latest_.size() + end.size() - kKeep);
  latest_ += end;
}

void Deflater::flush(const Sink& sink) {
  if (!unflushed_) return;
  run({}, Z_SYNC_FLUSH, sink);
  unflushed_ = false;
}

void Deflater::rest() {
  if (!unflushed_) encoder_.reset();
}

// ---------------------------------------------------------------- Inflater

void Inflater::End::operator()(z_stream_s* decoder) const {
  inflateEnd(decoder);
  delete decoder;
}

Inflater::Inflater() = default;
Inflater::~Inflater() = default;

void Inflater::wake() {
  decoder_.reset(new z_stream{});
  insist(inflateInit2(decoder_.get(), -kLargestWindowBits) == Z_OK);
  if (unused_bits_ > 0)
    inflatePrime(decoder_.get(), unused_bits_, block_end_ >> (8 - unused_bits_));
  if (!window_.empty())
    insist(inflateSetDictionary(decoder_.get(), zlib_bytes(window_),
                                static_cast<uInt>(window_.size())) == Z_OK);
  std::string().swap(window_);
  if (begun_.empty()) return;
  Bytef nothing = 0;  // as these bytes have meant nothing before
  decoder_->next_in = zlib_bytes(begun_);
  decoder_->avail_in = static_cast<uInt>(begun_.size());
  decoder_->next_out = &nothing;
  decoder_->avail_out = 1;
  inflate(decoder_.get(), Z_BLOCK);
}

// Notes where the decoder stands: behind a block, or so far behind its beginning.
void Inflater::note(std::string_view taken, bool gave) {
  if (!taken.empty() && (decoder_->data_type & kBehindBlock) != 0) {
    unused_bits_ = static_cast<unsigned char>(decoder_->data_type & kBits);
    block_end_ = static_cast<unsigned char>(taken.back());
    begun_.clear();
    may_rest_ = true;
    return;
  }
  may_rest_ = may_rest_ && !gave && begun_.size() + taken.size() <= kMostBegun;
  if (may_rest_) begun_ += taken;
}

Status Inflater::take(std::string_view& in, std::string& out, size_t at_most) {
  const auto damaged = [](const char* how) {
    return fail(Fault::syntax, "the compressed data is damaged",
                std::string("the compressed data of the client is damaged: ") + how);
  };
  if (failed_) return damaged("nothing may follow");
  if (!decoder_) wake();
  const size_t before = out.size();
  out.resize(before + at_most);
  decoder_->next_out = reinterpret_cast<Bytef*>(out.data()) + before;
  decoder_->avail_out = static_cast<uInt>(at_most);
  int told = Z_OK;
  // Each call ends behind a block. One more says that it was the last, or that the bits behind it
  // begin none.
  const auto says_more = [this] {
    const int where = decoder_->data_type;
    return (where & kLast) != 0 || ((where & kBehindBlock) != 0 && (where & kBits) >= kHeaderBits);
  };
  do {
    const std::string_view part = in.substr(0, kMostAtOnce);
    const uInt room = decoder_->avail_out;
    decoder_->next_in = zlib_bytes(part);
    decoder_->avail_in = static_cast<uInt>(part.size());
    told = inflate(decoder_.get(), Z_BLOCK);
    const size_t taken = part.size() - decoder_->avail_in;
    note(part.substr(0, taken), decoder_->avail_out < room);
    in.remove_prefix(taken);
  } while (told == Z_OK && decoder_->avail_out > 0 && (!in.empty() || says_more()));
  out.resize(before + at_most - decoder_->avail_out);
  // With its room used up, zlib may hold more than it has told.
  has_more_ = decoder_->avail_out == 0;
  if (told == Z_OK || told == Z_BUF_ERROR) return {};
  insist(told != Z_MEM_ERROR);
  failed_ = true;
  has_more_ = false;
  const bool ended = told == Z_STREAM_END;
  const char* why = decoder_->msg == nullptr ? "it cannot be read" : decoder_->msg;
  return damaged(ended ? "it has come to its end" : why);
}

void Inflater::rest() {
  if (!decoder_ || !may_rest_ || has_more_ || failed_) return;
  uInt size = 0;
  inflateGetDictionary(decoder_.get(), nullptr, &size);
  window_ = std::string(size, '\0');
  inflateGetDictionary(decoder_.get(), reinterpret_cast<Bytef*>(window_.data()), &size);
  decoder_.reset();
}

}  // namespace rims
