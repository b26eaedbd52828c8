// tests/privdrop/sandbox.h - programs in their rows, as children of a test
//
// The tests are built without sanitizers, whose runtime needs rights of its own: what is looked at
// is what the installed programs have.
//   verdicts_test   each system call, with many arguments, against doc/privsep.md and against a
//                   list of arguments that stands here (verdicts.h)
//   mutants_test    each way to weaken the table is noticed by these verdicts
//   landlock_test   each right of Landlock, without the list of calls before it
//   attacks_test    what an attacker would try, and what the programs need, for real
#pragma once

#include <cstdint>
#include <functional>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <vector>

#include "common/base/fd.h"
#include "common/privdrop/process_table.h"
#include "common/privdrop/steps.h"

namespace rims::privdrop {

inline constexpr uint32_t kUser = 47110;

[[nodiscard]] bool is_root();
// Those that have a list of system calls: all but the controller.
[[nodiscard]] std::vector<const Row*> confined_rows();

// Directories for one row: an empty one of root, one of its files, and what lies outside of it.
class Place {
 public:
  Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place();

  [[nodiscard]] std::string mine() const { return top_ + "/mine"; }
  [[nodiscard]] std::string outside() const { return top_ + "/outside"; }
  void make(const std::string& path) const;
  void enter_row(const Row& row) const;

 private:
  std::string top_;
};

// Without the list of calls: for what is to be refused by another step.
void become_user(uint32_t user);
// Its status as waitpid() tells it.
int in_child(const std::function<int()>& f);
[[nodiscard]] bool killed_by_filter(int status);

// The error number of a call that has just returned `rc`; 0: it has not failed.
[[nodiscard]] int error_of(long rc);
[[nodiscard]] int open_error(const std::string& path, int flags, mode_t mode = 0600);
// 0: this kernel has none.
[[nodiscard]] long landlock_version();

// A TCP port.
struct Listener {
  Fd fd;
  sockaddr_in address{};
  Listener();
  [[nodiscard]] bool was_reached() const;
};

// A socket in the abstract name space that takes datagrams.
struct Abstract {
  Fd fd;
  sockaddr_un address{};
  socklen_t size = 0;
  Abstract();
  [[nodiscard]] const sockaddr* name() const { return reinterpret_cast<const sockaddr*>(&address); }
  [[nodiscard]] bool was_reached() const;
};

// A process of the same user that answers each byte that it is sent.
class Victim {
 public:
  explicit Victim(uint32_t user);
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;
  ~Victim();
  [[nodiscard]] pid_t pid() const { return pid_; }
  // A signal that was sent before comes first.
  [[nodiscard]] bool lives() const;

 private:
  Fd ours_;
  pid_t pid_ = 0;
};

}  // namespace rims::privdrop
