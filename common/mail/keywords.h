// common/mail/keywords.h - the keywords of a mailbox, and the sets of them that its messages have
//
// A message has one number for all its keywords: messages with the same keywords share a set. So an
// entry stays small however many keywords there are, and one table look-up says whether a message
// has a keyword. Sets are made when they are needed; squeeze() removes those that no message has
// any more.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/strong.h"

namespace rims::store {

using KeywordIndex = uint16_t;                              // into Keywords::names()
using KeywordSet = Strong<struct KeywordSetTag, uint32_t>;  // 0: no keywords

inline constexpr size_t kMaxKeywords = 10'000;        // that a mailbox can know; Limits::keywords
inline constexpr size_t kMaxKeywordsOfMessage = 128;  // that a message can have
inline constexpr size_t kLongestKeyword = 120;        // bytes of a name

// Ascending, each once.
using KeywordList = std::vector<KeywordIndex>;
[[nodiscard]] KeywordList merged(std::span<const KeywordIndex> a, std::span<const KeywordIndex> b);
[[nodiscard]] KeywordList without(std::span<const KeywordIndex> a, std::span<const KeywordIndex> b);

class Keywords {
 public:
  Keywords();

  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  // Case-insensitive (RFC 3501 §2.3.2); nullopt when nobody has used it here.
  [[nodiscard]] std::optional<KeywordIndex> find(std::string_view name) const;
  // Sets the name of `index`. Lower indexes without a name, whose definitions were lost, get a name
  // that says so. Below kMaxKeywords.
  void define(KeywordIndex index, std::string name);

  // How many sets there are, the empty one with number 0 included.
  [[nodiscard]] size_t sets() const { return sets_.size(); }
  // Valid until the next set is made.
  [[nodiscard]] std::span<const KeywordIndex> of(KeywordSet set) const { return sets_[set.value]; }
  [[nodiscard]] bool has(KeywordSet set, KeywordIndex keyword) const;
  // `list` is ascending; indexes without a name get one as above.
  KeywordSet intern(std::span<const KeywordIndex> list);
  // The names stay; no message may name a set any more.
  void forget_sets();
  // Keeps only the sets that `used` names, and writes their new numbers there.
  void squeeze(std::span<KeywordSet* const> used);

  bool operator==(const Keywords& other) const { return names_ == other.names_; }

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, KeywordIndex> by_name_;  // in lower case
  std::vector<KeywordList> sets_;
  std::unordered_multimap<size_t, uint32_t> by_hash_;  // of a set's list -> its number
};

}  // namespace rims::store
