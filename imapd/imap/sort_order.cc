// imapd/imap/sort_order.cc - keys made of headers, and the comparison of two messages

#include "imapd/imap/sort_order.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "common/base/ascii.h"
#include "common/message/address.h"
#include "common/message/base_subject.h"
#include "common/message/header.h"
#include "common/message/text.h"

namespace rims::imapd {
namespace {

using Kind = imap::SortKey::Kind;

bool is_text(Kind kind) {
  return kind != Kind::arrival && kind != Kind::date && kind != Kind::size;
}

// "" for a key that looks at no field of the header.
std::string_view field_of(Kind kind) {
  switch (kind) {
    case Kind::cc:
      return "cc";
    case Kind::from:
    case Kind::display_from:
      return "from";
    case Kind::subject:
      return "subject";
    case Kind::to:
    case Kind::display_to:
      return "to";
    case Kind::date:  // is given as a time
    case Kind::arrival:
    case Kind::size:
      return "";
  }
  return "";
}

// i;unicode-casemap has capital letters: `_` comes after them.
std::string collation_key(std::string_view utf8) {
  std::string key = message::fold(utf8);
  for (char& c : key) c = ascii::upper(c);
  return key;
}

// More than this of a value decides nothing.
constexpr size_t kLongEnough = 8 * SortOrder::kMostText;

// The first row of the list: a group with a member in it has three.
message::Address first_address(std::string_view value) {
  std::optional<message::Address> first;
  message::for_each_address(value, 3, [&](const message::Address& address) {
    if (!first) first = address;
  });
  return first.value_or(message::Address());
}

std::string text_of(Kind kind, std::string_view header) {
  const std::string value = message::first_value(header, field_of(kind));
  if (kind == Kind::subject)
    return message::base_subject(message::decode_header(value, kLongEnough)).text;
  const message::Address address = first_address(value);
  if (kind != Kind::display_from && kind != Kind::display_to) return address.mailbox;
  // RFC 5957 §3: the display name, or the address; of a group its name.
  if (!address.name.empty()) return message::decode_header(address.name, kLongEnough);
  if (address.row != message::Address::Row::mailbox || address.mailbox.empty())
    return message::decode_header(address.mailbox, kLongEnough);
  return address.mailbox + '@' + address.host;
}

// In the order of the numbers.
uint64_t ordered(int64_t number) { return static_cast<uint64_t>(number) ^ (uint64_t{1} << 63); }

}  // namespace

std::vector<std::string> SortOrder::fields() const {
  std::vector<std::string> names;
  for (const imap::SortKey& key : keys_)
    if (const auto field = field_of(key.kind); !field.empty()) names.emplace_back(field);
  return names;
}

bool SortOrder::looks_at_date() const {
  return std::ranges::find(keys_, Kind::date, &imap::SortKey::kind) != keys_.end();
}

SortOrder::Value SortOrder::keep(std::string_view text) {
  const Value value = Value{texts_.size()} << 8 | std::min(text.size(), most_text_);
  texts_ += text.substr(0, most_text_);
  return value;
}

void SortOrder::add(SeqNum number, const store::MessageEntry& entry, std::optional<int64_t> sent,
                    std::string_view header) {
  numbers_.push_back(number.value);
  for (const imap::SortKey& key : keys_) {
    if (is_text(key.kind))
      values_.push_back(keep(collation_key(text_of(key.kind, header))));
    else if (key.kind == Kind::size)
      values_.push_back(entry.size);
    else
      values_.push_back(ordered(key.kind == Kind::date ? sent.value_or(entry.date) : entry.date));
  }
}

void SortOrder::shorten() {
  most_text_ = std::max(most_text_ / 2, kLeastText);
  std::string kept;
  kept.reserve(texts_.size() / 2);
  texts_.swap(kept);
  for (size_t i = 0; i < values_.size(); i++) {
    if (!is_text(keys_[i % keys_.size()].kind)) continue;
    values_[i] = keep(std::string_view(kept).substr(values_[i] >> 8, values_[i] & 0xFF));
  }
}

bool SortOrder::is_before(size_t a, size_t b) const {
  for (size_t k = 0; k < keys_.size(); k++) {
    const Value left = values_[a * keys_.size() + k], right = values_[b * keys_.size() + k];
    const auto order = is_text(keys_[k].kind) ? text(left) <=> text(right) : left <=> right;
    if (order != 0) return keys_[k].reverse ? order > 0 : order < 0;
  }
  return numbers_[a] < numbers_[b];
}

void SortOrder::sort() {
  std::vector<uint32_t> places(numbers_.size());
  std::iota(places.begin(), places.end(), 0U);
  std::ranges::sort(places, [this](uint32_t a, uint32_t b) { return is_before(a, b); });
  for (uint32_t& place : places) place = numbers_[place];
  numbers_ = std::move(places);
}

}  // namespace rims::imapd
