// controller/events.h - where the controller's own lines go: syslog (facility mail), and stderr
// while somebody is there to read it
//
// The controller does not use rims-log: it must be able to say that rims-log is down.
#pragma once

#include "common/base/log.h"

namespace rims::controller {

class EventSink final : public log::Sink {
 public:
  EventSink();
  EventSink(const EventSink&) = delete;
  EventSink& operator=(const EventSink&) = delete;
  ~EventSink() override;
  void write(log::Level level, std::string_view line) override;
  // With false, lines go to syslog only: nobody waits at the terminal any more. If stderr is the
  // journal of systemd, lines are not written twice.
  void set_stderr(bool on) { stderr_ = on; }

 private:
  bool stderr_ = true;
};

}  // namespace rims::controller
