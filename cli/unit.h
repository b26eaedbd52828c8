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

// What "systemctl show" tells of a unit that a suite may be, whether it runs or not.
struct UnitState {
  std::string load, active, sub, result;
  std::string config;  // of rims-controller's -c in ExecStart; "" when there is none
  // systemd starts it again in a moment.
  [[nodiscard]] bool waits() const { return active == "activating" && sub == "auto-restart"; }
};
[[nodiscard]] UnitState unit_state_in(std::string_view shown);

struct OwnerUnit {
  Unit unit;
  UnitState state;
  // "is inactive", "has failed (exit-code)", "is about to start it again", "is activating (start)"
  [[nodiscard]] std::string text() const;
};
// The unit rims.service, when systemd runs here and the unit is for this configuration; nullopt
// also when systemd itself has called this process, to do a unit's work. Runs systemctl(1), and
// waits.
[[nodiscard]] std::optional<OwnerUnit> unit_for(const std::string& config_file);

// Runs "systemctl VERB UNIT", and waits until that is done. Error: it failed, and has said why on
// standard error.
Status through_systemd(const Unit& unit, const std::string& verb);

}  // namespace rims::cli
