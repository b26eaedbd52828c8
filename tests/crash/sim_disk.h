// tests/crash/sim_disk.h - a disk that fails, loses its power, and remembers what was not flushed
//
// The files are real ones (put them under /dev/shm): they are the page cache. Beside them stands
// what the platter would have: for each 512-byte sector that was written since the last flush of
// its file all it has been, for each directory what was made, renamed or removed since its last
// flush. lose_power() lets a random part of that happen, in any order, with torn sectors.
//
// A failed flush drops the dirty pages as Linux does: the cache shows the new bytes, the disk has
// the old ones, and the next flush succeeds.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/journal/disk.h"
#include "tests/crash/sim_chance.h"

namespace rims::store {

class SimDisk final : public Disk {
 public:
  enum class Call : uint8_t {
    open,
    write,
    fdatasync,
    fsync,
    truncate,
    mkdir,
    rename,
    replace,
    unlink
  };
  // Asked before each call; an errno makes it fail. A negative number is a short write.
  std::function<int(Call)> fault;
  std::function<bool()> ends_early;  // asked before each read: it gets nothing, as at the end
  std::function<void()> slow;        // called before each call that changes something or reads
  Trace trace;                       // of all that was written, and in what order
  int fdatasyncs = 0, fsyncs = 0;

  // --- mutants: what is left out of the store, by kind (see kind_of) ---
  std::string ignored;  // flushes of this kind do nothing
  std::string late;     // they happen when the next commit was acknowledged, and no sooner
  bool blind = false;   // every segment says that it is of one and the same account
  bool syncs_lie = false;
  bool directory_syncs_lie = false;
  uint64_t mutations = 0;  // how often one of these did something
  // While `aiming` the power often goes off soon after a flush of the kind `aim`.
  std::string aim;
  bool aiming = false;
  std::map<std::string, uint64_t> kinds;  // all flushes that were seen

  // --- power ---
  // The power goes off at the `calls`-th call from now that changes something: it may happen or
  // not, it and all that follow fail. power_on() ends that.
  void power_off_after(uint64_t left) { power_left_ = left; }
  void power_on();
  [[nodiscard]] bool dead() const { return dead_; }
  // Was there a flush of the kind `aim` since the power was lost?
  [[nodiscard]] bool struck() const { return struck_; }
  // The same for a change of an index file, which is not one of these files: does it fail?
  bool index_fails();
  enum class Keep : uint8_t { nothing, some };
  // What was not flushed is lost, or a random part of it. All descriptors must be closed.
  void lose_power(Keep keep = Keep::nothing);
  // The process is gone, the machine is not: pages whose write-back failed may be read again.
  void forget_failed_pages();
  std::mt19937 random{1};
  uint64_t calls = 0;   // that change something
  uint64_t faults = 0;  // that failed

  int open(int dir, const char* path, int flags, unsigned mode) override;
  ssize_t write(int fd, const iovec* pieces, int count, off_t offset) override;
  ssize_t read(int fd, void* to, size_t size, off_t offset) override;
  int fdatasync(int fd) override;
  int fsync(int fd) override;
  int truncate(int fd, off_t size) override;
  int mkdir(int dir, const char* path, unsigned mode) override;
  int rename(int dir, const char* from, const char* to) override;
  int replace(int dir, const char* from, const char* to) override;
  int unlink(int dir, const char* path) override;

 private:
  struct Sector {
    std::string durable;             // shorter than a sector: the rest is zeros
    std::vector<std::string> since;  // what it has been; what it is stands in the file
    bool failed = false;             // write-back failed: no flush will write it
  };
  struct File {
    uint64_t serial = 0;  // in what order they are taken up
    Fd fd;
    std::map<uint64_t, Sector> dirty;
    off_t durable_size = 0;
    std::vector<off_t> sizes;
    bool again = false, sealed = false, cut = false, compacts = false;
  };
  // A file or directory, as long as a change of its name is not durable.
  struct Object {
    ino_t inode = 0;
    bool directory = false;
    Fd fd;
  };
  using ObjectRef = std::shared_ptr<Object>;  // shared by the changes that speak of it
  struct Change {
    enum class Kind : uint8_t { make, remove, rename } kind;
    std::string from, to;  // full paths; `to` of a rename only
    ObjectRef object;
    ObjectRef replaced;  // by a rename
  };
  enum class Doom : uint8_t { none, fail, happen_and_fail };

  Doom doom(Call call, bool asked = false);  // asked: `fault` was
  int rename_by(bool over, int dir, const char* from, const char* to);
  static std::string path_of(int fd);
  static std::string path_of(int dir, const char* path);
  ObjectRef object_at(const std::string& path);
  File& file(int fd);
  // `now`: all that stands from the sector of `offset` on, to the end of that of the last byte.
  void remember(File& file, off_t offset, size_t size, std::string_view now,
                const std::string& coming);
  std::vector<File*> in_order();
  int sync(int fd, bool data_only);
  std::string kind_of(int fd, ino_t inode, bool directory, bool data_only);
  void make_durable(ino_t inode, const std::string& directory);
  void settle_files(Keep keep);
  void settle_names(Keep keep);
  void put_name(const std::string& path, const ObjectRef& wanted);
  bool chance(unsigned percent) { return random() % 100 < percent; }

  std::mutex mutex_;
  std::map<ino_t, File> files_;
  std::list<Change> changes_;
  std::set<ino_t> fresh_;  // made and not flushed yet
  struct Late {
    ino_t inode = 0;
    std::string directory;
    bool due = false;
  };
  std::vector<Late> late_;  // flushes that are to come
  std::optional<uint64_t> power_left_;
  uint64_t serial_ = 0;
  bool dead_ = false, struck_ = false;
};

}  // namespace rims::store
