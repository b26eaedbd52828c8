// cli/unit.h - the unit of systemd that a running suite is
//
// A suite has one owner. Where that is systemd, a command that ends or starts the suite goes
// through it: else the unit's state is wrong, and what takes the suite's place is not confined.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "common/base/result.h"

namespace rims::cli {

struct Unit {
  std::string name;   // "rims.service"
  bool user = false;  // of a user's systemd
};

// The service that a text like /proc/PID/cgroup names; nullopt when it names none.
[[nodiscard]] std::optional<Unit> unit_in(std::string_view cgroup);

// The unit whose main process this is; nullopt when there is none, or this process is itself a part
// of that unit: then systemd has asked for what it does, and waits for it. Runs systemctl(1), and
// waits.
[[nodiscard]] std::optional<Unit> unit_of(pid_t pid);

// Runs "systemctl VERB UNIT", and waits until that is done. Error: it failed, and has said why on
// standard error.
Status through_systemd(const Unit& unit, const std::string& verb);

}  // namespace rims::cli
