// common/deflate/deflate.h - raw DEFLATE (RFC 1951) for connections that wait for long
//
//   RFC     4978 (the only user: IMAP COMPRESS=DEFLATE)
//   Trust   Inflater's input is an attacker's. It gives no more than it is asked for at a time, and
//           its memory does not grow with the input: one window of 32 KiB and zlib's state
//   Memory  between rests, some 130 KiB in a Deflater and 40 KiB in an Inflater. rest() gives that
//           back: what is kept is the last KiB that was sent, and of what was received as much as
//           the peer may still refer to: all of it up to 32 KiB
//   Errors  zlib out of memory ends the process, as everywhere
//   Tests   tests/deflate/deflate_test.cc, tests/fuzz/deflate_fuzz.cc
//
// A Deflater that has rested goes on with a new encoder at a byte boundary. It refers to nothing
// but the bytes that were kept, so the peer sees one stream without a seam.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"

struct z_stream_s;

namespace rims {

class Deflater {
 public:
  // Called with compressed bytes, any number of times. Must not use the Deflater.
  using Sink = std::function<void(std::string_view)>;

  Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  ~Deflater();

  // Compresses all of `bytes`; what is told of it to `sink` is as zlib likes.
  void add(std::string_view bytes, const Sink& sink);
  // Tells the rest, so that the peer can read all that was added, and ends at a byte boundary
  // (Z_SYNC_FLUSH). Says nothing when nothing was added since the last time.
  void flush(const Sink& sink);
  // Gives memory back until the next add(). Does nothing before flush().
  void rest();
  [[nodiscard]] bool resting() const { return !encoder_; }

 private:
  struct End {
    void operator()(z_stream_s* encoder) const;
  };
  void run(std::string_view bytes, int how, const Sink& sink);

  std::unique_ptr<z_stream_s, End> encoder_;
  std::string latest_;      // the end of what was added
  bool unflushed_ = false;  // something was added since the last flush
};

class Inflater {
 public:
  Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater();

  // Takes bytes from the front of `in` and appends what they mean to `out`, at most `at_most`
  // bytes. What is left of `in` then is for the next call. Error: syntax, once the stream is
  // damaged or has come to its end, which a connection's never does; it stays so.
  Status take(std::string_view& in, std::string& out, size_t at_most);
  // There is more to give than take() was asked for, whether more input comes or not.
  [[nodiscard]] bool has_more() const { return has_more_; }
  // Gives memory back until the next take(), if the peer has come to the end of a block, or no
  // further behind it than a partial flush does.
  void rest();
  [[nodiscard]] bool resting() const { return !decoder_; }
  // Bytes kept for the peer's references while resting.
  [[nodiscard]] size_t kept() const { return window_.size(); }

 private:
  struct End {
    void operator()(z_stream_s* decoder) const;
  };
  void wake();
  void note(std::string_view taken, bool gave);

  std::unique_ptr<z_stream_s, End> decoder_;
  std::string window_;             // while resting: what the peer may refer to
  std::string begun_;              // input behind the last whole block, if nothing of it was given
  unsigned char block_end_ = 0;    // the last byte of that block
  unsigned char unused_bits_ = 0;  // of block_end_: they belong to the next one
  bool may_rest_ = false;
  bool has_more_ = false;
  bool failed_ = false;
};

}  // namespace rims
