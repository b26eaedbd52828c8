// controller/sockets.h - what root opens for the others: ports, the socket of rims-deliver, the
// run directory and the pid file
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/config/config.h"
#include "common/ipc/control_link.h"

namespace rims::controller {

// A directory for files that root makes. When started as root, only root may be able to change it
// and all directories above it (sticky ones like /tmp are allowed), so that nobody can put a link
// there. Made when it is missing and its parent exists.
[[nodiscard]] Status prepare_run_dir(const std::string& path, bool privileged);
// A directory of root that stays empty, for chroot. "" when not privileged.
[[nodiscard]] Result<std::string> prepare_empty_dir(const std::string& run_dir, bool privileged);
// The directory of mail or of the log: made with this owner when it is missing, else left alone.
[[nodiscard]] Status prepare_data_dir(const std::string& path, bool privileged, uint32_t uid,
                                      uint32_t gid);

struct Listener {
  ipc::Channel channel = ipc::Channel::listen_imap;
  uint32_t index = 0;
  std::string name;   // "127.0.0.1:143" or a path, for people
  uint16_t port = 0;  // as bound
  Fd fd;
};

// All ports of the configuration, listening. A host name is looked up in a child process that has
// no rights: root must not parse an answer of the network.
[[nodiscard]] Result<std::vector<Listener>> open_ports(const config::Config& config);

// The socket of rims-deliver. It has its mode and group before anybody can connect: it is made with
// this mode (umask), and it does not listen until the group is set. An old one is removed only
// after a connect has shown that nobody listens there.
[[nodiscard]] Result<Listener> open_deliver_socket(const std::string& path, uint32_t mode,
                                                   std::optional<uint32_t> group);

// Locked as long as the controller runs; the lock shows that it runs, not the number in the file.
class PidFile {
 public:
  // Error: refused when another controller holds it (its pid is in the text).
  [[nodiscard]] static Result<PidFile> take(const std::string& path);
  PidFile(PidFile&&) = default;
  PidFile& operator=(PidFile&&) = delete;
  ~PidFile();
  // Writes the number of this process. Call it again after a fork.
  Status write();

 private:
  PidFile(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  Fd fd_;
};

// RUN_DIR/ports: lines "imap PORT" and "imaps PORT", complete from the first moment on.
[[nodiscard]] Status write_ports(const std::string& run_dir, const std::vector<Listener>& ports);
void remove_ports(const std::string& run_dir);

}  // namespace rims::controller
