// tests/fuzz/links_fuzz.cc - every message between processes: what decodes must encode to the same
// bytes; and what a pipe brings to rims-deliver
//
// The first byte chooses the message.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "common/config/parts.h"
#include "common/ipc/links.h"
#include "deliver/intake.h"

namespace {

using namespace rims;

template <class Message>
void round_trip(std::string_view bytes) {
  const auto message = ipc::decode<Message>(bytes);
  if (message && ipc::encode(*message) != bytes) std::abort();
}

template <class... Messages>
void one_of(std::tuple<Messages...>*, uint8_t which, std::string_view bytes) {
  uint8_t n = 0;
  ((n++ == which % sizeof...(Messages) ? round_trip<Messages>(bytes) : void()), ...);
}

template <class... Direction>
auto messages(std::tuple<Direction...>*)
    -> decltype(std::tuple_cat(std::declval<typename Direction::Messages>()...));

using Parts = std::tuple<config::LogPart, config::AuthPart, config::LoginPart, config::ImapdPart,
                         config::DeliverdPart>;
using All = decltype(std::tuple_cat(std::declval<Parts>(),
                                    messages(static_cast<ipc::Directions*>(nullptr))));

// The stored form has no bare LF unless the input had a CRLF, and is stable.
void stored(std::string_view bytes) {
  const std::string once = deliver::wire_lines(std::string(bytes));
  if (deliver::wire_lines(once) != once) std::abort();
  if (!bytes.contains("\r\n"))
    for (size_t at = once.find('\n'); at != std::string::npos; at = once.find('\n', at + 1))
      if (at == 0 || once[at - 1] != '\r') std::abort();
  if (deliver::stored_form(std::string(bytes)).size() > 2 * bytes.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(static_cast<const char*>(static_cast<const void*>(data + 1)),
                               size - 1);
  one_of(static_cast<All*>(nullptr), data[0], bytes);
  stored(bytes);
  return 0;
}
