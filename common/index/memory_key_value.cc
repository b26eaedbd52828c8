// common/index/memory_key_value.cc - maps instead of files

#include "common/index/memory_key_value.h"

namespace rims::store {
namespace {

class MemoryStore final : public KeyValueStore {
 public:
  explicit MemoryStore(std::shared_ptr<MemoryKeyValues::Map> map) : map_(std::move(map)) {}
  Result<std::optional<std::string>> get(std::string_view key) override {
    const auto found = map_->find(key);
    if (found == map_->end()) return std::nullopt;
    return found->second;
  }
  Status put(std::string_view key, std::string_view value) override {
    (*map_)[std::string(key)] = value;
    return {};
  }
  Status remove(std::string_view key) override {
    const auto found = map_->find(key);
    if (found != map_->end()) map_->erase(found);
    return {};
  }
  Status for_each(const std::function<void(std::string_view, std::string_view)>& f) override {
    for (const auto& [key, value] : *map_) f(key, value);
    return {};
  }
  Status sync() override { return {}; }

 private:
  std::shared_ptr<MemoryKeyValues::Map> map_;  // shared with the factory, as a file with the disk
};

}  // namespace

Result<std::unique_ptr<KeyValueStore>> MemoryKeyValues::open(const std::string& user,
                                                             const AccountDir*,
                                                             const std::string& name,
                                                             OpenMode mode) {
  const std::lock_guard lock(mutex_);
  auto& map = files_[user + "/" + name];
  if (!map && (mode == OpenMode::existing || mode == OpenMode::read_only)) {
    files_.erase(user + "/" + name);
    return fail(Fault::storage, "temporary failure", "no such index: " + name);
  }
  if (!map || mode == OpenMode::empty) map = std::make_shared<Map>();
  return std::make_unique<MemoryStore>(map);
}

std::vector<std::string> MemoryKeyValues::names(const std::string& user, const AccountDir*) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [path, map] : files_)
    if (path.starts_with(user + "/")) names.push_back(path.substr(user.size() + 1));
  return names;
}

Status MemoryKeyValues::remove(const std::string& user, const AccountDir*,
                               const std::string& name) {
  const std::lock_guard lock(mutex_);
  files_.erase(user + "/" + name);
  return {};
}

}  // namespace rims::store
