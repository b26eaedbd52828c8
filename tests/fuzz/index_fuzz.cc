// tests/fuzz/index_fuzz.cc - values of the index, and whole GDBM files, that were damaged
//
// First byte: 0 to 9 one kind of value, 10 and above a GDBM file. Property: everything ends in an
// answer; what is accepted keeps the invariants of a mailbox.

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#include <sodium.h>

#include "common/base/result.h"
#include "common/index/gdbm_key_value.h"
#include "common/index/index_codec.h"

namespace {

using namespace rims::store;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "index_fuzz: not so: %s\n", what);
  std::abort();  // libFuzzer keeps the input
}

std::string fitted(std::string_view bytes, size_t size) {
  std::string value(bytes.substr(0, size));
  value.resize(size);
  return value;
}

void gdbm_file(std::string_view bytes) {
  rims::Fd fd(memfd_create("index", MFD_CLOEXEC));
  if (!fd || write(fd.get(), bytes.data(), bytes.size()) < 0) return;
  auto file = open_gdbm(std::move(fd), "memory", false);
  if (!file) return;
  size_t values = 0;
  (void)(*file)->for_each([&](std::string_view, std::string_view) { values++; });
  (void)(*file)->get("meta");
  (void)(*file)->put("meta", std::string(64, 'x'));
  (void)(*file)->remove(numbered_key('e', 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int ready = sodium_init();
  if (ready < 0 || size < 1 || size > (1 << 20)) return 0;
  const std::string_view value(reinterpret_cast<const char*>(data) + 1, size - 1);
  AccountState state;
  Mailbox mailbox;
  switch (data[0]) {
    case 0: {
      if (const auto head = IndexCodec::decode_head(fitted(value, kIndexHead)))
        require(IndexCodec::decode_head(IndexCodec::encode(*head)).has_value(), "head");
      return 0;
    }
    case 1:
      if (IndexCodec::decode_list(value, state))
        require(IndexCodec::encode_list(state).size() <= value.size(), "list");
      return 0;
    case 2:
      (void)IndexCodec::decode_counters(fitted(value, 64), mailbox);
      return 0;
    case 3:
      (void)IndexCodec::decode_mailbox_head(fitted(value, 64), mailbox);
      return 0;
    case 4: {
      Locations::Chunk chunk;
      const std::string whole = fitted(value, kSlotsPerChunk * kLocationSlot);
      if (IndexCodec::decode_locations(whole, chunk))
        require(IndexCodec::decode_locations(IndexCodec::encode_locations(chunk), chunk), "places");
      return 0;
    }
    case 8: {
      std::vector<ExpungedRange> all;
      if (value.empty()) return 0;
      const auto count = static_cast<uint8_t>(value.front());
      if (!IndexCodec::decode_expunged(fitted(value.substr(1), kListChunk), count, all)) return 0;
      std::string made;
      std::vector<ExpungedRange> again;
      require(IndexCodec::add_expunged(made, 0, all), "expunged");
      require(IndexCodec::decode_expunged(made, count, again) && again == all, "expunged");
      return 0;
    }
    case 9:
      if (!value.empty() && IndexCodec::decode_annotations(value, state))
        require(IndexCodec::encode_annotations(state) == value, "annotations");
      return 0;
    case 5:
    case 6:
    case 7: {
      IndexCodec::Loading loading;
      const auto counters = fitted(value, 64);
      (void)IndexCodec::decode_counters(counters, mailbox);
      const auto rest = value.size() > 64 ? value.substr(64) : std::string_view();
      if (data[0] > 5) (void)IndexCodec::decode_sets(rest, loading);
      if (!IndexCodec::decode_entries(fitted(rest, kSlotsPerChunk * kEntrySlot), 0, loading))
        return 0;
      if (!IndexCodec::finish(std::move(loading), mailbox)) return 0;
      require(mailbox.messages().size() == mailbox.info().messages, "what was loaded is counted");
      rims::Uid before;
      for (const auto& e : mailbox.messages()) {
        require(e.uid > before && e.uid < mailbox.info().uidnext, "uids ascend");
        before = e.uid;
      }
      return 0;
    }
    default:
      gdbm_file(value);
      return 0;
  }
}
