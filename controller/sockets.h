// controller/sockets.h - what root opens for the others: ports, the sockets of rims-deliver, LMTP
// and rims-ctl, the empty directory and the pid file
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/config/config.h"
#include "common/ipc/control_link.h"

namespace rims::controller {

// A directory of root that stays empty, for chroot. "" when not privileged.
[[nodiscard]] Result<std::string> prepare_empty_dir(const std::string& run_dir, bool privileged);

struct Listener {
  ipc::Channel channel = ipc::Channel::listen_imap;
  uint32_t index = 0;
  std::string name;   // "127.0.0.1:143" or a path, for people
  uint16_t port = 0;  // as bound
  Fd fd;
};

// All ports of the configuration, listening. A host name is looked up in a child process that has
// no rights: root must not parse an answer of the network. `remarks`: what the administrator should
// know all the same, such as that IPv6 is off.
[[nodiscard]] Result<std::vector<Listener>> open_ports(const config::Config& config,
                                                       std::set<std::string>& remarks);
// Could they be opened? Those in `own` are ours already.
[[nodiscard]] Status ports_are_free(const config::Config& config, const std::set<uint16_t>& own,
                                    std::set<std::string>& remarks);

// The socket of rims-deliver. It has its mode and group before anybody can connect: it is made with
// this mode (umask), and it does not listen until the group is set. An old one is removed only
// after a connect has shown that nobody listens there.
[[nodiscard]] Result<Listener> open_deliver_socket(const std::string& path, uint32_t mode,
                                                   std::optional<uint32_t> group);
// All places of lmtp.listen, listening; a local socket is opened as that of rims-deliver is.
[[nodiscard]] Result<std::vector<Listener>> open_lmtp(const config::Config& config,
                                                      std::optional<uint32_t> group);
// Could they be opened? Ports in `own` are ours already, and all local sockets when `running`.
[[nodiscard]] Status lmtp_is_free(const config::Config& config, bool running,
                                  const std::set<uint16_t>& own);
// Is the run directory's path short enough for the socket of rims-ctl in it?
[[nodiscard]] bool admin_socket_fits(const std::string& run_dir);
inline constexpr const char* kNoAdminSocket =
    "it is too long for a socket in it: \"rims-ctl who\" and \"kick\" will not work";
// The socket of rims-ctl in the run directory, for its owner alone; the name is "" when the path is
// too long for a socket, and nothing was made.
[[nodiscard]] Result<Listener> open_admin_socket(const std::string& run_dir);
// Nobody listens there, and there is nothing else but an old socket.
[[nodiscard]] Status deliver_socket_is_free(const std::string& path);

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

// RUN_DIR/ports: lines "imap PORT", "imaps PORT" and "lmtp PORT", complete from the first moment
// on.
[[nodiscard]] Status write_ports(const std::string& run_dir, const std::vector<Listener>& ports);
void remove_ports(const std::string& run_dir);

}  // namespace rims::controller
