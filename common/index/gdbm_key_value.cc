// common/index/gdbm_key_value.cc - calls GDBM so that its exit() does not end the process

#include "common/index/gdbm_key_value.h"

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <utility>

#include <gdbm.h>
#include <sodium.h>

#include "common/base/errno_text.h"
#include "common/index/index_file.h"
#include "common/journal/disk.h"
#include "common/mail/bytes.h"

namespace rims::store {
namespace {

// Says whether values have checksums: the setting may be different at the next start.
constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kWithSum = "rims index 1, checksums";
constexpr std::string_view kWithoutSum = "rims index 1, no checks";
constexpr unsigned char kSumKey[crypto_shorthash_KEYBYTES] = {
    'R', 'I', 'M', 'S', ' ', 'i', 'n', 'd', 'e', 'x', ' ', 'v', 'a', 'l', 'u', 'e'};

// GDBM calls exit() after this function returns, so it must not return. The exception is caught
// a few lines below and never seen outside of this file.
struct GdbmGaveUp {
  std::string why;
};
void give_up(const char* why) { throw GdbmGaveUp{why}; }

uint64_t value_sum(std::string_view key, std::string_view value) {
  std::string both(key);
  both += '\0';
  both += value;
  unsigned char sum[crypto_shorthash_BYTES];
  crypto_shorthash(sum, reinterpret_cast<const unsigned char*>(both.data()), both.size(), kSumKey);
  return get_int<uint64_t>(reinterpret_cast<const char*>(sum));
}

datum to_datum(std::string_view bytes) {
  return {const_cast<char*>(bytes.data()), static_cast<int>(bytes.size())};
}

struct FreeDatum {
  void operator()(char* p) const { std::free(p); }  // GDBM allocates by malloc
};
using OwnedDatum = std::unique_ptr<char, FreeDatum>;

// Shows whether somebody else has changed a file while it was closed.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  timespec changed{};
  explicit Identity(int fd) {
    struct stat st{};
    if (fstat(fd, &st) != 0) return;
    device = st.st_dev;
    inode = st.st_ino;
    size = st.st_size;
    changed = st.st_ctim;
  }
  bool operator==(const Identity& o) const {
    return device == o.device && inode == o.inode && size == o.size &&
           changed.tv_sec == o.changed.tv_sec && changed.tv_nsec == o.changed.tv_nsec;
  }
};

class GdbmStore final : public KeyValueStore, private OpenFile {
 public:
  GdbmStore(std::string path, bool checksum) : path_(std::move(path)), checksum_(checksum) {}
  ~GdbmStore() override {
    ending_ = true;
    if (files_) files_->forget(*this);
    (void)close_handle();  // an index is rebuilt; nothing is lost by not closing it well
  }

  // Opens it on this descriptor, without OpenFiles.
  Status attach(Fd fd, bool read_only) {
    return caught("open", [&]() -> Status {
      // On an error the descriptor is closed by GDBM.
      file_ = gdbm_fd_open(
          fd.release(), path_.c_str(), 0,
          (read_only ? GDBM_READER : GDBM_WRCREAT) | GDBM_NOLOCK | GDBM_NOMMAP | GDBM_CLOERROR,
          give_up);
      if (!file_) return error("open");
      return {};
    });
  }
  // Opens it now, and again when it is used after OpenFiles has closed it.
  Status join(OpenFiles& files, const AccountDir& dir, std::string name, Fd fd, bool read_only) {
    dir_ = &dir;
    name_ = std::move(name);
    first_ = std::move(fd);
    read_only_ = read_only;
    TRY([[maybe_unused]] const auto use, files.use(*this));
    files_ = &files;
    return {};
  }

  Status check_format(bool fresh) {
    const auto wanted = checksum_ ? kWithSum : kWithoutSum;
    if (fresh) return raw_put(kFormatKey, wanted);
    TRY(const auto found, raw_get(kFormatKey));
    if (found != wanted)
      return fail(Fault::storage, "temporary failure", path_ + ": its values have another format");
    return {};
  }

  Status adopt_format() {
    TRY(const auto found, raw_get(kFormatKey));
    checksum_ = found == kWithSum;
    if (!checksum_ && found != kWithoutSum)
      return fail(Fault::storage, "temporary failure", path_ + " is not an index file");
    return {};
  }

  Result<std::optional<std::string>> get(std::string_view key) override {
    TRY(auto value, raw_get(key));
    if (!value) return std::nullopt;
    if (!checksum_) return value;
    if (value->size() < 8) return damaged(key);
    const std::string_view bytes = std::string_view(*value).substr(0, value->size() - 8);
    if (get_int<uint64_t>(value->data() + bytes.size()) != value_sum(key, bytes))
      return damaged(key);
    value->resize(value->size() - 8);
    return value;
  }

  Status put(std::string_view key, std::string_view value) override {
    if (!checksum_) return raw_put(key, value);
    std::string with(value);
    with.resize(value.size() + 8);
    put_int(with.data() + value.size(), value_sum(key, value));
    return raw_put(key, with);
  }

  Status remove(std::string_view key) override {
    return guarded("delete", [&]() -> Status {
      changed_ = true;
      if (gdbm_delete(file_, to_datum(key)) != 0 && gdbm_errno != GDBM_ITEM_NOT_FOUND)
        return error("delete");
      return {};
    });
  }

  Status for_each(const std::function<void(std::string_view, std::string_view)>& f) override {
    Status status;
    auto walked = guarded("walk", [&]() -> Status {
      datum key = gdbm_firstkey(file_);
      // A damaged directory may name the same key for ever.
      for (size_t steps = 0; key.dptr && steps < 50'000'000; steps++) {
        const OwnedDatum owner(key.dptr);
        const std::string_view name(key.dptr, static_cast<size_t>(key.dsize));
        if (name != kFormatKey) {
          auto value = get(name);
          if (!value) status = std::unexpected(value.error());
          if (value && *value) f(name, **value);
        }
        key = gdbm_nextkey(file_, key);
      }
      if (gdbm_errno != GDBM_ITEM_NOT_FOUND && gdbm_errno != GDBM_NO_ERROR) return error("walk");
      return {};
    });
    return walked ? status : walked;
  }

  Status sync() override {
    // close_file() has flushed it, unless something was changed since.
    if (files_ && !changed_) return trouble_;
    return guarded("sync", [&] { return flush(); });
  }

 private:
  Status open_file() override {
    if (!trouble_) return trouble_;
    Fd fd = std::move(first_);
    if (!fd) {
      TRY(fd, dir_->open_file(name_, (read_only_ ? O_RDONLY : O_RDWR) | O_NONBLOCK));
      if (left_ && !(Identity(fd.get()) == *left_))
        return fail(Fault::storage, "temporary failure",
                    path_ + " was changed by somebody else while it was closed");
    }
    return attach(std::move(fd), read_only_);
  }
  void close_file() override {
    if (changed_ && !ending_) trouble_ = caught("sync", [&] { return flush(); });
    // To note its size and times after the close; this descriptor ends with the function.
    const Fd last(file_ ? fcntl(gdbm_fdesc(file_), F_DUPFD_CLOEXEC, 0) : -1);
    if (const Status closed = close_handle(); !closed && trouble_) trouble_ = closed;
    left_.emplace(last.get());
  }
  Status close_handle() {
    if (!file_) return {};
    // Close also a file on which GDBM has given up: it holds memory and a descriptor.
    const bool dead = std::exchange(dead_, false);
    const Status closed = caught("close", [&]() -> Status {
      if (gdbm_close(std::exchange(file_, nullptr)) != 0) return error("close");
      return {};
    });
    dead_ = dead_ || dead;
    return closed;
  }
  Status flush() {
    if (gdbm_sync(file_) != 0) return error("sync");
    changed_ = false;
    return {};
  }
  template <class F>
  Status guarded(const char* what, F f) {
    std::optional<OpenFiles::Use> use;
    if (files_) {
      TRY(auto one, files_->use(*this));
      use.emplace(std::move(one));
    }
    return caught(what, std::move(f));
  }
  template <class F>
  Status caught(const char* what, F f) {
    if (dead_)
      return fail(Fault::storage, "temporary failure",
                  path_ + ": GDBM has given up on this file before");
    try {
      return f();
    } catch (const GdbmGaveUp& gone) {
      dead_ = true;
      return fail(Fault::storage, "temporary failure", path_ + ": " + what + ": " + gone.why);
    }
  }
  std::unexpected<Error> error(const char* what) {
    const int system = errno;
    std::string detail = path_ + ": gdbm " + what + ": " + gdbm_strerror(gdbm_errno);
    if (gdbm_check_syserr(gdbm_errno)) detail += std::string(": ") + errno_text(system);
    return fail(Fault::storage, "temporary failure", std::move(detail));
  }
  std::unexpected<Error> damaged(std::string_view key) {
    return fail(
        Fault::storage, "temporary failure",
        path_ + ": the value of a key of " + std::to_string(key.size()) + " bytes is damaged");
  }
  Result<std::optional<std::string>> raw_get(std::string_view key) {
    std::optional<std::string> value;
    auto got = guarded("fetch", [&]() -> Status {
      const datum found = gdbm_fetch(file_, to_datum(key));
      const OwnedDatum owner(found.dptr);
      if (found.dptr)
        value.emplace(found.dptr, static_cast<size_t>(found.dsize));
      else if (gdbm_errno != GDBM_ITEM_NOT_FOUND)
        return error("fetch");
      return {};
    });
    if (!got) return std::unexpected(got.error());
    return value;
  }
  Status raw_put(std::string_view key, std::string_view value) {
    return guarded("store", [&]() -> Status {
      changed_ = true;
      if (gdbm_store(file_, to_datum(key), to_datum(value), GDBM_REPLACE) != 0)
        return error("store");
      return {};
    });
  }

  std::string path_;
  bool checksum_;
  bool dead_ = false;
  bool changed_ = false;  // since it was flushed
  bool ending_ = false;
  GDBM_FILE file_ = nullptr;
  // When OpenFiles may close it:
  OpenFiles* files_ = nullptr;
  const AccountDir* dir_ = nullptr;  // of the index, which outlives it
  std::string name_;
  Fd first_;
  bool read_only_ = false;
  std::optional<Identity> left_;  // when it was closed
  Status trouble_;                // of closing it
};

}  // namespace

Result<std::unique_ptr<KeyValueStore>> GdbmFiles::open(const std::string&, const AccountDir* dir,
                                                       const std::string& name, OpenMode mode) {
  if (!dir) return fail(Fault::bug, "internal error", "GDBM files need a directory");
  const std::string file = name + ".gdbm";
  if (mode == OpenMode::empty) {
    TRY_STATUS(remove({}, dir, name));
  }
  const bool read_only = mode == OpenMode::read_only;
  // O_NONBLOCK: if it is a FIFO, open() must not wait.
  int flags = (read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK;
  if (mode == OpenMode::create || mode == OpenMode::empty) flags |= O_CREAT;
  auto opened = dir->open_file(file, flags);
  // On a read-only file system, open it for reading at least: then the first change fails.
  const bool can_write = opened || opened.error().system() != EROFS;
  if (!can_write) opened = dir->open_file(file, O_RDONLY | O_NONBLOCK);
  if (!opened) return std::unexpected(opened.error());
  Fd fd = *std::move(opened);
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return fail_errno("fstat " + dir->path() + "/" + file, errno);
  if (!S_ISREG(st.st_mode))
    return fail(Fault::storage, "temporary failure",
                dir->path() + "/" + file + " is not a regular file");
  const bool empty = st.st_size == 0;
  if (empty && (read_only || mode == OpenMode::existing))
    return fail(Fault::storage, "temporary failure", dir->path() + "/" + file + " is empty");
  auto store = std::make_unique<GdbmStore>(dir->path() + "/" + file, checksum_);
  TRY_STATUS(store->join(files_, *dir, file, std::move(fd), read_only || !can_write));
  TRY_STATUS(store->check_format(empty));
  return store;
}

Result<std::unique_ptr<KeyValueStore>> open_gdbm(Fd fd, const std::string& path, bool read_only) {
  TRY(const uint64_t size, file_size(fd.get(), path));
  if (size == 0) return fail(Fault::storage, "temporary failure", path + " is empty");
  auto store = std::make_unique<GdbmStore>(path, true);
  TRY_STATUS(store->attach(std::move(fd), read_only));
  TRY_STATUS(store->adopt_format());
  return store;
}

std::vector<std::string> GdbmFiles::names(const std::string&, const AccountDir* dir) {
  constexpr std::string_view kEnd = ".gdbm";
  const auto all = dir ? dir->list(".") : Result<std::vector<std::string>>();
  std::vector<std::string> names;
  if (!all) return names;
  for (const auto& name : *all)
    if (name.ends_with(kEnd)) names.push_back(name.substr(0, name.size() - kEnd.size()));
  return names;
}

Status GdbmFiles::remove(const std::string&, const AccountDir* dir, const std::string& name) {
  if (!dir) return fail(Fault::bug, "internal error", "GDBM files need a directory");
  return remove_index_file(*dir, name + ".gdbm");
}

Status GdbmFiles::set_aside(const std::string&, const AccountDir* dir, const std::string& name,
                            const std::string& to) {
  if (!dir) return fail(Fault::bug, "internal error", "GDBM files need a directory");
  TRY_STATUS(dir->make_directory("quarantine"));
  TRY_STATUS(dir->make_directory("quarantine/" + to));
  const std::string from = name + ".gdbm", kept = "quarantine/" + to + "/" + from;
  if (dir->disk().rename(dir->fd(), from.c_str(), kept.c_str()) != 0 && errno != ENOENT)
    return fail_errno("rename " + dir->path() + "/" + from, errno);
  TRY_STATUS(dir->sync_directory("quarantine/" + to));
  return dir->sync_directory("quarantine");
}

std::vector<std::string> GdbmFiles::kept_aside(const std::string&, const AccountDir* dir) {
  return dir ? indexes_kept_aside(*dir) : std::vector<std::string>();
}

std::vector<std::string> indexes_kept_aside(const AccountDir& dir) {
  const auto names = dir.list("quarantine");
  std::vector<std::string> kept;
  for (const auto& name : names ? *names : kept) {
    if (name.starts_with("index-")) kept.push_back(name);
  }
  return kept;
}

}  // namespace rims::store
