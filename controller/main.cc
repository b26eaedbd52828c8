// controller/main.cc - rims-controller: reads the configuration, opens what only root may open,
// starts the other programs and keeps them alive
//
//   Runs as   root, or the user who started it (then no process changes its user)
//   Trust     config.yml is the administrator's. No byte from the network is read here; from the
//             children only Ready and LinkLost are (control_link.h)
//   Signals   TERM, INT: end everything; HUP: read the configuration again, reopen the log
//   Status    0 stopped when asked to; 64 usage; 69 something it needs is taken or missing;
//             78 the configuration is wrong

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <getopt.h>
#include <optional>
#include <set>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>

#include "common/async/event.h"
#include "common/async/scope.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/base/version.h"
#include "common/config/config.h"
#include "common/config/locate.h"
#include "common/config/root_paths.h"
#include "common/config/running.h"
#include "common/privdrop/privdrop.h"
#include "common/privdrop/process_table.h"
#include "common/tls/tls.h"
#include "controller/admin_door.h"
#include "controller/base_lock.h"
#include "controller/events.h"
#include "controller/identity.h"
#include "controller/notify.h"
#include "controller/parts.h"
#include "controller/places.h"
#include "controller/sockets.h"
#include "controller/supervisor.h"

namespace rims::controller {
namespace {

constexpr int kUsage = 64, kUnavailable = 69, kConfig = 78;

constexpr const char* kHelp =
    "usage: rims-controller [-dF] [-c FILE] [-O DESCRIPTOR]\n"
    "       rims-controller -h | -V\n"
    "  -c FILE        the configuration (also -f FILE)\n"
    "  -d             go to the background; return when the suite serves, or has failed\n"
    "  -F             stay in the foreground (the default)\n"
    "  -O DESCRIPTOR  settings that override the file: KEY NUL VALUE NUL ...; without -c, no\n"
    "                 file is read\n"
    "  -h, --help     show this\n"
    "  -V, --version  show the version\n";

struct Arguments {
  std::string file;
  bool daemon = false, help = false, version = false;
  int overrides = -1;
};

std::optional<Arguments> arguments(int argc, char** argv) {
  Arguments got;
  static constexpr option kLong[] = {{"help", no_argument, nullptr, 'h'},
                                     {"version", no_argument, nullptr, 'V'},
                                     {nullptr, 0, nullptr, 0}};
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
  for (int found = 0; (found = getopt_long(argc, argv, "c:f:dFO:hV", kLong, nullptr)) != -1;) {
    switch (found) {
      case 'c':
      case 'f':
        got.file = optarg;
        break;
      case 'h':
        got.help = true;
        break;
      case 'V':
        got.version = true;
        break;
      case 'd':
        got.daemon = true;
        break;
      case 'F':
        got.daemon = false;
        break;
      case 'O':
        got.overrides = std::atoi(optarg);
        if (got.overrides < 3) return std::nullopt;
        break;
      default:
        return std::nullopt;
    }
  }
  if (optind != argc) return std::nullopt;
  return got;
}

// KEY NUL VALUE NUL ..., from a descriptor: values may be secrets, which argv would show.
std::optional<config::Options> read_overrides(int descriptor) {
  config::Options options;
  if (descriptor < 0) return options;
  const Fd fd(descriptor);
  std::string text;
  char buffer[4096];
  ssize_t got = 0;
  while ((got = read(fd.get(), buffer, sizeof buffer)) > 0)
    text.append(buffer, static_cast<size_t>(got));
  if (got < 0) return std::nullopt;
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\0', at);
    if (end == std::string::npos) return std::nullopt;
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  wipe(text);
  if (words.size() % 2 != 0) return std::nullopt;
  for (size_t i = 0; i < words.size(); i += 2)
    options.overrides.emplace_back(std::move(words[i]), std::move(words[i + 1]));
  return options;
}

// An absolute path; "" stands for no file: then all settings are in `options`.
Result<config::Config> read_config(const std::string& file, const config::Options& options) {
  if (!file.empty()) {
    if (geteuid() == 0) {
      TRY_STATUS(config::check_configuration_of_root(file));
    }
    return config::load(file, options);
  }
  return config::parse("", "the command line", "/", options);
}

void for_each_line(std::string_view text, const std::function<void(std::string_view)>& act) {
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) act(text.substr(at, end - at));
    at = end + 1;
  }
}

void say_each_line(log::Level level, std::string_view text) {
  for_each_line(text, [level](std::string_view line) { log::line(level, {}, line); });
}

// The pipe between the process in the background and the one that waits in the foreground. What the
// suite writes to stderr until it serves goes through it; the last byte is the exit status of the
// waiting process.
class Starter {
 public:
  // Returns in the background process only; the one that waits exits in here.
  void detach() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fatal("pipe failed");
    const pid_t first = fork();
    if (first < 0) fatal("fork failed");
    if (first > 0) {
      ::close(ends[1]);
      wait_for(ends[0]);
    }
    ::close(ends[0]);
    // A second fork: not a session leader, so no terminal can become ours.
    if (setsid() < 0) fatal("setsid failed");
    const pid_t second = fork();
    if (second < 0) fatal("fork failed");
    if (second > 0) std::_Exit(0);
    if (chdir("/") != 0) fatal("chdir / failed");
    const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    pipe_ = Fd(ends[1]);
    if (!null || dup2(null.get(), STDIN_FILENO) < 0 || dup2(null.get(), STDOUT_FILENO) < 0 ||
        dup2(pipe_.get(), STDERR_FILENO) < 0)
      fatal("dup2 failed");
  }

  // Lets the waiting process end, and releases its terminal.
  void tell(int status) {
    if (!pipe_) return;
    const char last[2] = {'\0', static_cast<char>(status)};
    [[maybe_unused]] auto ignored = ::write(pipe_.get(), last, sizeof last);
    pipe_.reset();
    const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (null) dup2(null.get(), STDERR_FILENO);
  }

 private:
  [[noreturn]] static void wait_for(int in) {
    std::string text;
    char buffer[4096];
    for (;;) {
      const ssize_t got = read(in, buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      text.append(buffer, static_cast<size_t>(got));
      const size_t end = text.find('\0');
      const std::string_view shown = std::string_view(text).substr(0, end);
      [[maybe_unused]] auto ignored = ::write(STDERR_FILENO, shown.data(), shown.size());
      if (end == std::string::npos)
        text.clear();
      else if (end + 1 < text.size())
        std::_Exit(static_cast<unsigned char>(text[end + 1]));
      else
        text.erase(0, end);
    }
    std::_Exit(kUnavailable);  // it ended without a status
  }

  Fd pipe_;
};

class Controller {
 public:
  Controller(Loop& loop, std::string file, config::Config config, config::Options options,
             EventSink& sink, Starter& starter, bool daemon)
      : loop_(loop),
        file_(std::move(file)),
        config_(std::move(config)),
        options_(std::move(options)),
        sink_(sink),
        starter_(starter),
        daemon_(daemon),
        asked_to_stop_(loop),
        scope_(loop) {}

  int run() {
    int status = 0;
    loop_.on_signal(SIGTERM, [this] { asked_to_stop("SIGTERM"); });
    loop_.on_signal(SIGINT, [this] { asked_to_stop("SIGINT"); });
    loop_.on_signal(SIGHUP, [this] {
      if (reloading_)
        reload_again_ = true;
      else if (serving_)
        scope_.spawn(reload_all());
    });
    loop_.on_signal(SIGCHLD, [this] {
      if (supervisor_) supervisor_->reap();
    });
    // Started from the loop: a start that fails at once needs the running loop.
    loop_.post([this, &status] { scope_.spawn(live(status)); });
    loop_.run();
    return status;
  }

 private:
  void asked_to_stop(const char* why) {
    if (asked_to_stop_.is_set()) return;
    log::info({}, "stopping ({})", why);
    asked_to_stop_.set();
    // This also ends a start that is not complete.
    if (supervisor_) supervisor_->give_up_start();
  }

  Result<Plan> prepare() {
    Plan plan;
    TRY(plan.programs, own_directory());
    const bool privileged = geteuid() == 0;
    if (privileged) {
      TRY_STATUS(config::check_paths_of_root(config_));
    }
    TRY(plan.parts, make_parts(config_));
    TRY(plan.identities,
        find_identities(config_, empty_root(config_), directory_of(directory_of(plan.programs))));
    const auto& of = plan.identities.of;
    TRY_STATUS(data_directories(config_, plan.identities, Missing::make));
    TRY_STATUS(run_directory(config_.paths_run_dir, privileged, Missing::make));
    TRY_STATUS(prepare_empty_dir(config_.paths_run_dir, privileged));
    TRY(PidFile pid, PidFile::take(config_.paths_pid_file));
    TRY(base_lock_, lock_base(config_.base_dir));
    TRY(admin_listener_, open_admin_socket(config_.paths_run_dir));
    TRY_STATUS(pid.write());
    pid_file_.emplace(std::move(pid));
    if (admin_listener_.name.empty()) log::warn({}, "paths.run_dir: {}", kNoAdminSocket);
    remove_ports(config_.paths_run_dir);
    TRY_STATUS(config::write_running(config_.paths_run_dir, config_.file));
    std::set<std::string> remarks;
    TRY(plan.listeners, open_ports(config_, remarks));
    for (const std::string& remark : remarks) log::warn({}, "{}", remark);
    TRY(const std::optional<uint32_t> group, config::deliver_socket_gid(config_));
    TRY(Listener deliver, open_deliver_socket(config_.listen_deliver_socket,
                                              config_.listen_deliver_socket_mode, group));
    plan.listeners.push_back(std::move(deliver));
    TRY(std::vector<Listener> lmtp, open_lmtp(config_, group));
    for (Listener& listener : lmtp) plan.listeners.push_back(std::move(listener));
    std::string where;
    for (const Listener& l : plan.listeners) where += (where.empty() ? "" : ", ") + l.name;
    log::info({}, "listening on {}", where);
    plan.log_file = config_.log_file;
    plan.imapd_workers = static_cast<uint32_t>(config_.processes_imapd_workers);
    plan.login_workers = static_cast<uint32_t>(config_.processes_login_workers);
    if (privileged) {
      std::string users;
      for (const privdrop::Row* row : privdrop::kProcessTable) {
        const privdrop::Identity& who = of[static_cast<size_t>(row->role)];
        if (who.change)
          users +=
              fmt::format("{}{} {}:{}", users.empty() ? "" : ", ", row->binary, who.uid, who.gid);
      }
      log::info({}, "privileges are given up, user and group: {}", users);
    } else {
      log::info({},
                "started without root: every process stays user {}, without a chroot; all "
                "other limits hold",
                geteuid());
    }
    return plan;
  }

  // Start, serve, stop.
  Task<void> live(int& status) {
    status = co_await serve();
    // What another suite has is left alone.
    if (pid_file_) {
      remove_ports(config_.paths_run_dir);
      config::remove_running(config_.paths_run_dir);
    }
    pid_file_.reset();
    starter_.tell(status);
    sink_.set_file({});
    loop_.stop();
  }

  Task<int> serve() {
    auto plan = prepare();
    if (!plan) {
      say_each_line(log::Level::fatal, plan.error().detail());
      co_return kUnavailable;
    }
    plan->outside_only = [this](ipc::Role from, log::Level level, std::string_view text) {
      // rims-log shows the lines of others on standard output, but not that it is in trouble.
      const bool shown = serving_ && from != ipc::Role::log && config_.log_stdout != "QUIET";
      sink_.write_outside(level, text, !shown);
    };
    supervisor_.emplace(loop_, std::move(*plan));
    sink_.set_file(
        [this](log::Level level, std::string_view line) { supervisor_->tell(level, line); });
    auto started = co_await supervisor_->start();
    if (!started) {
      if (asked_to_stop_.is_set()) {
        log::info({}, "stopped");
        co_return 0;
      }
      log::line(log::Level::fatal, {}, started.error().detail());
      co_return kUnavailable;
    }
    auto written = write_ports(config_.paths_run_dir, supervisor_->listeners());
    if (!written) {
      log::line(log::Level::fatal, {}, written.error().detail());
      co_await supervisor_->stop();
      co_return kUnavailable;
    }
    std::string where;
    for (const Listener& l : supervisor_->listeners())
      where += (where.empty() ? "" : ", ") + l.name;
    log::info({}, "serving on {}", where);
    serving_ = true;
    if (admin_listener_.fd) door_.emplace(loop_, *supervisor_, std::move(admin_listener_));
    starter_.tell(0);
    if (daemon_) sink_.set_stderr(false);
    notify_manager(fmt::format("READY=1\nSTATUS=serving on {}\nMAINPID={}\n", where, getpid()));
    co_await asked_to_stop_.wait();
    notify_manager("STOPPING=1\n");
    door_.reset();
    co_await supervisor_->stop([] { log::info({}, "stopped"); });
    unlink(config_.listen_deliver_socket.c_str());
    for (const config::ListenPlace& place : config_.lmtp_listen)
      if (!place.path.empty()) unlink(place.path.c_str());
    co_return 0;
  }

  // Two at a time would tell of each other's end.
  Task<void> reload_all() {
    reloading_ = true;
    do {
      reload_again_ = false;
      co_await reload();
    } while (reload_again_ && !asked_to_stop_.is_set());
    reloading_ = false;
  }

  Task<void> reload() {
    if (door_) door_->reload_begins();
    const uint64_t number = door_ ? door_->reloads() : 0;
    std::vector<std::string> remarks;
    // A line of the log, which rims-ctl shows, too.
    const auto say = [&](log::Level level, std::string_view text) {
      for_each_line(text, [&](std::string_view line) {
        log::line(level, {}, line);
        remarks.emplace_back(line);
      });
    };
    const auto ends = [&](ipc::ReloadEnd end) {
      if (door_) door_->reload_has_ended(number, end, remarks);
    };
    auto fresh = read_config(file_, options_);
    if (!fresh) {
      say(log::Level::error, fresh.error().detail());
      say(log::Level::error,
          fmt::format("the configuration stays as it was: {} has mistakes", config_.file));
      co_return ends(ipc::ReloadEnd::refused);
    }
    const Status safe = geteuid() == 0 ? config::check_paths_of_root(*fresh) : Status();
    auto parts = safe ? make_parts(*fresh) : Result<Parts>(std::unexpected(safe.error()));
    if (!parts) {
      say(log::Level::error, parts.error().detail());
      say(log::Level::error, "the configuration stays as it was");
      co_return ends(ipc::ReloadEnd::refused);
    }
    for (const std::string& warning : fresh->warnings) log::warn({}, "{}", warning);
    for (const std::string& key : needs_restart(config_, *fresh))
      say(log::Level::warn, fmt::format("{}{} was changed: that takes effect at the next start",
                                        config::where(*fresh, key), key));
    supervisor_->reload(std::move(*parts), fresh->log_file);
    // Settings that can not change at run time keep the values in use.
    fresh->paths_run_dir = config_.paths_run_dir;
    fresh->paths_pid_file = config_.paths_pid_file;
    fresh->listen_deliver_socket = config_.listen_deliver_socket;
    fresh->lmtp_listen = config_.lmtp_listen;
    config_ = std::move(*fresh);
    log::info({}, "the configuration was read again: users: {}, log level {}", config_.users.size(),
              config_.log_level);
    const std::vector<std::string> late = co_await supervisor_->reloaded();
    for (const std::string& process : late)
      say(log::Level::warn, fmt::format("{} has not taken the new configuration within {} s",
                                        process, kReloadLimit.count() / 1000));
    ends(late.empty() ? ipc::ReloadEnd::in_force : ipc::ReloadEnd::late);
  }

  Loop& loop_;
  const std::string file_;  // as read_config takes it
  config::Config config_;
  config::Options options_;
  EventSink& sink_;
  Starter& starter_;
  const bool daemon_;
  std::optional<PidFile> pid_file_;
  Fd base_lock_;
  Listener admin_listener_;  // until the suite serves
  std::optional<Supervisor> supervisor_;
  std::optional<AdminDoor> door_;
  bool reloading_ = false, reload_again_ = false;
  Event asked_to_stop_;
  bool serving_ = false;
  Scope scope_;  // last: its tasks use the others
};

// Descriptors 0 to 2 must be open, or the next socket would become stdin, stdout or stderr.
void fill_standard_descriptors() {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
      std::_Exit(71);
}

void raise_open_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int start(int argc, char** argv) {
  fill_standard_descriptors();
  umask(022);
  std::signal(SIGPIPE, SIG_IGN);
  crypto_init();
  tls::init();
  log::set_program("rims-controller");
  const auto got = arguments(argc, argv);
  if (!got) {
    std::fputs(kHelp, stderr);
    return kUsage;
  }
  if (got->help || got->version) {
    std::fputs(got->help ? kHelp : fmt::format("{}\n", program_version()).c_str(), stdout);
    return 0;
  }
  privdrop::hide_memory();
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fatal("PR_SET_NO_NEW_PRIVS failed");
  EventSink sink;
  log::set_sink(&sink);
  auto options = read_overrides(got->overrides);
  if (options) options->by_root = config::started_by_root();
  if (!options) {
    std::fputs("rims-controller: -O: expected KEY NUL VALUE NUL ...\n", stderr);
    return kUsage;
  }
  close_range(3, ~0u, 0);  // whatever we inherited
  log::info({}, "rims {} starts", program_version());
  const bool no_file = got->file.empty() && got->overrides >= 0;
  auto file = no_file ? Result<std::string>("") : config::locate(got->file);
  if (file && !file->empty()) *file = std::filesystem::absolute(*file).string();
  auto config =
      file ? read_config(*file, *options) : Result<config::Config>(std::unexpected(file.error()));
  if (!config) {
    say_each_line(log::Level::fatal, config.error().detail());
    return kConfig;
  }
  log::info({}, "configuration {}: users: {}, mail in {}, log {} at level {}", config->file,
            config->users.size(), config->base_dir, config->log_file, config->log_level);
  for (const std::string& warning : config->warnings) log::warn({}, "{}", warning);
  if (got->daemon && !sink.has_syslog())
    log::warn({},
              "no syslog is there (/dev/log): what goes wrong is told in {} alone, and not at all "
              "while rims-log cannot write",
              config->log_file);
  raise_open_files();
  Starter starter;
  if (got->daemon) starter.detach();
  Loop loop;
  Controller controller(loop, std::move(*file), std::move(*config), std::move(*options), sink,
                        starter, got->daemon);
  const int status = controller.run();
  log::set_sink(nullptr);
  return status;
}

}  // namespace
}  // namespace rims::controller

int main(int argc, char** argv) { return rims::controller::start(argc, argv); }
