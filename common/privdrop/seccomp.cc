// common/privdrop/seccomp.cc - the list of calls as a filter of the kernel

#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include <fmt/core.h>
#include <seccomp.h>

#include "common/base/result.h"
#include "common/privdrop/steps.h"

namespace rims::privdrop {
namespace {

constexpr uint64_t kInt = 0xffff'ffff;  // of an int the kernel reads only this

scmp_arg_cmp masked(unsigned arg, uint64_t mask, uint64_t value) {
  return {.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

// glibc makes a thread with clone when there is no clone3, whose flags a filter can not see.
constexpr const char* kNotThere = "clone3";

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_KILL_PROCESS)) {
    if (!context_) failed("seccomp_init", ENOMEM);
    set(SCMP_FLTATR_CTL_TSYNC, 1);
    set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    set(SCMP_FLTATR_CTL_NNP, 0);  // enter() does it; that it did is seen when the filter is loaded
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;
  ~Filter() { seccomp_release(context_); }

  void allow(const Call& call) {
    if (std::string_view(call.name) == kNotThere) return refuse(call.name, ENOSYS);
    std::vector<scmp_arg_cmp> conditions;
    for (const Arg& arg : call.args) {
      switch (arg.test) {
        case Arg::Test::any:
          break;
        case Arg::Test::is:
          conditions.push_back(masked(arg.index, kInt, arg.value));
          break;
        case Arg::Test::without:
          conditions.push_back(masked(arg.index, arg.value, 0));
          break;
        case Arg::Test::null:
          conditions.push_back(masked(arg.index, ~0ull, 0));
          break;
        case Arg::Test::own_pid:
          conditions.push_back(masked(arg.index, kInt, static_cast<uint32_t>(getpid())));
          break;
      }
    }
    add(call.name,
        call.error == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(static_cast<uint32_t>(call.error)),
        conditions);
  }

  void refuse(const char* name, int error) {
    add(name, SCMP_ACT_ERRNO(static_cast<uint32_t>(error)), {});
  }

  void load() {
    const int rc = seccomp_load(context_);
    if (rc != 0) failed("seccomp_load", -rc);
  }

 private:
  void set(scmp_filter_attr attribute, uint32_t value) {
    const int rc = seccomp_attr_set(context_, attribute, value);
    if (rc != 0) failed("seccomp_attr_set", -rc);
  }
  void add(const char* name, uint32_t action, const std::vector<scmp_arg_cmp>& conditions) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) fatal(fmt::format("unknown system call {} in a list", name));
    // A negative number is a call that this architecture does not have.
    if (number < 0) return;
    const int rc = seccomp_rule_add_array(
        context_, action, number, static_cast<unsigned>(conditions.size()), conditions.data());
    if (rc != 0 && rc != -EEXIST) failed(fmt::format("the filter for {}", name), -rc);
  }

  scmp_filter_ctx context_;
};

#ifdef RIMS_SANITIZED
// What the sanitizers' runtime needs to watch, and to print a report; they map memory in other
// ways, too.
constexpr const char* kForSanitizers[] = {
    "openat",  "open",      "readlink",    "readlinkat", "newfstatat",        "fstat",
    "stat",    "lseek",     "uname",       "getcwd",     "sched_getaffinity", "gettid",
    "getppid", "prlimit64", "sigaltstack", "mmap",       "mprotect",          "prctl",
    "ioctl",
};
constexpr const char* kTriedBySanitizers[] = {"kill", "process_vm_readv"};
#endif

}  // namespace

void filter_calls(std::span<const Call> calls) {
  Filter filter;
#ifdef RIMS_SANITIZED
  const auto all_of = [](const char* name) {
    for (const char* other : kForSanitizers)
      if (std::strcmp(other, name) == 0) return true;
    return false;
  };
  for (const char* name : kForSanitizers) filter.allow(name);
  for (const char* name : kTriedBySanitizers) filter.refuse(name, EPERM);
  for (const Call& call : calls)
    if (!all_of(call.name)) filter.allow(call);
#else
  for (const Call& call : calls) filter.allow(call);
#endif
  filter.load();
}

}  // namespace rims::privdrop

#ifndef RIMS_SANITIZED
// In place of glibc's, for the libraries, too: that one (before version 2.39) makes a call that
// takes a name, which a filter can not see. This one tells of nothing but a descriptor.
extern "C" {
[[gnu::visibility("default")]] int rims_fstat(int fd, struct stat* st) noexcept __asm__("fstat");
[[gnu::visibility("default")]] int rims_fstat64(int fd, struct stat* st) noexcept
    __asm__("fstat64");
int rims_fstat(int fd, struct stat* st) noexcept {
  return static_cast<int>(syscall(SYS_fstat, fd, st));
}
int rims_fstat64(int fd, struct stat* st) noexcept { return rims_fstat(fd, st); }
}
#endif
