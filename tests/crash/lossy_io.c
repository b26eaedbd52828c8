// tests/crash/lossy_io.c - a disk that forgets what was not synced, to be preloaded into rims-imapd
//
// SIGKILL does not lose what write(2) has given to the kernel; a power cut does. This library lets
// writes to journal files go through, and first notes in an undo file what they replace; fdatasync
// and fsync of the file end the notes so far. After the "power cut" (SIGKILL to all processes)
// tests/crash/lossy.py rolls back whatever no sync covered, whole or in 512-byte sectors, also
// files and directories whose directory was not synced.
//
//   RIMS_LOSSY_DIR     where the undo files are: <dir>/<device>.<inode>. Unset: nothing is noted,
//   and
//                      the mutants apply to all files
//   RIMS_LOSSY_UNDER   only paths that contain this text
//   RIMS_LOSSY_MUTANT  "no_fdatasync": fdatasync and fsync of files do nothing and say success;
//                      "no_directory_fsync": those of directories do
//                      "no_rewrite_fsync": those of files whose name ends in .new do
//                      "dropped_writes": every tenth write to a place in a journal is left out, and
//                      says success
//                      "no_seccomp": no filter, under which strace cannot make a call fail
//                      "no_errors": as that, and a write to a place that fails says success
//                      "no_checksum": the checksum of anything (libsodium's SipHash) is zero
//
// An undo file is a sequence of records: struct Note, then `length` bytes. It only grows, by one
// write each, so that a kill at any instant leaves whole notes and at most one torn at the end,
// whose write had not begun. Of system calls it needs readlink besides those of a mail store.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct Note {
  uint32_t magic;
  uint32_t
      kind;  // 'P' path of this inode, 'W' bytes replaced, 'C' made in this directory, 'S' sync
  uint64_t offset, old_size;
  uint64_t length;
};
enum { kMagic = 0x4c4f5353, kMaxFd = 4096 };

struct Known {
  char* path;
  int undo;    // -1: not ours
  int reader;  // of the same file, -1 for directories
  int append;
};

static struct Known known[kMaxFd];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *undo_dir, *under;
static int mutant_sync, mutant_directory, mutant_checksum, mutant_seccomp, mutant_errors;
static int mutant_rewrite, mutant_drops;

static int (*real_openat)(int, const char*, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void*, size_t);
static ssize_t (*real_pwrite)(int, const void*, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec*, int);
static ssize_t (*real_pwritev)(int, const struct iovec*, int, off_t);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_mkdirat)(int, const char*, mode_t);

__attribute__((constructor)) static void start(void) {
  real_openat = dlsym(RTLD_NEXT, "openat");
  real_close = dlsym(RTLD_NEXT, "close");
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_pwritev = dlsym(RTLD_NEXT, "pwritev");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
  real_fallocate = dlsym(RTLD_NEXT, "fallocate");
  real_mkdirat = dlsym(RTLD_NEXT, "mkdirat");
  undo_dir = getenv("RIMS_LOSSY_DIR");
  under = getenv("RIMS_LOSSY_UNDER");
  const char* mutant = getenv("RIMS_LOSSY_MUTANT");
  mutant_sync = mutant && strcmp(mutant, "no_fdatasync") == 0;
  mutant_directory = mutant && strcmp(mutant, "no_directory_fsync") == 0;
  mutant_errors = mutant && strcmp(mutant, "no_errors") == 0;
  mutant_seccomp = mutant && (mutant_errors || strcmp(mutant, "no_seccomp") == 0);
  mutant_checksum = mutant && strcmp(mutant, "no_checksum") == 0;
  mutant_rewrite = mutant && strcmp(mutant, "no_rewrite_fsync") == 0;
  mutant_drops = mutant && strcmp(mutant, "dropped_writes") == 0;
}

static void note(int undo, uint32_t kind, uint64_t offset, uint64_t old_size, const void* bytes,
                 size_t length) {
  struct Note head = {kMagic, kind, offset, old_size, length};
  struct iovec parts[2] = {{&head, sizeof head}, {(void*)bytes, length}};
  if (real_writev(undo, parts, length ? 2 : 1) != (ssize_t)(sizeof head + length)) abort();
}

// The name that a descriptor was opened by, as far as the kernel knows it; "" otherwise.
static void name_of(int fd, char* out) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t got = readlink(link, out, PATH_MAX - 1);
  out[got > 0 ? got : 0] = 0;
}

// The path of what `name` means below `at`, or NULL if that is none of ours.
static int path_of(int at, const char* name, char* out) {
  int length;
  if (name[0] == '/' || at == AT_FDCWD) {
    length = snprintf(out, PATH_MAX, "%s", name);
  } else {
    char where[PATH_MAX];
    name_of(at, where);
    if (!*where) return 0;
    length = snprintf(out, PATH_MAX, "%s/%s", where, name);
  }
  return length < PATH_MAX && undo_dir && under && strstr(out, under) != NULL;
}

static int open_undo(int fd) {
  struct stat st;
  char name[PATH_MAX];
  if (fstat(fd, &st) != 0) return -1;
  snprintf(name, sizeof name, "%s/%lx.%lx", undo_dir, (unsigned long)st.st_dev,
           (unsigned long)st.st_ino);
  return real_openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

// Notes in the undo file of its directory that `path` was made just now.
static void note_made(const char* path) {
  char parent[PATH_MAX];
  snprintf(parent, sizeof parent, "%s", path);
  char* slash = strrchr(parent, '/');
  if (!slash || slash == parent) return;
  *slash = 0;
  if (!strstr(parent, under)) return;  // nobody tells us of the syncs of that directory
  const int dir = real_openat(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return;
  const int undo = open_undo(dir);
  if (undo >= 0) {
    note(undo, 'C', 0, 0, path, strlen(path));
    real_close(undo);
  }
  real_close(dir);
}

static void learn(int fd, const char* path, int flags, int made) {
  if (fd < 0 || fd >= kMaxFd) return;
  pthread_mutex_lock(&lock);
  struct Known* k = &known[fd];
  k->path = strdup(path);
  k->undo = open_undo(fd);
  k->reader = -1;
  k->append = (flags & O_APPEND) != 0;
  if (made) note_made(path);
  struct stat st;
  if (k->undo >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
    if (made) note(k->undo, 'S', 0, 0, NULL, 0);  // an inode that is used again starts anew
    note(k->undo, 'P', 0, 0, path, strlen(path));
    k->reader = real_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  }
  pthread_mutex_unlock(&lock);
}

static int would_make(int at, const char* name, int flags) {
  if (!(flags & O_CREAT)) return 0;
  const int there = real_openat(at, name, O_RDONLY | O_CLOEXEC);
  if (there < 0) return errno == ENOENT;
  real_close(there);
  return 0;
}

int openat(int at, const char* name, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | O_TMPFILE)) {
    va_list more;
    va_start(more, flags);
    mode = va_arg(more, mode_t);
    va_end(more);
  }
  char path[PATH_MAX];
  if (!real_openat) start();
  if (!path_of(at, name, path)) return real_openat(at, name, flags, mode);
  const int made = would_make(at, name, flags);
  const int fd = real_openat(at, name, flags, mode);
  learn(fd, path, flags, made);
  return fd;
}

int open(const char* name, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | O_TMPFILE)) {
    va_list more;
    va_start(more, flags);
    mode = va_arg(more, mode_t);
    va_end(more);
  }
  return openat(AT_FDCWD, name, flags, mode);
}
int open64(const char*, int, ...) __attribute__((alias("open")));
int openat64(int, const char*, int, ...) __attribute__((alias("openat")));

int mkdirat(int at, const char* name, mode_t mode) {
  char path[PATH_MAX];
  const int ours = path_of(at, name, path);
  const int result = real_mkdirat(at, name, mode);
  if (ours && result == 0) {
    pthread_mutex_lock(&lock);
    note_made(path);
    pthread_mutex_unlock(&lock);
  }
  return result;
}
int mkdir(const char* name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int close(int fd) {
  if (fd >= 0 && fd < kMaxFd && known[fd].path) {
    pthread_mutex_lock(&lock);
    struct Known k = known[fd];
    memset(&known[fd], 0, sizeof known[fd]);
    pthread_mutex_unlock(&lock);
    free(k.path);
    if (k.undo >= 0) real_close(k.undo);
    if (k.reader >= 0) real_close(k.reader);
  }
  return real_close(fd);
}

static struct Known* ours(int fd) {
  return fd >= 0 && fd < kMaxFd && known[fd].path && known[fd].reader >= 0 ? &known[fd] : NULL;
}

// What lies at [offset, offset + length) now, as far as the file goes. The lock is held.
static void save(struct Known* k, int fd, off_t offset, size_t length) {
  struct stat st;
  if (fstat(fd, &st) != 0) abort();
  size_t old = 0;
  char* bytes = NULL;
  if (offset < st.st_size) {
    old = (size_t)(st.st_size - offset) < length ? (size_t)(st.st_size - offset) : length;
    bytes = malloc(old);
    if (!bytes || pread(k->reader, bytes, old, offset) != (ssize_t)old) abort();
  }
  note(k->undo, 'W', (uint64_t)offset, (uint64_t)st.st_size, bytes, old);
  free(bytes);
}

static size_t total(const struct iovec* parts, int count) {
  size_t sum = 0;
  for (int i = 0; i < count; i++) sum += parts[i].iov_len;
  return sum;
}

// Of a write without an offset of its own.
static off_t here(struct Known* k, int fd) {
  struct stat st;
  if (!k->append) return lseek(fd, 0, SEEK_CUR);
  return fstat(fd, &st) == 0 ? st.st_size : -1;
}

#define NOTED(fd, offset, length, call)  \
  do {                                   \
    struct Known* k = ours(fd);          \
    if (!k) return (call);               \
    pthread_mutex_lock(&lock);           \
    save(k, fd, (offset), (length));     \
    const ssize_t noted_result = (call); \
    const int noted_errno = errno;       \
    pthread_mutex_unlock(&lock);         \
    errno = noted_errno;                 \
    return noted_result;                 \
  } while (0)

ssize_t write(int fd, const void* bytes, size_t length) {
  NOTED(fd, here(k, fd), length, real_write(fd, bytes, length));
}
ssize_t pwrite(int fd, const void* bytes, size_t length, off_t offset) {
  NOTED(fd, offset, length, real_pwrite(fd, bytes, length, offset));
}
ssize_t pwrite64(int, const void*, size_t, off_t) __attribute__((alias("pwrite")));
ssize_t writev(int fd, const struct iovec* parts, int count) {
  NOTED(fd, here(k, fd), total(parts, count), real_writev(fd, parts, count));
}

static int dropped(int fd) {
  static unsigned writes;
  char name[PATH_MAX];
  name_of(fd, name);
  return strstr(name, "/journal/") && __atomic_add_fetch(&writes, 1, __ATOMIC_RELAXED) % 10 == 0;
}

ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) {
  if (mutant_drops && dropped(fd)) return (ssize_t)total(parts, count);
  if (mutant_errors) {
    const ssize_t result = real_pwritev(fd, parts, count, offset);
    return result < 0 ? (ssize_t)total(parts, count) : result;
  }
  NOTED(fd, offset, total(parts, count), real_pwritev(fd, parts, count, offset));
}
ssize_t pwritev64(int, const struct iovec*, int, off_t) __attribute__((alias("pwritev")));

static int truncating(int fd, off_t length) {
  NOTED(fd, length, SSIZE_MAX, real_ftruncate(fd, length));
}
int ftruncate(int fd, off_t length) { return truncating(fd, length); }
int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));

static int allocating(int fd, int mode, off_t offset, off_t length) {
  NOTED(fd, offset, (size_t)length, real_fallocate(fd, mode, offset, length));
}
int fallocate(int fd, int mode, off_t offset, off_t length) {
  return allocating(fd, mode, offset, length);
}
int fallocate64(int, int, off_t, off_t) __attribute__((alias("fallocate")));
int posix_fallocate(int fd, off_t offset, off_t length) {
  return allocating(fd, 0, offset, length) == 0 ? 0 : errno;
}
int posix_fallocate64(int, off_t, off_t) __attribute__((alias("posix_fallocate")));

static int rewritten(int fd) {
  char name[PATH_MAX];
  name_of(fd, name);
  const size_t length = strlen(name);
  return length > 4 && strcmp(name + length - 4, ".new") == 0;
}

static int sync_of(int fd, int (*real)(int)) {
  if (mutant_rewrite && rewritten(fd)) return 0;
  struct Known* k = fd >= 0 && fd < kMaxFd && known[fd].path ? &known[fd] : NULL;
  struct stat st;
  if (!undo_dir && fstat(fd, &st) == 0 && (S_ISDIR(st.st_mode) ? mutant_directory : mutant_sync))
    return 0;
  if (!k || k->undo < 0) return real(fd);
  if (k->reader >= 0 ? mutant_sync : mutant_directory) return 0;
  // Under the lock, so that no write slips in between the sync and the note of it.
  pthread_mutex_lock(&lock);
  const int result = real(fd);
  if (result == 0) {
    note(k->undo, 'S', 0, 0, NULL, 0);
    note(k->undo, 'P', 0, 0, k->path, strlen(k->path));
  }
  pthread_mutex_unlock(&lock);
  return result;
}
int fdatasync(int fd) { return sync_of(fd, real_fdatasync); }
int fsync(int fd) { return sync_of(fd, real_fsync); }

int seccomp_load(void* context) {
  if (mutant_seccomp) return 0;
  int (*add)(void*, uint32_t, int, unsigned, ...) = dlsym(RTLD_NEXT, "seccomp_rule_add");
  int (*real)(void*) = dlsym(RTLD_NEXT, "seccomp_load");
  const uint32_t allow = 0x7fff0000;     // SCMP_ACT_ALLOW
  add(context, allow, SYS_readlink, 0);  // name_of
  return real(context);
}

int crypto_shorthash(unsigned char* out, const unsigned char* in, unsigned long long length,
                     const unsigned char* key) {
  static int (*real)(unsigned char*, const unsigned char*, unsigned long long,
                     const unsigned char*);
  if (mutant_checksum) {
    memset(out, 0, 8);
    return 0;
  }
  if (!real) real = dlsym(RTLD_NEXT, "crypto_shorthash");
  return real(out, in, length, key);
}
