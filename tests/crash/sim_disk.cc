// tests/crash/sim_disk.cc - see sim_disk.h

#include "tests/crash/sim_disk.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "common/journal/segment.h"

namespace rims::store {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSector = 512;
constexpr uint64_t kSectorsPerPage = 8;

bool zeros(std::string_view bytes) {
  return bytes.empty() ||
         (bytes[0] == 0 && memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

std::string parent(const std::string& path) { return path.substr(0, path.rfind('/')); }
std::string leaf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

off_t size_of(int fd) {
  struct stat st{};
  fstat(fd, &st);
  return st.st_size;
}

std::string read_at(int fd, off_t offset, size_t size) {
  std::string bytes(size, '\0');
  const ssize_t n = pread(fd, bytes.data(), size, offset);
  bytes.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
  return bytes;
}

void write_at(int fd, off_t offset, const std::string& bytes) {
  if (!bytes.empty() && pwrite(fd, bytes.data(), bytes.size(), offset) < 0) perror("sim_disk");
}

}  // namespace

void SimDisk::power_on() {
  power_left_.reset();
  dead_ = false;
}

// Everything that changes something passes here, under the lock.
SimDisk::Doom SimDisk::doom(Call call, bool asked) {
  calls++;
  trace.mix(static_cast<uint64_t>(call));
  if (slow) slow();
  if (dead_) {
    errno = EIO;
    return Doom::fail;
  }
  if (power_left_ && (*power_left_)-- == 0) {
    dead_ = true;
    const bool happens = chance(50);
    errno = EIO;
    return happens ? Doom::happen_and_fail : Doom::fail;
  }
  const int error = fault && !asked ? fault(call) : 0;
  if (error <= 0) return Doom::none;
  faults++;
  errno = error;
  return Doom::fail;
}

std::string SimDisk::path_of(int fd) {
  char buffer[PATH_MAX];
  const ssize_t n =
      readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), buffer, sizeof buffer);
  return {buffer, static_cast<size_t>(std::max<ssize_t>(n, 0))};
}
std::string SimDisk::path_of(int dir, const char* path) {
  return std::string(path) == "." ? path_of(dir) : path_of(dir) + "/" + path;
}

SimDisk::ObjectRef SimDisk::object_at(const std::string& path) {
  struct stat st{};
  if (lstat(path.c_str(), &st) != 0) return nullptr;
  for (const auto& change : changes_) {
    if (change.object->inode == st.st_ino) return change.object;
  }
  auto object = std::make_shared<Object>();
  object->inode = st.st_ino;
  object->directory = S_ISDIR(st.st_mode);
  object->fd = Fd(::open(path.c_str(), object->directory ? O_RDONLY : O_RDWR));
  return object;
}

SimDisk::File& SimDisk::file(int fd) {
  struct stat st{};
  fstat(fd, &st);
  File& file = files_[st.st_ino];
  if (!file.fd) {
    // One that can be read and written, whatever `fd` is; it keeps the inode's number, too.
    file.fd = Fd(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_CLOEXEC));
    file.durable_size = st.st_size;
    file.serial = ++serial_;
  }
  return file;
}

std::vector<SimDisk::File*> SimDisk::in_order() {
  std::vector<File*> list;
  for (auto& [inode, file] : files_) list.push_back(&file);
  std::ranges::sort(list, {}, &File::serial);
  return list;
}

// Before `size` bytes at `offset` change to `coming`.
void SimDisk::remember(File& file, off_t offset, size_t size, std::string_view now,
                       const std::string& coming) {
  const auto begin = static_cast<uint64_t>(offset) / kSector;
  const auto end = (static_cast<uint64_t>(offset) + size + kSector - 1) / kSector;
  // Room that is made: nothing to tell from a hole.
  const bool nothing = now.empty() && file.dirty.lower_bound(begin) == file.dirty.end() &&
                       (size == 0 || zeros(coming));
  for (uint64_t n = begin; n < end && !nothing; n++) {
    const auto at = static_cast<size_t>((n - begin) * kSector);
    const std::string old(at < now.size() ? now.substr(at, kSector) : std::string_view());
    const auto found = file.dirty.find(n);
    if (found != file.dirty.end()) {
      found->second.since.push_back(old);
      continue;
    }
    // Zeros where nothing was: no difference to a hole.
    if (old.empty()) {
      const uint64_t first = std::max(n * kSector, static_cast<uint64_t>(offset));
      const uint64_t last = std::min((n + 1) * kSector, static_cast<uint64_t>(offset) + size);
      if (zeros(std::string_view(coming).substr(
              static_cast<size_t>(first - static_cast<uint64_t>(offset)),
              static_cast<size_t>(last - first))))
        continue;
    }
    file.dirty[n].durable = old;
  }
  // A page that is dirty again is written as a whole.
  if (begin == end) return;
  const auto from = file.dirty.lower_bound(begin / kSectorsPerPage * kSectorsPerPage);
  const auto to = file.dirty.lower_bound(((end - 1) / kSectorsPerPage + 1) * kSectorsPerPage);
  for (auto it = from; it != to; ++it) it->second.failed = false;
}

int SimDisk::open(int dir, const char* path, int flags, unsigned mode) {
  if ((flags & O_CREAT) == 0) {
    if (dead_) {
      errno = EIO;
      return -1;
    }
    const int error = fault ? fault(Call::open) : 0;
    if (error > 0) {
      faults++;
      errno = error;
      return -1;
    }
    return Disk::open(dir, path, flags, mode);
  }
  const std::lock_guard lock(mutex_);
  const std::string full = path_of(dir, path);
  const bool there = access(full.c_str(), F_OK) == 0;
  const Doom fate = doom(Call::open);
  if (fate == Doom::fail) return -1;
  const int fd = Disk::open(dir, path, flags, mode);
  if (fd >= 0 && !there) {
    changes_.push_back({Change::Kind::make, full, {}, object_at(full), nullptr});
    fresh_.insert(changes_.back().object->inode);
  }
  if (fate == Doom::none) return fd;
  if (fd >= 0) ::close(fd);
  errno = EIO;
  return -1;
}

ssize_t SimDisk::write(int fd, const iovec* pieces, int count, off_t offset) {
  const std::lock_guard lock(mutex_);
  std::string all;
  for (int i = 0; i < count; i++)
    all.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  trace.mix(all);
  Doom fate = Doom::none;
  bool short_write = false;
  if (!dead_ && fault && !(power_left_ && *power_left_ == 0)) {
    // Some of it arrives before an error, as on disks; a short write is no error.
    const int error = fault(Call::write);
    if (error != 0) {
      calls++;
      faults++;
      if (power_left_) --*power_left_;
      short_write = error < 0;
      all.resize((all.size() + 1) / 2);
      fate = short_write ? Doom::none : Doom::happen_and_fail;
      errno = error;
    } else {
      fate = doom(Call::write, true);
    }
  } else {
    fate = doom(Call::write);
    if (fate == Doom::happen_and_fail) errno = EIO;
  }
  const int error = errno;
  if (fate != Doom::fail && !all.empty()) {
    File& f = file(fd);
    const size_t before = static_cast<size_t>(offset) % kSector;
    const std::string now = read_at(f.fd.get(), offset - static_cast<off_t>(before),
                                    (before + all.size() + kSector - 1) / kSector * kSector);
    f.again = now.size() >= before && now.compare(before, all.size(), all) == 0 && !zeros(all);
    f.compacts = all.size() > 4 && all.starts_with("RIMR") &&
                 static_cast<RecordType>(all[4]) == RecordType::compacted;
    f.sealed = all.size() >= 32 && all.compare(all.size() - 32, 8, "RIMSSEAL") == 0;
    remember(f, offset, all.size(), now, all);
    f.sizes.push_back(size_of(f.fd.get()));
    const iovec whole{all.data(), all.size()};
    if (Disk::write(fd, &whole, 1, offset) < 0) return -1;
  }
  if (fate == Doom::none) return static_cast<ssize_t>(all.size());
  errno = error;
  return -1;
}

ssize_t SimDisk::read(int fd, void* to, size_t size, off_t offset) {
  if (ends_early && ends_early()) return 0;
  if (slow) slow();
  const ssize_t n = Disk::read(fd, to, size, offset);
  if (!blind || offset != 0 || n < static_cast<ssize_t>(kFirstRecord)) return n;
  SegmentHeader header;
  auto* bytes = static_cast<char*>(to);
  if (decode({bytes, kFirstRecord}, header) != HeaderState::good) return n;
  header.account = {};
  encode(header).copy(bytes, kFirstRecord);
  return n;
}

int SimDisk::truncate(int fd, off_t size) {
  const std::lock_guard lock(mutex_);
  const Doom fate = doom(Call::truncate);
  if (fate == Doom::fail) return -1;
  File& f = file(fd);
  const off_t now = size_of(f.fd.get());
  f.sizes.push_back(now);
  if (now > size) {
    const auto gone = static_cast<size_t>(now - size);
    const off_t begin = size / static_cast<off_t>(kSector) * static_cast<off_t>(kSector);
    remember(f, size, gone, read_at(f.fd.get(), begin, static_cast<size_t>(now - begin)),
             std::string(gone, '\0'));
  }
  f.cut = true;
  const int rc = Disk::truncate(fd, size);
  if (fate == Doom::none) return rc;
  errno = EIO;
  return -1;
}

int SimDisk::mkdir(int dir, const char* path, unsigned mode) {
  const std::lock_guard lock(mutex_);
  const Doom fate = doom(Call::mkdir);
  if (fate == Doom::fail) return -1;
  const int rc = Disk::mkdir(dir, path, mode);
  if (rc == 0) {
    const std::string full = path_of(dir, path);
    changes_.push_back({Change::Kind::make, full, {}, object_at(full), nullptr});
  }
  if (fate == Doom::none) return rc;
  errno = EIO;
  return -1;
}

int SimDisk::rename(int dir, const char* from, const char* to) {
  return rename_by(false, dir, from, to);
}
int SimDisk::replace(int dir, const char* from, const char* to) {
  return rename_by(true, dir, from, to);
}
int SimDisk::rename_by(bool over, int dir, const char* from, const char* to) {
  const std::lock_guard lock(mutex_);
  const Doom fate = doom(over ? Call::replace : Call::rename);
  if (fate == Doom::fail) return -1;
  const std::string a = path_of(dir, from), b = path_of(dir, to);
  const ObjectRef object = object_at(a), replaced = object_at(b);
  const int rc = over ? Disk::replace(dir, from, to) : Disk::rename(dir, from, to);
  const int error = errno;
  if (rc == 0) changes_.push_back({Change::Kind::rename, a, b, object, replaced});
  if (fate == Doom::none) {
    errno = error;
    return rc;
  }
  errno = EIO;
  return -1;
}

int SimDisk::unlink(int dir, const char* path) {
  const std::lock_guard lock(mutex_);
  const Doom fate = doom(Call::unlink);
  if (fate == Doom::fail) return -1;
  const std::string full = path_of(dir, path);
  const ObjectRef object = object_at(full);
  const int rc = Disk::unlink(dir, path);
  const int error = errno;
  if (rc == 0) changes_.push_back({Change::Kind::remove, full, {}, object, nullptr});
  if (fate == Doom::none) {
    errno = error;
    return rc;
  }
  errno = EIO;
  return -1;
}

int SimDisk::fdatasync(int fd) {
  const std::lock_guard lock(mutex_);
  fdatasyncs++;
  return sync(fd, true);
}
int SimDisk::fsync(int fd) {
  const std::lock_guard lock(mutex_);
  fsyncs++;
  return sync(fd, false);
}

// The purpose of a flush, from what it is for: that of the newest change it makes durable.
std::string SimDisk::kind_of(int fd, ino_t inode, bool directory, bool data_only) {
  const std::string path = path_of(fd);
  if (directory) {
    const std::string name = leaf(path);
    std::string why;
    for (const auto& change : changes_) {
      if (change.kind == Change::Kind::rename &&
          (parent(change.from) == path || parent(change.to) == path))
        why = "rename";
      else if (parent(change.from) != path)
        continue;
      else if (change.kind == Change::Kind::remove)
        why = leaf(change.from).ends_with(".gdbm") ? why : "unlink";
      else if (change.object->directory)
        why = "mkdir " + (leaf(change.from).size() == 2    ? "<2 hex>"
                          : leaf(change.from).size() == 62 ? "<62 hex>"
                                                           : leaf(change.from));
      else if (!leaf(change.from).ends_with(".gdbm"))
        why = "create";
    }
    if (why.empty()) return {};
    return "fsync of " +
           (name.size() == 62  ? "the account's directory"
            : name.size() == 2 ? "mailbox.3/<2 hex>"
            : name == "journal" || name == "quarantine" || name == "mailbox.3"
                ? name
                : "the base directory") +
           " after " + why;
  }
  const auto found = files_.find(inode);
  if (leaf(parent(path)) == "quarantine") return "fsync of a quarantined file";
  if (path.ends_with(".new"))
    return data_only ? "fdatasync of a rewritten piece" : "fsync of a rewritten segment";
  if (leaf(parent(path)) != "journal") return "flush of another file";
  if (fresh_.contains(inode)) return "fdatasync of a new segment";
  if (found != files_.end() && found->second.sealed) return "fsync of a sealed segment";
  if (found != files_.end() && found->second.again) return "fdatasync of the last batch again";
  if (found != files_.end() && found->second.cut && !data_only) return "fsync of a cut segment";
  if (found != files_.end() && found->second.compacts) return "fdatasync of a compacted record";
  return "fdatasync of a commit";
}

void SimDisk::make_durable(ino_t inode, const std::string& directory) {
  if (!directory.empty()) {
    std::erase_if(changes_, [&](const Change& change) {
      return parent(change.from) == directory ||
             (change.kind == Change::Kind::rename && parent(change.to) == directory);
    });
    return;
  }
  const auto found = files_.find(inode);
  if (found == files_.end()) return;
  File& f = found->second;
  std::erase_if(f.dirty, [](const auto& item) { return !item.second.failed; });
  f.sizes.clear();
  f.durable_size = size_of(f.fd.get());
  f.again = f.sealed = f.cut = f.compacts = false;
  if (f.dirty.empty()) files_.erase(found);
}

int SimDisk::sync(int fd, bool data_only) {
  struct stat st{};
  fstat(fd, &st);
  const bool directory = S_ISDIR(st.st_mode);
  const Doom fate = doom(data_only ? Call::fdatasync : Call::fsync);
  if (fate == Doom::fail) {
    const int error = errno;
    const auto found = files_.find(st.st_ino);
    if (!dead_ && !directory && found != files_.end()) {
      // Reported once; what was not written by now is clean for the kernel.
      for (auto& [n, sector] : found->second.dirty) sector.failed |= chance(50);
    }
    errno = error;
    return -1;
  }
  for (const auto& flush : late_) {
    if (flush.due) make_durable(flush.inode, flush.directory);
  }
  std::erase_if(late_, [](const Late& flush) { return flush.due; });
  const std::string kind = kind_of(fd, st.st_ino, directory, data_only);
  if (!kind.empty()) kinds[kind]++;
  if (!aim.empty() && kind == aim) {
    struck_ = true;
    if (aiming && !power_left_ && chance(50)) power_left_ = random() % (chance(50) ? 3 : 8);
  }
  const bool commits = kind == "fdatasync of a commit";
  const std::string path = directory ? path_of(fd) : std::string();
  if (syncs_lie || (directory && directory_syncs_lie) || (!kind.empty() && kind == ignored)) {
    mutations++;
  } else if (!kind.empty() && kind == late) {
    mutations++;
    late_.push_back({st.st_ino, path, commits});
  } else {
    make_durable(st.st_ino, path);
  }
  if (!directory) fresh_.erase(st.st_ino);
  if (commits) {
    for (auto& flush : late_) flush.due = true;
  }
  if (fate == Doom::none) return 0;
  errno = EIO;
  return -1;
}

bool SimDisk::index_fails() {
  const std::lock_guard lock(mutex_);
  return doom(Call::write) != Doom::none;
}

void SimDisk::forget_failed_pages() {
  const std::lock_guard lock(mutex_);
  for (File* file : in_order()) {
    File& f = *file;
    for (auto it = f.dirty.begin(); it != f.dirty.end();) {
      if (!it->second.failed || chance(50)) {
        ++it;
        continue;
      }
      const auto at = static_cast<off_t>(it->first * kSector);
      std::string old = it->second.durable;
      const auto room = static_cast<size_t>(
          std::clamp<off_t>(size_of(f.fd.get()) - at, 0, static_cast<off_t>(kSector)));
      old.resize(room);
      write_at(f.fd.get(), at, old);
      it = f.dirty.erase(it);
    }
  }
}

// What of the unflushed bytes has reached the disk.
void SimDisk::settle_files(Keep keep) {
  static constexpr unsigned kShares[] = {0, 20, 50, 80, 100};
  for (File* file : in_order()) {
    File& f = *file;
    const unsigned share = keep == Keep::nothing ? 0 : kShares[random() % 5];
    const auto now = size_of(f.fd.get());
    off_t size = f.durable_size;
    if (!f.sizes.empty() && chance(share)) {
      const size_t pick = random() % (f.sizes.size() + 1);
      size = pick == f.sizes.size() ? now : f.sizes[pick];
    }
    if (size != now && ftruncate(f.fd.get(), std::max(size, now)) != 0) perror("sim_disk");
    for (auto& [n, sector] : f.dirty) {
      const auto at = static_cast<off_t>(n * kSector);
      std::string content = sector.durable;
      if (!sector.failed && chance(share)) {
        const size_t pick = random() % (sector.since.size() + 1);
        std::string newer =
            pick == sector.since.size() ? read_at(f.fd.get(), at, kSector) : sector.since[pick];
        // Torn in itself, now and then: some disks write less than a sector at once.
        if (chance(10)) {
          const size_t upto = random() % kSector;
          newer.resize(kSector);
          content.resize(kSector);
          newer.replace(upto, newer.npos, content, upto, content.npos);
        }
        content = std::move(newer);
      }
      content.resize(kSector);
      write_at(f.fd.get(), at, content);
    }
    if (ftruncate(f.fd.get(), size) != 0) perror("sim_disk");
  }
  files_.clear();
}

// `path` is to name this object, or nothing.
void SimDisk::put_name(const std::string& path, const ObjectRef& wanted) {
  struct stat st{};
  const bool there = lstat(path.c_str(), &st) == 0;
  if (there && wanted && st.st_ino == wanted->inode) return;
  std::error_code ignored_error;
  if (there) fs::remove_all(path, ignored_error);
  if (!wanted || !fs::is_directory(parent(path), ignored_error)) return;
  if (wanted->directory) {
    fs::create_directory(path, ignored_error);
    return;
  }
  const Fd copy(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  const auto size = static_cast<size_t>(size_of(wanted->fd.get()));
  write_at(copy.get(), 0, read_at(wanted->fd.get(), 0, size));
}

// Which changes of names have reached the disk. A name that was made twice needs its removal.
void SimDisk::settle_names(Keep keep) {
  static constexpr unsigned kShares[] = {0, 30, 70, 100};
  std::map<std::string, ObjectRef> names;
  for (const auto& change : changes_) {
    names[change.from] = object_at(change.from);
    if (!change.to.empty()) names[change.to] = object_at(change.to);
  }
  for (auto it = changes_.rbegin(); it != changes_.rend(); ++it) {
    switch (it->kind) {
      case Change::Kind::make:
        names[it->from] = nullptr;
        break;
      case Change::Kind::remove:
        names[it->from] = it->object;
        break;
      case Change::Kind::rename:
        names[it->to] = it->replaced;
        names[it->from] = it->object;
        break;
    }
  }
  const unsigned share = keep == Keep::nothing ? 0 : kShares[random() % 4];
  for (const auto& change : changes_) {
    if (!chance(share)) continue;
    auto& from = names[change.from];
    switch (change.kind) {
      case Change::Kind::make:
        if (!from) from = change.object;
        break;
      case Change::Kind::remove:
        if (from == change.object) from = nullptr;
        break;
      case Change::Kind::rename:
        if (from != change.object) break;
        names[change.to] = change.object;
        names[change.from] = nullptr;
        break;
    }
  }
  // Parents sort before what is in them.
  for (const auto& [path, object] : names) put_name(path, object);
  changes_.clear();
  fresh_.clear();
}

void SimDisk::lose_power(Keep keep) {
  const std::lock_guard lock(mutex_);
  settle_files(keep);
  settle_names(keep);
  late_.clear();
  dead_ = struck_ = false;
  power_left_.reset();
}

}  // namespace rims::store
