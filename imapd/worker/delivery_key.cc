// imapd/worker/delivery_key.cc - see doc/storage-format.md, record "append"

#include "imapd/worker/delivery_key.h"

#include <array>

#include <sodium.h>

#include "common/base/ascii.h"

namespace rims::imapd {
namespace {

bool is_field(std::string_view line, std::string_view name) {
  return line.size() > name.size() && line[name.size()] == ':' &&
         ascii::equal(line.substr(0, name.size()), name);
}

// The message in two pieces, without the Delivery-date field, if there is one among those that an
// MTA puts in front of a message. It is the time of the attempt, another one in each.
std::array<std::string_view, 2> without_delivery_date(std::string_view message) {
  size_t at = 0;
  while (true) {
    const size_t end = message.find('\n', at);
    if (end == message.npos) return {message, {}};
    const auto line = message.substr(at, end - at);
    if (is_field(line, "Delivery-date")) return {message.substr(0, at), message.substr(end + 1)};
    if (!is_field(line, "Return-Path") && !is_field(line, "Envelope-To") &&
        !is_field(line, "Delivered-To") && !is_field(line, "X-Original-To"))
      return {message, {}};
    at = end + 1;
  }
}

}  // namespace

store::DeliveryKey delivery_key(std::string_view recipient, std::string_view mailbox,
                                std::string_view id, std::string_view message) {
  store::DeliveryKey key{};
  if (id.empty()) return key;

  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  std::array<unsigned char, crypto_hash_sha256_BYTES> content{};
  crypto_hash_sha256_state sha;
  crypto_hash_sha256_init(&sha);
  for (const auto piece : without_delivery_date(message))
    crypto_hash_sha256_update(&sha, bytes(piece), piece.size());
  crypto_hash_sha256_final(&sha, content.data());

  crypto_generichash_state hash;
  crypto_generichash_init(&hash, nullptr, 0, key.size());
  const std::string_view hashed(reinterpret_cast<const char*>(content.data()), content.size());
  for (const auto field : {recipient, mailbox, id, hashed}) {
    std::array<unsigned char, 8> length{};
    for (size_t i = 0; i < length.size(); i++)
      length[i] = static_cast<unsigned char>(field.size() >> (8 * i) & 0xff);
    crypto_generichash_update(&hash, length.data(), length.size());
    crypto_generichash_update(&hash, bytes(field), field.size());
  }
  crypto_generichash_final(&hash, key.data(), key.size());
  return key;
}

}  // namespace rims::imapd
