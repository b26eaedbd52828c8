// imapd/imap/sort_order.h - messages in the order that SORT asks for
//
//   RFC     5256 §2.2 (sent date), §3 (sort criteria); 5957 (DISPLAYFROM, DISPLAYTO)
//   Order   texts are compared as SEARCH does, which is i;unicode-casemap (RFC 5051) but for
//           letters in scripts with three cases. What is equal stays in the order of the numbers.
//   Memory  8 bytes per key and message, and of a text up to kMostText bytes. When all texts
//           together are more than kMostTexts, each is cut shorter: the order of texts that differ
//           only behind that is then the order of their numbers.
//   Pure    does no I/O; add() is quick, sort() and shorten() are for another thread when there is
//           much
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/strong.h"
#include "common/imap/command.h"
#include "common/mail/types.h"

namespace rims::imapd {

class SortOrder {
 public:
  static constexpr size_t kMostText = 255;
  static constexpr size_t kLeastText = 16;
  static constexpr size_t kMostTexts = size_t{64} << 20;

  // Each kind once.
  explicit SortOrder(std::span<const imap::SortKey> keys, size_t most_texts = kMostTexts)
      : keys_(keys.begin(), keys.end()), most_texts_(most_texts) {}

  // The header fields that the keys look at, in lower case.
  [[nodiscard]] std::vector<std::string> fields() const;
  // DATE is among the keys.
  [[nodiscard]] bool looks_at_date() const;

  // `sent` is the time of the Date field, if it has one; `header` has the fields() that the message
  // has.
  void add(SeqNum number, const store::MessageEntry& entry, std::optional<int64_t> sent,
           std::string_view header);
  // Call shorten() before more are added.
  [[nodiscard]] bool is_full() const {
    return texts_.size() > most_texts_ && most_text_ > kLeastText;
  }
  void shorten();
  void sort();
  // After sort().
  [[nodiscard]] std::span<const uint32_t> numbers() const { return numbers_; }

 private:
  // A number, so that the order of values is that of the numbers; or where a text is in texts_:
  // its offset << 8, and its length.
  using Value = uint64_t;
  [[nodiscard]] Value keep(std::string_view text);
  [[nodiscard]] std::string_view text(Value value) const {
    return std::string_view(texts_).substr(value >> 8, value & 0xFF);
  }
  [[nodiscard]] bool is_before(size_t a, size_t b) const;

  std::vector<imap::SortKey> keys_;
  std::vector<Value> values_;      // keys_.size() for each message
  std::vector<uint32_t> numbers_;  // of the messages
  std::string texts_;
  size_t most_texts_;
  size_t most_text_ = kMostText;
};

}  // namespace rims::imapd
