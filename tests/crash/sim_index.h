// tests/crash/sim_index.h - index files whose unsynced keys a power loss keeps or loses one by one
#pragma once

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/index/key_value.h"
#include "common/journal/account_dir.h"
#include "tests/crash/sim_disk.h"

namespace rims::store {

class SimIndex final : public KeyValueFactory {
 public:
  // Fails with `disk` (its power, its faults) when there is one.
  explicit SimIndex(SimDisk* disk) : disk_(disk) {}
  // A mutant: the sync of "meta", "message" or "mailbox" files does nothing ("sync of ..."), or
  // happens when the next checkpoint begins ("late sync of ..."); or annotations that have changed
  // are not written ("put of annotations").
  std::string mutant;
  uint64_t mutations = 0;

  Result<std::unique_ptr<KeyValueStore>> open(const std::string& user, const AccountDir*,
                                              const std::string& name, OpenMode mode) override {
    auto& file = files_[user + "/" + name];
    if (mode == OpenMode::read_only ? broken() : fails()) return fault();
    if (!file && (mode == OpenMode::existing || mode == OpenMode::read_only))
      return fail(Fault::storage, "temporary failure", "no such index: " + name);
    if (!file || mode == OpenMode::empty) file = std::make_shared<File>();
    // By itself the kernel writes it, too, sooner or later.
    if (++opened_ % 2 == 0) settle(*file);
    return std::make_unique<View>(*this, name, file);
  }
  std::vector<std::string> names(const std::string& user, const AccountDir*) override {
    std::vector<std::string> names;
    for (const auto& [path, file] : files_)
      if (file && path.starts_with(user + "/")) names.push_back(path.substr(user.size() + 1));
    return names;
  }
  Status remove(const std::string& user, const AccountDir*, const std::string& name) override {
    if (fails()) return fault();
    auto& file = files_[user + "/" + name];
    if (file) removed_[user + "/" + name] = std::exchange(file, nullptr);
    return {};
  }

  void forget() { files_.clear(); }
  void lose_power(std::mt19937& random) {
    late_.clear();
    for (auto& [path, file] : files_) {
      const auto gone = removed_.find(path);
      // The name in the directory was not flushed.
      if (file && !file->synced && random() % 2 == 0) file.reset();
      if (!file && gone != removed_.end() && random() % 2 == 0) file = gone->second;
      if (!file || file->now == file->durable) continue;
      std::set<std::string> keys;
      for (const auto& [key, value] : file->now) keys.insert(key);
      for (const auto& [key, value] : file->durable) keys.insert(key);
      const unsigned share = random() % 3 * 50;
      for (const auto& key : keys) {
        if (random() % 100 < share) continue;
        const auto old = file->durable.find(key);
        if (old == file->durable.end())
          file->now.erase(key);
        else
          file->now[key] = old->second;
      }
      file->torn = file->now != file->durable && random() % 8 == 0;
      file->durable = file->now;
    }
    removed_.clear();
  }

 private:
  using Map = std::map<std::string, std::string, std::less<>>;
  struct File {
    Map now, durable;
    bool synced = false;  // and so its name has got there
    bool torn = false;    // in its structure: nothing can be read
  };
  using FileRef = std::shared_ptr<File>;  // shared by the directory and who has it open

  class View final : public KeyValueStore {
   public:
    View(SimIndex& owner, std::string name, FileRef file)
        : owner_(owner), name_(std::move(name)), file_(std::move(file)) {}
    Result<std::optional<std::string>> get(std::string_view key) override {
      if (owner_.broken() || file_->torn) return fault();
      const auto found = file_->now.find(key);
      if (found == file_->now.end()) return std::nullopt;
      return found->second;
    }
    Status put(std::string_view key, std::string_view value) override {
      if (owner_.fails() || file_->torn) return fault();
      if (owner_.disk_) {
        owner_.disk_->trace.mix(key);
        owner_.disk_->trace.mix(value);
      }
      if (owner_.mutant == "put of annotations" && key[0] == 'A' && file_->now.contains(key)) {
        owner_.mutations++;
        return {};
      }
      file_->now[std::string(key)] = value;
      return {};
    }
    Status remove(std::string_view key) override {
      if (owner_.fails() || file_->torn) return fault();
      if (const auto found = file_->now.find(key); found != file_->now.end())
        file_->now.erase(found);
      return {};
    }
    Status for_each(const std::function<void(std::string_view, std::string_view)>& f) override {
      for (const auto& [key, value] : file_->now) f(key, value);
      return {};
    }
    Status sync() override {
      if (owner_.fails()) return fault();
      if (std::exchange(owner_.late_due_, false)) {
        for (auto& [file, content] : std::exchange(owner_.late_, {}))
          file->durable = std::move(content);
      }
      const std::string kind = "sync of " + name_.substr(0, name_.find('_'));
      file_->synced = true;
      if (owner_.mutant == kind) {
        owner_.mutations++;
      } else if (owner_.mutant == "late " + kind) {
        owner_.mutations++;
        owner_.late_.emplace_back(file_, file_->now);
      } else {
        settle(*file_);
      }
      owner_.late_due_ = name_ == "meta";
      return {};
    }

   private:
    SimIndex& owner_;
    std::string name_;
    FileRef file_;
  };

  static void settle(File& file) { file.durable = file.now; }
  // What changes something counts as a call on the disk.
  [[nodiscard]] bool fails() { return disk_ && disk_->index_fails(); }
  [[nodiscard]] bool broken() const {
    return disk_ && (disk_->dead() || (disk_->fault && disk_->fault(SimDisk::Call::write) > 0));
  }
  static std::unexpected<Error> fault() {
    return fail(Fault::storage, "temporary failure", "the index fails");
  }

  SimDisk* disk_;
  std::map<std::string, FileRef> files_, removed_;
  std::vector<std::pair<FileRef, Map>> late_;  // what will be durable
  uint64_t opened_ = 0;
  bool late_due_ = false;
};

}  // namespace rims::store
