// common/store/gdbm_key_value.cc - a C library with an exit() in it, kept at arm's length

#include "common/store/gdbm_key_value.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>

#include <gdbm.h>
#include <sodium.h>

#include "common/base/errno_text.h"
#include "common/store/bytes.h"
#include "common/store/disk.h"

namespace rims::store {
namespace {

// Says how the values are: the option may be another one at the next start.
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

class GdbmStore final : public KeyValueStore {
 public:
  GdbmStore(std::string path, bool checksum) : path_(std::move(path)), checksum_(checksum) {}
  ~GdbmStore() override {
    if (!file_) return;
    try {
      gdbm_close(file_);
    } catch (const GdbmGaveUp&) {  // NOLINT(bugprone-empty-catch)
      // An index is rebuilt; nothing is lost by not closing it well.
    }
  }

  Status attach(Fd fd, bool read_only) {
    return guarded("open", [&]() -> Status {
      // On an error the descriptor is closed by GDBM.
      file_ = gdbm_fd_open(
          fd.release(), path_.c_str(), 0,
          (read_only ? GDBM_READER : GDBM_WRCREAT) | GDBM_NOLOCK | GDBM_NOMMAP | GDBM_CLOERROR,
          give_up);
      if (!file_) return error("open");
      return {};
    });
  }

  Status check_format(bool fresh) {
    const auto wanted = checksum_ ? kWithSum : kWithoutSum;
    if (fresh) return raw_put(kFormatKey, wanted);
    TRY(const auto found, raw_get(kFormatKey));
    if (found != wanted)
      return fail(Fault::storage, "temporary failure", path_ + ": other format of values");
    return {};
  }

  Status adopt_format() {
    TRY(const auto found, raw_get(kFormatKey));
    checksum_ = found == kWithSum;
    if (!checksum_ && found != kWithoutSum)
      return fail(Fault::storage, "temporary failure", path_ + " is no index file");
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
    return guarded("sync", [&]() -> Status {
      if (gdbm_sync(file_) != 0) return error("sync");
      return {};
    });
  }

 private:
  template <class F>
  Status guarded(const char* what, F f) {
    if (dead_) return fail(Fault::storage, "temporary failure", path_ + ": gave up before");
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
      if (gdbm_store(file_, to_datum(key), to_datum(value), GDBM_REPLACE) != 0)
        return error("store");
      return {};
    });
  }

  std::string path_;
  bool checksum_;
  bool dead_ = false;
  GDBM_FILE file_ = nullptr;
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
  // Not to be kept waiting by a pipe of that name.
  int flags = (read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK;
  if (mode == OpenMode::create || mode == OpenMode::empty) flags |= O_CREAT;
  TRY(Fd fd, dir->open_file(file, flags));
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return fail_errno("fstat " + dir->path() + "/" + file, errno);
  if (!S_ISREG(st.st_mode))
    return fail(Fault::storage, "temporary failure", dir->path() + "/" + file + " is no file");
  const bool empty = st.st_size == 0;
  if (empty && (read_only || mode == OpenMode::existing))
    return fail(Fault::storage, "temporary failure", dir->path() + "/" + file + " is empty");
  auto store = std::make_unique<GdbmStore>(dir->path() + "/" + file, checksum_);
  TRY_STATUS(store->attach(std::move(fd), read_only));
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

Status GdbmFiles::remove(const std::string&, const AccountDir* dir, const std::string& name) {
  if (!dir) return fail(Fault::bug, "internal error", "GDBM files need a directory");
  const std::string file = name + ".gdbm";
  if (dir->disk().unlink(dir->fd(), file.c_str()) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR) return fail_errno("unlink " + dir->path() + "/" + file, errno);
  // A directory is nothing of ours, and may hold what somebody misses.
  TRY_STATUS(dir->make_directory("quarantine"));
  const std::string to = "quarantine/" + file + "-" + std::to_string(randombytes_random());
  if (dir->disk().rename(dir->fd(), file.c_str(), to.c_str()) != 0)
    return fail_errno("rename " + dir->path() + "/" + file, errno);
  return {};
}

}  // namespace rims::store
