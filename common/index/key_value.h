// common/index/key_value.h - keys and values: the interface to the index's files
//
// Blocking; one user at a time, on any thread. Nothing is durable before sync(). Every error here
// leads to a rebuild from the journal; none loses mail.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
  empty,      // a new one; an old one is removed
  read_only,  // existing, for reading only
};

class KeyValueFactory {
 public:
  virtual ~KeyValueFactory() = default;
  // `name` is a file name such as "meta". `dir` is empty when the store has no base directory.
  virtual Result<std::unique_ptr<KeyValueStore>> open(const std::string& user,
                                                      const AccountDir* dir,
                                                      const std::string& name, OpenMode mode) = 0;
  // The names of those that are there.
  virtual std::vector<std::string> names(const std::string& user, const AccountDir* dir) = 0;
  // Nothing to do when it is missing.
  virtual Status remove(const std::string& user, const AccountDir* dir,
                        const std::string& name) = 0;
  // Moves it to quarantine/<to>/; a store without a directory removes it.
  virtual Status set_aside(const std::string& user, const AccountDir* dir, const std::string& name,
                           const std::string& /*to*/) {
    return remove(user, dir, name);
  }
  // The values of `to` that set_aside() had, the latest one last.
  virtual std::vector<std::string> kept_aside(const std::string& /*user*/,
                                              const AccountDir* /*dir*/) {
    return {};
  }
};

}  // namespace rims::store
