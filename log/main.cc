// log/main.cc - rims-log: writes what the other processes say into the rotating file
//
//   Runs as   _rimslog; opens files in the directory of the log file and nowhere else
//   Trust     every line is written by an attacker until proven otherwise: control bytes are made
//             visible again here, and the name of the program comes from the link
//   Ends      last of all, when it has read what the others left for it

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/core.h>

#include "common/async/scope.h"
#include "common/base/errno_text.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/config/parts.h"
#include "common/ipc/link.h"
#include "common/ipc/log_link.h"
#include "common/privdrop/process_table.h"
#include "common/process/child.h"
#include "log/line.h"
#include "log/rotating_file.h"

namespace rims::logger {
namespace {

// So many lines of one process are taken before the others have their turn.
constexpr int kBatch = 64;
// Then they may gather: being woken for each line costs more than writing it.
constexpr Milliseconds kGather{2};

class Service final : public log::Sink {
 public:
  Service(Loop& loop, Fd directory, std::string path)
      : loop_(loop), file_(std::move(directory), std::move(path)), scope_(loop) {}

  void configure(const config::LogPart& part, bool first) {
    part_ = part;
    log::set_level(static_cast<log::Level>(part.level));
    const auto opened =
        file_.open(part.file.value,
                   {.age = part.shift_age, .count = part.shift_count, .size = part.shift_size});
    if (opened) return;
    const std::string why = fmt::format(
        "{}; rims-log (uid {}) must be able to write the directory of log_file and to make files "
        "in it",
        opened.error().detail(), geteuid());
    if (first) fatal(why);
    log::error({}, "{}; the former file stays in use", why);
  }

  void attach(process::Attached attached) {
    if (attached.channel != ipc::Channel::link) return;
    scope_.spawn(read(std::move(attached)));
  }

  // What is still on its way when all others have ended, then the end.
  void stop() { scope_.spawn(finish()); }

  // rims-log's own lines.
  void write(log::Level level, std::string_view text) override {
    if (!file_.is_open()) {
      std::fputs(log::stderr_line(level, text).c_str(), stderr);
      return;
    }
    if (level >= log::Level::error) std::fputs(log::stderr_line(level, text).c_str(), stderr);
    put(level, format_line(now(), level, "rims-log", static_cast<uint32_t>(getpid()), text));
    write_out();
  }

  // A line of the controller, our parent. It shows them itself where somebody is to see them.
  void tell(log::Level level, const std::string& text) {
    if (level < log::level()) return;
    put(level, format_line(now(), level, "rims-controller", static_cast<uint32_t>(getppid()), text),
        false);
    write_out();
  }

 private:
  static timespec now() {
    timespec moment{};
    clock_gettime(CLOCK_REALTIME, &moment);
    return moment;
  }

  void put(log::Level level, const std::string& line, bool show = true) {
    lines_ += line;
    if (show && part_.to_stdout && level >= static_cast<log::Level>(part_.stdout_level)) {
      // A terminal that went away is no reason to end.
      [[maybe_unused]] auto ignored = ::write(STDOUT_FILENO, line.data(), line.size());
    }
  }

  // Before any wait: a line is not kept back.
  void write_out() {
    if (lines_.empty()) return;
    const Status written = file_.append(std::exchange(lines_, {}));
    // Told where it can be read, once for each time that it begins.
    if (written ? std::exchange(failing_, false) : !std::exchange(failing_, true)) {
      const auto level = written ? log::Level::warn : log::Level::error;
      const std::string text = written ? "the log is written again"
                                       : written.error().detail() +
                                             "; lines of the log are lost until it can be written";
      std::fputs(log::stderr_line(level, text).c_str(), stderr);
    }
  }

  void take(ipc::Link& link, const process::Attached& from, const ipc::Packet& packet) {
    const auto message = ipc::open_packet<ipc::LogLine>(link, packet);
    if (!message) return;
    const auto level = static_cast<log::Level>(message->level);
    put(level,
        format_line(now(), level, ipc::role_name(from.peer), message->pid, message->text.value));
  }

  Task<void> read(process::Attached from) {
    ipc::Link link(loop_, std::move(from.end), ipc::role_name(from.peer), ipc::kLogAccepts);
    for (;;) {
      auto packet = co_await link.receive();
      if (!packet) co_return;
      take(link, from, *packet);
      int taken = 0;
      for (; taken < kBatch; taken++) {
        auto more = link.receive_now();
        if (!more) {
          write_out();
          co_return;
        }
        if (!*more) break;
        take(link, from, **more);
      }
      write_out();
      co_await sleep_for(loop_, taken == kBatch ? Milliseconds(0) : kGather);
    }
  }

  // Links end when their processes do; one that does not end is given no more time than this.
  Task<void> finish() {
    for (int i = 0; i < 50 && scope_.size() > 1; i++) co_await sleep_for(loop_, Milliseconds(10));
    loop_.stop();
  }

  Loop& loop_;
  config::LogPart part_;
  RotatingFile file_;
  std::string lines_;  // taken, to be written together
  bool failing_ = false;
  Scope scope_;  // last: its tasks use the others
};

config::LogPart decode_part(const std::string& bytes) {
  auto part = ipc::decode<config::LogPart>(bytes);
  if (!part) fatal("the configuration of rims-log does not decode");
  return std::move(*part);
}

int serve() {
  Loop loop;
  process::Child child(loop, privdrop::kLogRow);
  process::Start start = child.wait_for_start();
  const config::LogPart part = decode_part(start.config);
  const std::string above = part.file.value.substr(0, part.file.value.rfind('/') + 1);
  Fd directory(open(above.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory)
    fatal(fmt::format("open {}, the directory of log_file: {}", above, errno_text(errno)));
  umask(027);  // the group may read the log
  child.enter();
  Service service(loop, std::move(directory), above);
  service.configure(part, true);
  log::set_sink(&service);
  for (auto& attached : start.attached) service.attach(std::move(attached));
  child.ready(
      {.attach = [&](process::Attached a) { service.attach(std::move(a)); },
       .reload = [&](std::string bytes) { service.configure(decode_part(bytes), false); },
       .stop = [&] { service.stop(); },
       .tell = [&](log::Level level, const std::string& text) { service.tell(level, text); }});
  log::debug({}, "rims-log writes {}", part.file.value);
  loop.run();
  log::set_sink(nullptr);
  return 0;
}

}  // namespace
}  // namespace rims::logger

int main(int argc, char** argv) {
  rims::process::take_arguments(argc, argv, rims::privdrop::kLogRow);
  return rims::logger::serve();
}
