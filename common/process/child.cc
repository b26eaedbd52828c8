// common/process/child.cc - a child's side of the control link, and its way to rims-log

#include "common/process/child.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/base/version.h"
#include "common/ipc/log_link.h"

namespace rims::process {
namespace {

// Far above any real configuration; the controller is trusted, a wrong size is a bug.
constexpr off_t kMaxConfig = 64 << 20;
// How long a program may take to end after the controller said Stop or went away.
constexpr unsigned kStopSeconds = 15;

// Without a link that the controller gives it a process is of no use: it is started again.
void need_descriptors(const ipc::Packet& packet) {
  for (const Fd& fd : packet.fds)
    if (!fd) fatal("there is no room for a descriptor of the controller");
}

void say_to(int fd, const std::string& text) {
  // Nobody is left to tell when that fails.
  [[maybe_unused]] auto ignored = ::write(fd, text.data(), text.size());
}

// Sends lines to rims-log and never waits: a full or dead link drops lines and counts them.
class LogSink final : public log::Sink {
 public:
  void attach(ipc::End end) {
    fd_ = std::move(end.fd);
    ended_ = std::move(end.ended);
    if (early_.empty()) return;
    auto lines = std::move(early_);
    early_.clear();
    for (const auto& [level, text] : lines) write(level, text);
  }

  void write(log::Level level, std::string_view text) override {
    // The controller passes it on to syslog.
    if (level >= log::Level::error) say_to(STDERR_FILENO, log::stderr_line(level, text));
    if (!fd_) {
      if (early_.size() < 64) early_.emplace_back(level, text);
      return;
    }
    if (lost_ > 0) {
      const std::string note = fmt::format("{} log lines were lost: rims-log did not read", lost_);
      if (!send(log::Level::warn, note)) {
        lost_++;
        if (!connected_) lose();
        return;
      }
      lost_ = 0;
    }
    if (!send(level, text)) lost_++;
    if (!connected_) lose();
  }

 private:
  bool send(log::Level level, std::string_view text) {
    ipc::LogLine line;
    line.level = static_cast<ipc::LogLevel>(level);
    line.pid = static_cast<uint32_t>(getpid());
    line.text = text.substr(0, log::kMaxLine);
    const auto type = static_cast<uint16_t>(ipc::LogLine::kType);
    std::string bytes{static_cast<char>(type >> 8), static_cast<char>(type & 0xff)};
    bytes += ipc::encode(line);
    ssize_t sent = 0;
    do {
      sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    connected_ = sent >= 0 || errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
    return sent >= 0;
  }

  // Lines are kept again until there is a new link.
  void lose() {
    fd_.reset();
    connected_ = true;
    if (const auto tell = std::exchange(ended_, nullptr)) tell();
  }

  Fd fd_;
  std::function<void()> ended_;
  bool connected_ = true;
  uint64_t lost_ = 0;
  std::vector<std::pair<log::Level, std::string>> early_;  // from before the link came
};

std::string read_config(const Fd& fd) {
  struct stat st{};
  if (fstat(fd.get(), &st) != 0 || st.st_size < 0 || st.st_size > kMaxConfig)
    fatal("the controller sent no usable configuration");
  std::string bytes(static_cast<size_t>(st.st_size), '\0');
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t got =
        pread(fd.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fatal("the configuration could not be read");
    at += static_cast<size_t>(got);
  }
  return bytes;
}

Fd control_link() {
  struct stat st{};
  if (fstat(ipc::kControlFd, &st) != 0 || !S_ISSOCK(st.st_mode)) {
    std::fprintf(stderr, "%s: rims-controller starts this program; use rims-ctl start\n",
                 program_invocation_short_name);
    std::_Exit(64);  // EX_USAGE
  }
  if (fcntl(ipc::kControlFd, F_SETFD, FD_CLOEXEC) != 0) fatal("the control link is not usable");
  return Fd(ipc::kControlFd);
}

}  // namespace

void take_arguments(int argc, const char* const* argv, const privdrop::Row& row) {
  if (argc < 2) return;
  const std::string_view word = argv[1];
  const bool help = word == "-h" || word == "--help", version = word == "-V" || word == "--version";
  if (version && argc == 2) {
    say_to(STDOUT_FILENO, fmt::format("{}\n", program_version()));
    std::_Exit(0);
  }
  const std::string usage = fmt::format(
      "usage: {0} -h | -V\nA part of the RIMS mail store, which rims-controller(8) starts; "
      "\"rims-ctl start\" starts all.\nIt takes no options but these. {0}(8) says what it does.\n",
      row.binary);
  say_to(help && argc == 2 ? STDOUT_FILENO : STDERR_FILENO, usage);
  std::_Exit(help && argc == 2 ? 0 : 64);  // EX_USAGE
}

struct Child::Impl {
  Impl(Loop& l, const privdrop::Row& r)
      : loop(l),
        row(r),
        control(l, control_link(), "rims-controller", ipc::kChildAccepts),
        scope(l) {}

  Task<Start> start();
  Task<void> serve();
  void stop();
  Attached attached(const ipc::Attach& message, Fd fd);
  Task<void> tell_lost(uint32_t serial);
  Task<void> tell_reloaded();

  Loop& loop;
  const privdrop::Row& row;
  LogSink sink;
  ipc::Link control;
  privdrop::Identity identity;
  Handlers handlers;
  bool stopping = false;
  uint32_t early_reloads = 0;  // before Begin
  Scope scope;                 // last: its tasks use the others
};

Task<void> Child::Impl::tell_lost(uint32_t serial) {
  [[maybe_unused]] auto told = co_await control.send(ipc::LinkLost{.serial = serial});
}

Task<void> Child::Impl::tell_reloaded() {
  [[maybe_unused]] auto told = co_await control.send(ipc::Reloaded{});
}

Attached Child::Impl::attached(const ipc::Attach& message, Fd fd) {
  std::function<void()> ended;
  if (message.channel == ipc::Channel::link)
    ended = [this, serial = message.serial] {
      if (!stopping) scope.spawn(tell_lost(serial));
    };
  return {message.channel, message.peer, message.index, {std::move(fd), std::move(ended)}};
}

Task<Start> Child::Impl::start() {
  Start start;
  for (;;) {
    auto packet = co_await control.receive();
    if (!packet) std::_Exit(0);  // the controller gave up; nothing is to be finished
    need_descriptors(*packet);
    switch (static_cast<ipc::ControlMsg>(packet->type)) {
      case ipc::ControlMsg::configure: {
        auto message = ipc::open_packet<ipc::Configure>(control, *packet);
        if (!message) fatal("the controller's configuration does not decode");
        start.index = message->index;
        start.workers = message->workers;
        start.privileged = message->privileged;
        start.config = read_config(packet->fds[0]);
        identity = {.change = message->privileged,
                    .uid = message->uid,
                    .gid = message->gid,
                    .chroot = message->chroot.value,
                    .directory = message->directory.value};
        break;
      }
      case ipc::ControlMsg::attach: {
        auto message = ipc::open_packet<ipc::Attach>(control, *packet);
        if (!message) fatal("the controller's attachment does not decode");
        Attached given = attached(*message, std::move(packet->fds[0]));
        if (given.channel == ipc::Channel::link && given.peer == ipc::Role::log)
          sink.attach(std::move(given.end));
        else
          start.attached.push_back(std::move(given));
        break;
      }
      case ipc::ControlMsg::begin:
        co_return start;
      case ipc::ControlMsg::reload:
        start.config = read_config(packet->fds[0]);
        early_reloads++;
        break;
      case ipc::ControlMsg::ready:
      case ipc::ControlMsg::reloaded:
      case ipc::ControlMsg::link_lost:
      case ipc::ControlMsg::tell:  // the controller waits with it for Ready
        break;
      case ipc::ControlMsg::stop:
        std::_Exit(0);
    }
  }
}

void Child::Impl::stop() {
  if (stopping) return;
  stopping = true;
  // A program that hangs while it stops must not outlive the controller.
  alarm(kStopSeconds);
  if (handlers.stop)
    handlers.stop();
  else
    loop.stop();
}

Task<void> Child::Impl::serve() {
  [[maybe_unused]] auto told = co_await control.send(ipc::Ready{});
  for (; early_reloads > 0; early_reloads--) scope.spawn(tell_reloaded());
  for (;;) {
    auto packet = co_await control.receive();
    if (!packet) {
      if (!stopping) log::error({}, "the link to the controller ended; this process ends, too");
      stop();
      co_return;
    }
    need_descriptors(*packet);
    switch (static_cast<ipc::ControlMsg>(packet->type)) {
      case ipc::ControlMsg::attach: {
        auto message = ipc::open_packet<ipc::Attach>(control, *packet);
        if (!message) break;
        Attached given = attached(*message, std::move(packet->fds[0]));
        if (given.channel == ipc::Channel::link && given.peer == ipc::Role::log)
          sink.attach(std::move(given.end));
        else if (handlers.attach)
          handlers.attach(std::move(given));
        break;
      }
      case ipc::ControlMsg::reload: {
        std::string part = read_config(packet->fds[0]);
        if (handlers.reload) handlers.reload(part);
        wipe(part);
        scope.spawn(tell_reloaded());
        break;
      }
      case ipc::ControlMsg::tell: {
        auto message = ipc::open_packet<ipc::Tell>(control, *packet);
        if (message && handlers.tell)
          handlers.tell(static_cast<log::Level>(message->level), std::move(message->text.value));
        break;
      }
      case ipc::ControlMsg::stop:
        stop();
        break;
      case ipc::ControlMsg::configure:
      case ipc::ControlMsg::begin:
      case ipc::ControlMsg::ready:
      case ipc::ControlMsg::reloaded:
      case ipc::ControlMsg::link_lost:
        break;  // not after the start, or not to a child
    }
  }
}

Child::Child(Loop& loop, const privdrop::Row& row) {
  privdrop::hide_memory();
  umask(077);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  crypto_init();
  tzset();  // while /etc is in reach
  log::set_program(ipc::role_name(row.role));
  impl_ = std::make_unique<Impl>(loop, row);
  // rims-log has no log but its own.
  if (row.role != ipc::Role::log) log::set_sink(&impl_->sink);
}

Child::~Child() {
  if (impl_->row.role != ipc::Role::log) log::set_sink(nullptr);
}

Start Child::wait_for_start() { return run(impl_->loop, impl_->start()); }

void Child::enter() { privdrop::enter(impl_->row, impl_->identity); }

void Child::ready(Handlers handlers) {
  impl_->handlers = std::move(handlers);
  Impl* impl = impl_.get();
  impl->loop.on_signal(SIGTERM, [impl] { impl->stop(); });
  // From the loop, not from here: a Stop that already waits must find the loop running.
  impl->loop.post([impl] { impl->scope.spawn(impl->serve()); });
}

}  // namespace rims::process

#ifdef RIMS_SANITIZED
// The leak check at exit needs ptrace, which a process that gave up its rights does not have.
// NOLINTBEGIN(bugprone-reserved-identifier): the names that the sanitizers look for
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "symbolize=0"; }
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; }
// NOLINTEND(bugprone-reserved-identifier)
#endif
