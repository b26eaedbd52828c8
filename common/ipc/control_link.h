// common/ipc/control_link.h - everything that the controller and a child can say to each other
//
//   Link    rims-controller (root)      rims-log, -auth, -login, -imapd, -deliverd
//   Channel fd 3 of the child, from its first instruction; fd 3 is all it inherits besides 0-2
//   Trust   the child trusts the controller. The controller treats every byte of a child as
//           written by an attacker; a breach ends the child (SIGKILL, then restart).
//
//     controller                       child
//       | Configure (memfd) ----------->|  its part of the configuration (config/parts.h)
//       | Attach (fd) ----------------->|  one per link or listening socket, in any order; again
//       |                               |  when a peer was restarted or the link was lost: replaces
//       |                               |  the older link
//       | Begin ----------------------->|  everything for the start was sent
//       |                               |  privdrop::enter
//       |<------------------------ Ready|
//       |<--------------------- LinkLost|  a link has ended; both ends get a new one
//       | Tell ------------------------>|  to rims-log: a line of the controller's, for the file
//       | Reload (memfd) -------------->|  new configuration, or reopen logs; keeps sessions
//       |<--------------------- Reloaded|  it is in force
//       | Stop ------------------------>|  finish what is being written, tell clients BYE, exit 0
#pragma once

#include <string_view>
#include <tuple>

#include "common/ipc/link.h"
#include "common/ipc/log_link.h"
#include "common/ipc/roles.h"

namespace rims::ipc {

inline constexpr int kControlFd = 3;
inline constexpr size_t kMaxPath = 1024;  // bytes of a path of the configuration, made absolute
// Below paths.run_dir: the root of those who see no file.
inline constexpr std::string_view kEmptyRoot = "/empty";

enum class ControlMsg : uint16_t {
  configure = 1,
  attach = 2,
  begin = 3,
  ready = 4,
  reload = 5,
  stop = 6,
  link_lost = 7,
  tell = 8,
  reloaded = 9,
};

// What an attached descriptor is.
enum class Channel : uint8_t {
  link,            // to `peer`, number `index`
  listen_imap,     // plain with STARTTLS
  listen_imaps,    // implicit TLS
  listen_deliver,  // AF_UNIX SOCK_SEQPACKET of rims-deliver
  admin,           // a link of rims-ctl (admin_link.h); not missed when it ends
  listen_lmtp,     // AF_UNIX or TCP, number `index`: clients of LMTP
  last = listen_lmtp,
};

struct Configure {
  static constexpr ControlMsg kType = ControlMsg::configure;
  static constexpr const char* kAbout =
      "its number, its identity and its part of the configuration";
  static constexpr std::array kFds{"the encoded part, a sealed memfd"};
  uint32_t index = 0;       // which of the role's processes this is, from 0
  uint32_t workers = 0;     // how many rims-imapd there are
  bool privileged = false;  // started as root: the identity is to be changed to what follows
  uint32_t uid = 0;
  uint32_t gid = 0;
  Text<0, kMaxPath + kEmptyRoot.size()> chroot;  // "" for none
  Text<0, kMaxPath> directory;  // the one whose files it may use; "" for no file at all
  static constexpr auto kFields =
      std::tuple(&Configure::index, &Configure::workers, &Configure::privileged, &Configure::uid,
                 &Configure::gid, &Configure::chroot, &Configure::directory);
};

struct Attach {
  static constexpr ControlMsg kType = ControlMsg::attach;
  static constexpr const char* kAbout =
      "a link or a listening socket; it replaces an older one to the same peer";
  static constexpr std::array kFds{"the link or socket"};
  Channel channel = Channel::link;
  Role peer = Role::controller;
  uint32_t index = 0;
  uint32_t serial = 0;  // of the link, for LinkLost; 0 for a socket and for `admin`
  static constexpr auto kFields =
      std::tuple(&Attach::channel, &Attach::peer, &Attach::index, &Attach::serial);
};

struct Begin {
  static constexpr ControlMsg kType = ControlMsg::begin;
  static constexpr const char* kAbout = "everything for the start was sent";
  static constexpr auto kFields = std::tuple();
};

struct Ready {
  static constexpr ControlMsg kType = ControlMsg::ready;
  static constexpr const char* kAbout = "rights are given up, it serves";
  static constexpr auto kFields = std::tuple();
};

struct LinkLost {
  static constexpr ControlMsg kType = ControlMsg::link_lost;
  static constexpr const char* kAbout =
      "a link that was attached has ended; said once of each, else it is a breach";
  uint32_t serial = 0;
  static constexpr auto kFields = std::tuple(&LinkLost::serial);
};

struct Reload {
  static constexpr ControlMsg kType = ControlMsg::reload;
  static constexpr const char* kAbout = "a new configuration; logs are opened again";
  static constexpr std::array kFds{"the encoded part, a sealed memfd"};
  static constexpr auto kFields = std::tuple();
};

struct Reloaded {
  static constexpr ControlMsg kType = ControlMsg::reloaded;
  static constexpr const char* kAbout =
      "the configuration of a Reload is in force; said once of each, else it is a breach";
  static constexpr auto kFields = std::tuple();
};

struct Stop {
  static constexpr ControlMsg kType = ControlMsg::stop;
  static constexpr const char* kAbout = "finish what is being written, then end";
  static constexpr auto kFields = std::tuple();
};

struct Tell {
  static constexpr ControlMsg kType = ControlMsg::tell;
  static constexpr const char* kAbout = "a line of the controller's, which rims-log writes";
  LogLevel level = LogLevel::info;
  Text<0, log::kMaxLine> text;
  static constexpr auto kFields = std::tuple(&Tell::level, &Tell::text);
};

struct ControllerToChild : Says<Configure, Attach, Begin, Reload, Stop, Tell> {
  static constexpr const char *kFrom = "rims-controller",
                              *kTo = "rims-log, rims-auth, rims-login, rims-imapd, rims-deliverd";
  static constexpr const char* kTrust = "yes";
};
struct ChildToController : Says<Ready, LinkLost, Reloaded> {
  static constexpr const char *kFrom = "rims-log, rims-auth, rims-login, rims-imapd, rims-deliverd",
                              *kTo = "rims-controller";
  static constexpr const char* kTrust = "no; a breach ends the process that sent it";
};

inline constexpr std::span<const Accepts> kChildAccepts = ControllerToChild::kAccepts;
inline constexpr std::span<const Accepts> kControllerAccepts = ChildToController::kAccepts;

}  // namespace rims::ipc
