// controller/events.h - where the controller's own lines go: syslog (facility mail), stderr while
// somebody is there to read it,
// and, as soon as there is one, rims-log's file
//
// rims-log gets them last: the controller must be able to say that it is down.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
  // For lines that the file has from elsewhere: syslog, and stderr if they are not shown anyway.
  void write_outside(log::Level level, std::string_view line, bool to_stderr) const;

  // All lines go there as well, those until now included.
  using File = std::function<void(log::Level, std::string_view)>;
  void set_file(File file);

 private:
  bool stderr_ = true;
  File file_;
  std::vector<std::pair<log::Level, std::string>> early_;  // until there is a file
};

}  // namespace rims::controller
