// common/mail/locations.h - message id -> where its record is: the part that is in memory
//
// Ids are given out in order, so chunks of 256 are dense. Chunks that the index does not have
// yet stay; others may be dropped and are loaded again.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/mail/projection.h"
#include "common/mail/records.h"

namespace rims::store {

class Locations : public Projection {
 public:
  static constexpr size_t kPerChunk = 256;
  struct Chunk {
    std::array<Location, kPerChunk> at;  // segment 0: no such message
    std::bitset<kPerChunk> verified;     // checksums of its record were seen to be right
    bool dirty = false;
  };
  [[nodiscard]] static uint64_t chunk_of(MessageId id) { return id.value / kPerChunk; }

  // The chunk of `id` must be in memory, or be new.
  void set(MessageId id, const Location& at) {
    auto& chunk = make(chunk_of(id));
    chunk.at[id.value % kPerChunk] = at;
    chunk.verified.reset(id.value % kPerChunk);
    chunk.dirty = true;
  }
  // nullptr when it is not in memory and the index must be asked.
  [[nodiscard]] Chunk* find(uint64_t number) {
    const auto found = chunks_.find(number);
    return found == chunks_.end() ? nullptr : found->second.get();
  }
  Chunk& make(uint64_t number) {
    auto& chunk = chunks_[number];
    if (!chunk) chunk = std::make_unique<Chunk>();
    return *chunk;
  }
  [[nodiscard]] std::vector<uint64_t> dirty() const {
    std::vector<uint64_t> numbers;
    for (const auto& [number, chunk] : chunks_) {
      if (chunk->dirty) numbers.push_back(number);
    }
    return numbers;
  }
  [[nodiscard]] size_t size() const { return chunks_.size(); }
  // Drops clean chunks, but for `newest`, until at most `keep` are left.
  void trim(size_t keep, uint64_t newest) {
    for (auto it = chunks_.begin(); it != chunks_.end() && chunks_.size() > keep;)
      it = it->second->dirty || it->first == newest ? std::next(it) : chunks_.erase(it);
  }
  void clear() { chunks_.clear(); }

 private:
  void apply(const JournalEvent& event, std::span<const Change>,
             const AccountState& state) override;
  std::unordered_map<uint64_t, std::unique_ptr<Chunk>> chunks_;
};

}  // namespace rims::store
