// common/account/account_structures.cc - structures of many messages at once, and keeping them
//
// Invariants
//   1. a chunk is kept only of ids that are all given out and durable: it never changes after
//   2. what is kept is what the record holds, or was made again from the message; either was
//      verified when it was read
//   3. what a compaction takes away is forgotten here as well, also when it was just being kept
//
// Keeping is behind everything else: half of the time belongs to the others, and an account that is
// closed does not wait for more than one chunk. Only chunks that were completed since the account
// was opened are kept before it closes: so new mail is there, cold, at the next first look.

#include <algorithm>
#include <map>

#include "common/account/account.h"
#include "common/message/kept_fields.h"
#include "common/message/preview.h"
#include "common/message/structure.h"

namespace rims::store {
namespace {

// Of one call of read_structures(): messages, and bytes after which no further chunk is begun.
constexpr size_t kAtOnce = 256;
constexpr size_t kBytesAtOnce = 1 << 20;
// So many of a chunk are cheaper read together than one by one.
constexpr size_t kWorthAChunk = 4;
// More chunks than this wait for a later look.
constexpr size_t kMostUnkept = 65'536;
constexpr Milliseconds kLongestPause{20};

}  // namespace

bool Account::complete(uint64_t chunk) const {
  return (chunk + 1) * StructureFiles::kPerChunk <= state_.next_message().value;
}

Task<Result<Structures>> Account::read_structures(std::span<const MessageId> messages,
                                                  Wanted wanted) {
  if (failure_ || shut_) co_return unusable();
  struct Together {
    size_t messages = 0;
    bool read = false;
    StructureFiles::ChunkRef structures, fields;
  };
  messages = messages.first(std::min(messages.size(), kAtOnce));
  std::map<uint64_t, Together> chunks;
  for (const MessageId id : messages) chunks[StructureFiles::chunk_of(id)].messages++;

  Structures found;
  size_t bytes = 0;
  const auto hold = [&](const auto& memory) {
    bytes += memory->size();
    found.hold(memory);
  };
  for (const MessageId id : messages) {
    const uint64_t number = StructureFiles::chunk_of(id);
    Together& chunk = chunks[number];
    if (!chunk.read && chunk.messages >= kWorthAChunk && complete(number)) {
      if (bytes > kBytesAtOnce) break;
      chunk.read = true;
      if (wanted.structure)
        chunk.structures = co_await structures_->read(Kept::structure, number, state_.seq());
      if (wanted.fields)
        chunk.fields = co_await structures_->read(Kept::fields, number, state_.seq());
      if (chunk.structures) hold(chunk.structures);
      if (chunk.fields) hold(chunk.fields);
      if (bool(chunk.structures) != wanted.structure || bool(chunk.fields) != wanted.fields)
        keep_structures(number);
    }
    Structures::One one;
    if (chunk.structures) one.structure = chunk.structures->at(id);
    if (chunk.fields) one.fields = chunk.fields->at(id);
    if ((wanted.structure && one.structure.empty()) || (wanted.fields && one.fields.empty())) {
      if (found.size() > 0 && bytes > kBytesAtOnce) break;
      // What this says of a message that is gone, or damaged, its reader will hear as well.
      auto single = co_await read_part(id, Part::structure, 0, UINT64_MAX);
      const auto memory = std::make_shared<const std::string>(single ? *std::move(single) : "");
      const auto view = message::StructureView::open(*memory);
      if (view) one = {.structure = *memory, .fields = view->fields()};
      hold(memory);
    }
    found.add(one);
  }
  co_return found;
}

void Account::keep_structures(uint64_t chunk) {
  if (failure_ || !structures_->usable() || unkept_.size() >= kMostUnkept) return;
  unkept_.insert(chunk);
  if (std::exchange(keeping_, true)) return;
  kept_.clear();
  scope_.spawn(run_keeping());
}

void Account::keep_new_structures() {
  for (; kept_from_ && complete(*kept_from_); ++*kept_from_) keep_structures(*kept_from_);
}

Task<void> Account::run_keeping() {
  while (!unkept_.empty() && !failure_ && structures_->usable()) {
    const uint64_t chunk = unkept_.extract(unkept_.begin()).value();
    const auto since = Loop::now();
    if (!co_await structures_->has(chunk, state_.seq())) co_await keep_chunk(chunk);
    if (closing_) continue;
    const auto took = std::chrono::duration_cast<Milliseconds>(Loop::now() - since);
    co_await sleep_for(loop_, std::min(took, kLongestPause));
  }
  unkept_.clear();
  keeping_ = false;
  kept_.set();
}

Task<void> Account::keep_chunk(uint64_t chunk) {
  const uint64_t forgotten = structures_->forgotten();
  StructureFiles::Entries structures, fields;
  TimeSlice slice(loop_);
  for (uint64_t i = 0; i < StructureFiles::kPerChunk; i++) {
    const MessageId id(chunk * StructureFiles::kPerChunk + i);
    auto blob = co_await read_part(id, Part::structure, 0, UINT64_MAX);
    if (failure_) co_return;
    if (!blob && blob.error().fault() == Fault::not_found) continue;
    auto view = message::StructureView::open(blob ? std::string_view(*blob) : "");
    if (!view || view->fields().empty()) {
      // Damaged, or of a version that kept no fields.
      const auto whole = co_await read_part(id, Part::message, 0, UINT64_MAX);
      if (failure_) co_return;
      if (!whole) continue;
      blob = std::string();
      co_await pool_.run([&] { *blob = message::make_structure(*whole, structure_limits_); });
      view = message::StructureView::open(*blob);
      if (!view) continue;
    }
    structures[i] = message::without_fields(*blob, *view);
    fields[i] = view->fields();
    const auto known = message::KeptFields::open(fields[i]);
    if (known && !known->preview()) {
      // Of a version that kept no preview: it is made but once.
      const auto beginning = co_await read_part(id, Part::message, 0, message::kPreviewReach);
      if (failure_) co_return;
      if (beginning) {
        std::string preview;
        const auto make = [&] { preview = message::make_preview(*beginning, *view); };
        co_await pool_.run(make);
        fields[i] = message::with_preview(std::move(fields[i]), preview);
      }
    }
    co_await slice.spend();
  }
  if (structures_->forgotten() != forgotten) co_return;
  co_await structures_->write(chunk, state_.seq(), std::move(structures), std::move(fields));
}

Task<void> Account::structures_kept() {
  keep_new_structures();
  while (keeping_) co_await kept_.wait();
}

}  // namespace rims::store
