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
  // `syslog_socket`: where syslog(3) writes to.
  explicit EventSink(const char* syslog_socket = "/dev/log");
  EventSink(const EventSink&) = delete;
  EventSink& operator=(const EventSink&) = delete;
  ~EventSink() override;
  void write(log::Level level, std::string_view line) override;
  // Somebody takes what is written to syslog: else it is lost.
  [[nodiscard]] bool has_syslog() const { return has_syslog_; }
  // With false, lines go to syslog only: nobody waits at the terminal any more. If stderr is the
  // journal of systemd, which takes those for syslog as well, lines are not written twice.
  void set_stderr(bool on) { stderr_ = on; }
  // For lines that the file has from elsewhere: syslog, and stderr if they are not shown anyway.
  void write_outside(log::Level level, std::string_view line, bool to_stderr) const;

  // All lines go there as well, those until now included.
  using File = std::function<void(log::Level, std::string_view)>;
  void set_file(File file);

 private:
  bool has_syslog_ = true;
  bool stderr_ = true;
  File file_;
  std::vector<std::pair<log::Level, std::string>> early_;  // until there is a file
};

}  // namespace rims::controller
