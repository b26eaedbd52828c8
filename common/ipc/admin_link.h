// common/ipc/admin_link.h - what rims-ctl asks the processes that have clients (who is there, and
// to end sessions), and what the controller tells it of a reload
//
//   Door    the socket RUN_DIR/admin.sock, where rims-controller listens. Its file is its owner's
//           alone, and the kernel must say that the caller is root or the user of the suite. A
//           connection is the whole request: the controller reads nothing from it
//   Link    made by the controller, one to each rims-login and rims-imapd; lives as long as
//           rims-ctl asks
//   Trust   both processes do what rims-ctl asks, as only the administrator gets such a link.
//           rims-ctl shows what it is told, made printable, and believes none of it
//   Size    a session is a message; thousands of them wait for rims-ctl to read
//
//     rims-ctl                    rims-controller            rims-login, rims-imapd
//       | (connects) ------------------>|  Attach (admin) ------------>|  to each
//       |<------------- Reach or Absent |  for each of them
//       |<------------------- Introduced|  these were all
//       | Who -------------------------------------------------------->|
//       |<--------------------------------- SessionEntry, one for each |
//       |<---------------------------------------------------- WhoDone |
//       | Kick ------------------------------------------------------->|
//       |<---------------------------------------------------- Kicking |  at once
//       |<----------------------------------------------------- Kicked |  when they have ended
//       | (stays) . . . . . . . . . . . |
//       |<----------------------- Remark|  after each SIGHUP, a line each
//       |<------------- ReloadHasEnded |  when every process has the new configuration, or not
#pragma once

#include <string_view>
#include <tuple>

#include "common/ipc/auth_link.h"
#include "common/ipc/link.h"
#include "common/ipc/log_link.h"
#include "common/ipc/roles.h"

namespace rims::ipc {

// In paths.run_dir.
inline constexpr const char* kAdminSocket = "admin.sock";
// "s", the number of the process, ".", the number of the connection
inline constexpr size_t kMaxSessionId = std::string_view("s4294967295.18446744073709551615").size();
inline constexpr size_t kMaxClientName = 128;  // bytes of what a client calls itself

enum class AdminMsg : uint16_t {
  reach = 1,
  absent = 2,
  who = 3,
  session_entry = 4,
  who_done = 5,
  kick = 6,
  kicked = 7,
  introduced = 8,
  kicking = 9,
  remark = 10,
  reload_has_ended = 11,
};

struct Reach {
  static constexpr AdminMsg kType = AdminMsg::reach;
  static constexpr const char* kAbout = "a process that can be asked";
  static constexpr std::array kFds{"rims-ctl's end of a link to it"};
  Role role = Role::imapd;
  uint32_t index = 0;
  uint32_t pid = 0;
  static constexpr auto kFields = std::tuple(&Reach::role, &Reach::index, &Reach::pid);
};

struct Absent {
  static constexpr AdminMsg kType = AdminMsg::absent;
  static constexpr const char* kAbout = "a process that does not run now";
  Role role = Role::imapd;
  uint32_t index = 0;
  static constexpr auto kFields = std::tuple(&Absent::role, &Absent::index);
};

struct Introduced {
  static constexpr AdminMsg kType = AdminMsg::introduced;
  static constexpr const char* kAbout = "these were all";
  uint64_t reloads = 0;  // that have begun so far
  static constexpr auto kFields = std::tuple(&Introduced::reloads);
};

struct Remark {
  static constexpr AdminMsg kType = AdminMsg::remark;
  static constexpr const char* kAbout = "something to say of the reload that is about to end";
  Text<0, log::kMaxLine> text;
  static constexpr auto kFields = std::tuple(&Remark::text);
};

enum class ReloadEnd : uint8_t {
  in_force,  // in every process
  refused,   // nothing was changed
  late,      // some processes do not answer
  last = late,
};

struct ReloadHasEnded {
  static constexpr AdminMsg kType = AdminMsg::reload_has_ended;
  static constexpr const char* kAbout = "a reload has come to an end";
  uint64_t number = 0;  // as Introduced counts
  ReloadEnd end = ReloadEnd::in_force;
  static constexpr auto kFields = std::tuple(&ReloadHasEnded::number, &ReloadHasEnded::end);
};

struct Who {
  static constexpr AdminMsg kType = AdminMsg::who;
  static constexpr const char* kAbout = "asks for all sessions of the process";
  static constexpr auto kFields = std::tuple();
};

struct SessionEntry {
  static constexpr AdminMsg kType = AdminMsg::session_entry;
  static constexpr const char* kAbout = "a session, or a connection before its login";
  Text<0, kMaxSessionId> session;      // as in the log
  Text<0, kMaxUserName> user;          // "" before the login
  Text<0, kMaxClientAddress> address;  // numeric
  bool over_tls = false;
  uint64_t since = 0;              // the login, before it the connection: seconds since 1970
  uint64_t age_s = 0;              // since then
  uint64_t silent_s = 0;           // since the client sent something
  Text<0, 1024> mailbox;           // selected; cut when longer
  Text<0, kMaxClientName> client;  // what it called itself by ID (RFC 2971)
  static constexpr auto kFields =
      std::tuple(&SessionEntry::session, &SessionEntry::user, &SessionEntry::address,
                 &SessionEntry::over_tls, &SessionEntry::since, &SessionEntry::age_s,
                 &SessionEntry::silent_s, &SessionEntry::mailbox, &SessionEntry::client);
};

struct WhoDone {
  static constexpr AdminMsg kType = AdminMsg::who_done;
  static constexpr const char* kAbout = "these were all";
  static constexpr auto kFields = std::tuple();
};

// One of the two is given.
struct Kick {
  static constexpr AdminMsg kType = AdminMsg::kick;
  static constexpr const char* kAbout = "end the sessions of this user, or of this id";
  Text<0, kMaxUserName> user;  // as SessionEntry has it
  Text<0, kMaxSessionId> session;
  static constexpr auto kFields = std::tuple(&Kick::user, &Kick::session);
};

struct Kicking {
  static constexpr AdminMsg kType = AdminMsg::kicking;
  static constexpr const char* kAbout = "the sessions are being ended";
  static constexpr auto kFields = std::tuple();
};

struct Kicked {
  static constexpr AdminMsg kType = AdminMsg::kicked;
  static constexpr const char* kAbout = "so many were ended";
  uint64_t count = 0;
  static constexpr auto kFields = std::tuple(&Kicked::count);
};

struct ControllerToCtl : Says<Reach, Absent, Introduced, Remark, ReloadHasEnded> {
  static constexpr const char *kFrom = "rims-controller", *kTo = "rims-ctl";
  static constexpr const char* kTrust = "yes";
};
struct CtlToController : Says<> {
  static constexpr const char *kFrom = "rims-ctl", *kTo = "rims-controller";
  static constexpr const char* kTrust = "no; nothing is read";
};
struct CtlToServing : Says<Who, Kick> {
  static constexpr const char *kFrom = "rims-ctl", *kTo = "rims-login, rims-imapd";
  static constexpr const char* kTrust = "yes, to end any session; for nothing else";
};
struct ServingToCtl : Says<SessionEntry, WhoDone, Kicking, Kicked> {
  static constexpr const char *kFrom = "rims-login, rims-imapd", *kTo = "rims-ctl";
  static constexpr const char* kTrust = "no; it is only shown";
};

inline constexpr std::span<const Accepts> kCtlAcceptsFromController = ControllerToCtl::kAccepts;
inline constexpr std::span<const Accepts> kControllerAcceptsFromCtl = CtlToController::kAccepts;
inline constexpr std::span<const Accepts> kServingAcceptsFromCtl = CtlToServing::kAccepts;
inline constexpr std::span<const Accepts> kCtlAcceptsFromServing = ServingToCtl::kAccepts;

}  // namespace rims::ipc
