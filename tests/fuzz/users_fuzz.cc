// tests/fuzz/users_fuzz.cc - records of the user directory from a disk that anybody may have
// written
//
// The input is a list of records: a length (u16), and so many bytes. Properties: one that decodes
// encodes to the same bytes; who is in the state is found by name, id and address; a snapshot of
// the state gives the same state again.

#include <cstdio>
#include <cstdlib>
#include <type_traits>

#include "common/base/result.h"
#include "common/names/names.h"
#include "common/users/state.h"

namespace {

using namespace rims::users;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "users_fuzz: not so: %s\n", what);
  std::abort();  // libFuzzer keeps the input
}

void look(const State& state) {
  for (const auto& [name, id] : state.names()) {
    const User* user = state.find_id(id);
    require(user != nullptr && state.find(name) == user, "a name leads to its user");
    require(rims::names::folded(user->name.value) == name, "and is the user's");
    for (const Address& address : user->addresses.value)
      if (const auto key = address_key(address.value))
        require(state.find_address(*key) == user, "an address leads to its user");
    (void)state.recipient(user->name.value, "+", true);
  }
  require(state.names().size() == state.size(), "each user has a name");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  State state;
  for (uint64_t seq = 1; rest.size() >= 2; seq++) {
    const size_t length =
        static_cast<size_t>(static_cast<uint8_t>(rest[0])) << 8 | static_cast<uint8_t>(rest[1]);
    const std::string_view bytes = rest.substr(2, length);
    rest.remove_prefix(2 + bytes.size());
    if (const auto record = decode(bytes))
      std::visit(
          [&]<class R>(const R& r) {
            if constexpr (!std::is_same_v<R, Ignored>)
              require(encode(r) == bytes, "encode(decode(x)) is x");
          },
          *record);
    (void)state.apply(seq, bytes);
    look(state);
  }
  state.folded_all();
  look(state);
  State again;
  uint64_t seq = 0;
  for (const std::string& record : state.snapshot())
    require(again.apply(++seq, record).has_value(), "a record of a snapshot can be used");
  again.folded_all();
  look(again);
  require(again.snapshot() == state.snapshot(), "a snapshot gives the same state");
  return 0;
}
