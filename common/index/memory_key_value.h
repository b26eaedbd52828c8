// common/index/memory_key_value.h - an index in memory: of tests, and of servers without GDBM files
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/index/key_value.h"
#include "common/journal/account_dir.h"

namespace rims::store {

// For tests. What was put stays with the factory, as on a disk. Calls from several threads are
// fine as long as each store is used by one at a time.
class MemoryKeyValues final : public KeyValueFactory {
 public:
  using Map = std::map<std::string, std::string, std::less<>>;
  Result<std::unique_ptr<KeyValueStore>> open(const std::string& user, const AccountDir* dir,
                                              const std::string& name, OpenMode mode) override;
  std::vector<std::string> names(const std::string& user, const AccountDir* dir) override;
  Status remove(const std::string& user, const AccountDir* dir, const std::string& name) override;
  // "user/name" -> contents, for tests that damage them; only while no account is open.
  std::map<std::string, std::shared_ptr<Map>>& files() { return files_; }

 private:
  std::mutex mutex_;  // guards the map, not the contents
  std::map<std::string, std::shared_ptr<Map>> files_;
};

}  // namespace rims::store
