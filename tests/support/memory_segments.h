// tests/support/memory_segments.h - the segments of a journal in memory
//
// They stay with the object, as files do on a disk, whoever opens them.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/journal/segments.h"

namespace rims::store {

class MemorySegments final : public Segments {
 public:
  using Bytes = std::shared_ptr<std::string>;  // shared with those who have it open
  // By name, for tests that look or do damage.
  std::map<std::string, Bytes> there, quarantine;

  [[nodiscard]] const std::string& path() const override { return path_; }
  Result<std::vector<std::string>> names() override;
  Result<SegmentFileRef> open(uint32_t number, Access access) override;
  Result<SegmentFileRef> create(uint32_t number) override;
  Result<SegmentFileRef> create_replacement(uint32_t number) override;
  Status replace(uint32_t number, SegmentFile& made) override;
  Status remove(const std::string& name) override;
  Status rename(uint32_t from, uint32_t to) override;
  Status exchange(uint32_t one, uint32_t other) override;
  Status move_aside(const std::string& name, const std::string& to) override;
  Status keep_copy(const std::string& name, std::string_view bytes) override;
  Status prepare() override { return {}; }
  Status sync() override { return {}; }

 private:
  Result<SegmentFileRef> make(const std::string& name);
  std::mutex mutex_;
  std::string path_ = "memory";
};

}  // namespace rims::store
