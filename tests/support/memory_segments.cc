// tests/support/memory_segments.cc - strings instead of files

#include "tests/support/memory_segments.h"

#include <algorithm>
#include <cerrno>

namespace rims::store {
namespace {

class Memory final : public SegmentFile {
 public:
  Memory(std::string path, MemorySegments::Bytes bytes, std::mutex& mutex)
      : SegmentFile(std::move(path)), bytes_(std::move(bytes)), mutex_(mutex) {}
  Result<uint64_t> size() override {
    const std::lock_guard lock(mutex_);
    return bytes_->size();
  }
  Result<std::string> read(uint64_t offset, size_t size) override {
    return *read_now(offset, size);
  }
  std::optional<std::string> read_now(uint64_t offset, size_t size) override {
    const std::lock_guard lock(mutex_);
    return offset < bytes_->size() ? bytes_->substr(static_cast<size_t>(offset), size) : "";
  }
  Status write(std::vector<iovec> pieces, uint64_t offset) override {
    const std::lock_guard lock(mutex_);
    auto at = static_cast<size_t>(offset);
    for (const auto& piece : pieces) {
      bytes_->resize(std::max(bytes_->size(), at + piece.iov_len));
      bytes_->replace(at, piece.iov_len, static_cast<const char*>(piece.iov_base), piece.iov_len);
      at += piece.iov_len;
    }
    return {};
  }
  Status flush(Flush) override { return {}; }
  Status cut(uint64_t size) override {
    const std::lock_guard lock(mutex_);
    bytes_->resize(static_cast<size_t>(size));
    return {};
  }

 private:
  MemorySegments::Bytes bytes_;
  std::mutex& mutex_;
};

}  // namespace

Result<std::vector<std::string>> MemorySegments::names() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> list;
  for (const auto& [name, bytes] : there) list.push_back(name);
  return list;
}

Result<SegmentFileRef> MemorySegments::open(uint32_t number, Access) {
  const std::lock_guard lock(mutex_);
  const std::string name = segment_name(number);
  const auto found = there.find(name);
  if (found == there.end()) return fail_errno("open " + name, ENOENT);
  return std::make_shared<Memory>(path_ + "/" + name, found->second, mutex_);
}

Result<SegmentFileRef> MemorySegments::make(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (there.contains(name)) return fail_errno("open " + name, EEXIST);
  there[name] = std::make_shared<std::string>();
  return std::make_shared<Memory>(path_ + "/" + name, there[name], mutex_);
}

Result<SegmentFileRef> MemorySegments::create(uint32_t number) {
  return make(segment_name(number));
}

Result<SegmentFileRef> MemorySegments::create_replacement(uint32_t number) {
  const std::string name = replacement_name(number);
  (void)remove(name);
  return make(name);
}

Status MemorySegments::replace(uint32_t number, SegmentFile& made) {
  const std::lock_guard lock(mutex_);
  auto node = there.extract(replacement_name(number));
  if (node.empty()) return fail_errno("rename", ENOENT);
  there[segment_name(number)] = std::move(node.mapped());
  made.be_called(path_ + "/" + segment_name(number));
  return {};
}

Status MemorySegments::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (there.erase(name) == 0) return fail_errno("unlink " + name, ENOENT);
  return {};
}

Status MemorySegments::rename(uint32_t from, uint32_t to) {
  const std::lock_guard lock(mutex_);
  if (there.contains(segment_name(to))) return fail_errno("rename", EEXIST);
  auto node = there.extract(segment_name(from));
  if (node.empty()) return fail_errno("rename", ENOENT);
  there[segment_name(to)] = std::move(node.mapped());
  return {};
}

Status MemorySegments::exchange(uint32_t one, uint32_t other) {
  const std::lock_guard lock(mutex_);
  if (!there.contains(segment_name(one)) || !there.contains(segment_name(other)))
    return fail_errno("rename", ENOENT);
  std::swap(there[segment_name(one)], there[segment_name(other)]);
  return {};
}

Status MemorySegments::move_aside(const std::string& name, const std::string& to) {
  const std::lock_guard lock(mutex_);
  auto node = there.extract(name);
  if (node.empty()) return fail_errno("rename " + name, ENOENT);
  quarantine[to] = std::move(node.mapped());
  return {};
}

Status MemorySegments::keep_copy(const std::string& name, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  quarantine.emplace(name, std::make_shared<std::string>(bytes));
  return {};
}

}  // namespace rims::store
