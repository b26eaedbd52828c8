// cli/formats/gdbm_file.cc - GDBM's calls, and the copy that is recovered

#include "cli/formats/gdbm_file.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <sys/sendfile.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <gdbm.h>

#include "cli/formats/files.h"
#include "common/base/errno_text.h"

namespace rims::cli {
namespace {

struct Free {
  void operator()(char* p) const { std::free(p); }  // NOLINT: the library's memory
};

// A directory for one file, and for the file beside it that gdbm_recover() writes.
class CopyDirectory {
 public:
  CopyDirectory() = default;
  CopyDirectory(const CopyDirectory&) = delete;
  CopyDirectory& operator=(const CopyDirectory&) = delete;
  ~CopyDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Status make() {
    std::error_code error;
    const auto parent = std::filesystem::temp_directory_path(error);
    if (error) return fail(Fault::storage, "$TMPDIR is no directory");
    std::string name = real_path(parent.string()) + "/rims-import-XXXXXX";
    if (!mkdtemp(name.data()))
      return fail(Fault::storage, name + ": " + std::string(errno_text(errno)));
    path_ = std::move(name);
    return {};
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Status copy(const std::string& from, const std::string& to) {
  TRY(const Fd in, open_file(from));
  TRY(const Fd out, create_file(to));
  for (;;) {
    const ssize_t n = sendfile(out.get(), in.get(), nullptr, size_t{1} << 30);
    if (n == 0) return {};
    if (n < 0 && errno != EINTR)
      return fail(Fault::storage, to + ": " + std::string(errno_text(errno)) +
                                      "; set TMPDIR to a directory with room for the copy");
  }
}

std::unexpected<Error> gdbm_error(const std::string& where) {
  return fail(Fault::storage, where + ": " + gdbm_strerror(gdbm_errno));
}

}  // namespace

void GdbmFile::Close::operator()(gdbm_file_info* file) const { gdbm_close(file); }

Result<GdbmFile> GdbmFile::open(const std::string& path, const Remarks& remarks) {
  GdbmFile db(path, remarks);
  TRY(Fd fd, open_file(path));
  db.file_.reset(gdbm_fd_open(fd.get(), path.c_str(), 0, GDBM_READER, nullptr));
  if (!db.file_)
    return fail(Fault::storage,
                path + ": " + gdbm_strerror(gdbm_errno) +
                    (gdbm_errno == GDBM_CANT_BE_READER ? "; stop the old server" : ""));
  (void)fd.release();  // gdbm_close() closes it
  return db;
}

Result<std::optional<std::string>> GdbmFile::fetch(std::string key) {
  gdbm_errno = GDBM_NO_ERROR;
  const datum found =
      gdbm_fetch(file_.get(), {.dptr = key.data(), .dsize = static_cast<int>(key.size())});
  const std::unique_ptr<char, Free> memory(found.dptr);
  if (memory) return std::string(memory.get(), static_cast<size_t>(found.dsize));
  if (gdbm_errno == GDBM_ITEM_NOT_FOUND) return std::nullopt;
  return gdbm_error(fmt::format("{}, key {}", path_, key));
}

Result<std::vector<std::string>> GdbmFile::walk() {
  std::vector<std::string> keys;
  gdbm_errno = GDBM_NO_ERROR;
  datum key = gdbm_firstkey(file_.get());
  while (key.dptr) {
    const std::unique_ptr<char, Free> memory(key.dptr);
    keys.emplace_back(key.dptr, static_cast<size_t>(key.dsize));
    key = gdbm_nextkey(file_.get(), key);
  }
  if (gdbm_errno != GDBM_ITEM_NOT_FOUND && gdbm_errno != GDBM_NO_ERROR) return gdbm_error(path_);
  return keys;
}

Result<std::optional<std::string>> GdbmFile::get(const std::string& key) {
  auto value = fetch(key);
  if (value || recovered_) return value;
  TRY_STATUS(recover(value.error()));
  return fetch(key);
}

Result<std::vector<std::string>> GdbmFile::keys() {
  auto all = walk();
  if (all || recovered_) return all;
  TRY_STATUS(recover(all.error()));
  return walk();
}

Status GdbmFile::recover(const Error& error) {
  const auto failed = [&error](const std::string& why) {
    return fail(Fault::storage, error.detail() + "; a copy could not be recovered: " + why);
  };
  recovered_ = true;  // or at least tried: once is enough
  CopyDirectory directory;
  if (const Status made = directory.make(); !made) return failed(made.error().detail());
  const std::string to = directory.path() + path_.substr(path_.rfind('/'));
  if (const Status copied = copy(path_, to); !copied) return failed(copied.error().detail());
  Handle repaired(gdbm_open(to.c_str(), 0, GDBM_WRITER, 0, nullptr));
  if (!repaired) return failed(gdbm_strerror(gdbm_errno));
  gdbm_recovery found{};
  if (gdbm_recover(repaired.get(), &found, GDBM_RCVR_FORCE) != 0)
    return failed(gdbm_strerror(gdbm_errno));
  file_ = std::move(repaired);
  const std::string what =
      fmt::format("{}; {} entries are read from a copy that was recovered",
                  error.detail().substr(path_.size() + 2), found.recovered_keys);  // without path
  if (found.failed_keys == 0 && found.failed_buckets == 0)
    remarks_->note(path_, what);
  else
    remarks_->not_taken(path_, fmt::format("{}; {} entries and {} groups of entries are lost", what,
                                           found.failed_keys, found.failed_buckets));
  return {};
}

}  // namespace rims::cli
