// common/ipc/sealed.cc - memfd_create(2) and its seals

#include "common/ipc/sealed.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace rims::ipc {
namespace {

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

}  // namespace

Result<Fd> make_memfd(const char* name) {
  Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno("memfd_create", errno);
  return fd;
}

Status seal(int fd) {
  if (fcntl(fd, F_ADD_SEALS, kSeals) < 0) return fail_errno("sealing a memfd", errno);
  return {};
}

Result<Fd> sealed_copy(std::string_view bytes, const char* name) {
  TRY(Fd fd, make_memfd(name));
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd.get(), bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return fail_errno("writing a memfd", wrote < 0 ? errno : ENOSPC);
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  TRY_STATUS(seal(fd.get()));
  return fd;
}

Result<uint64_t> sealed_size(int fd, uint64_t max) {
  // Fails with EINVAL for whatever is not a memfd (or has no seals at all).
  if (fd < 0) return fail_errno("a memfd", EMFILE);  // see Packet::fds
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals)
    return fail(Fault::refused, "not accepted", "a descriptor that is not a sealed memfd");
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY)
    return fail(Fault::refused, "not accepted", "a memfd that can not be read");
  struct stat st{};
  if (fstat(fd, &st) < 0) return fail_errno("fstat of a memfd", errno);
  const auto size = static_cast<uint64_t>(st.st_size);
  if (size > max)
    return fail(Fault::limit, "too large: " + std::to_string(size) + " bytes, the limit is " +
                                  std::to_string(max));
  return size;
}

Result<std::string> sealed_bytes(int fd, uint64_t max) {
  TRY(const uint64_t size, sealed_size(fd, max));
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got =
        pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("reading a memfd", errno);
    if (got == 0) return fail(Fault::storage, "temporary failure", "a sealed memfd ended early");
    done += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace rims::ipc
