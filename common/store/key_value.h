// common/store/key_value.h - keys and values: the index's files behind a small door
//
// Blocking; one user at a time, on any thread. Nothing is durable before sync(). An index is
// never the truth: every error here leads to a rebuild from the journal, none loses mail.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace rims::store {

class AccountDir;

class KeyValueStore {
 public:
  KeyValueStore() = default;
  KeyValueStore(const KeyValueStore&) = delete;
  KeyValueStore& operator=(const KeyValueStore&) = delete;
  // Closes; the caller is on a thread that may block.
  virtual ~KeyValueStore() = default;

  // nullopt when there is no such key; storage when it is damaged.
  virtual Result<std::optional<std::string>> get(std::string_view key) = 0;
  virtual Status put(std::string_view key, std::string_view value) = 0;
  virtual Status remove(std::string_view key) = 0;
  // In no order. Must not change the store.
  virtual Status for_each(
      const std::function<void(std::string_view key, std::string_view value)>& f) = 0;
  virtual Status sync() = 0;
};

enum class OpenMode : uint8_t {
  existing,   // an error when it is missing
  create,     // made when it is missing
  empty,      // made anew
  read_only,  // existing, for looking at
};

class KeyValueFactory {
 public:
  virtual ~KeyValueFactory() = default;
  // `name` is a file name such as "meta". `dir` is empty when the store has no base directory.
  virtual Result<std::unique_ptr<KeyValueStore>> open(const std::string& user,
                                                      const AccountDir* dir,
                                                      const std::string& name, OpenMode mode) = 0;
  // Nothing to do when it is missing.
  virtual Status remove(const std::string& user, const AccountDir* dir,
                        const std::string& name) = 0;
};

// For tests. What was put stays with the factory, as on a disk. Calls from several threads are
// fine as long as each store is used by one at a time.
class MemoryKeyValues final : public KeyValueFactory {
 public:
  using Map = std::map<std::string, std::string, std::less<>>;
  Result<std::unique_ptr<KeyValueStore>> open(const std::string& user, const AccountDir* dir,
                                              const std::string& name, OpenMode mode) override;
  Status remove(const std::string& user, const AccountDir* dir, const std::string& name) override;
  // "user/name" -> contents, for tests that damage them; only while no account is open.
  std::map<std::string, std::shared_ptr<Map>>& files() { return files_; }

 private:
  std::mutex mutex_;  // guards the map, not the contents
  std::map<std::string, std::shared_ptr<Map>> files_;
};

}  // namespace rims::store
