// deliver/client_main.cc - rims-deliver: the pipe command of an MTA
//
//   Runs as  whatever user the MTA gives it; once per message; no rights of its own
//   Trusts   neither its arguments, its environment, the descriptors it inherits nor its input
//   Promise  status 0 means durable. Whatever is doubtful, also a signal and the lack of memory,
//            is EX_TEMPFAIL, so that the MTA keeps the mail
//   Tests    tests/deliver/client_test.cc, tests/system/deliver_test.py, tests/clients/mta_test.py

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "common/config/config.h"
#include "common/config/locate.h"
#include "common/config/running.h"
#include "common/ipc/sealed.h"
#include "common/mail/trace_fields.h"
#include "deliver/arguments.h"
#include "deliver/intake.h"
#include "deliver/submit.h"

namespace rims::deliver {
namespace {

// rims-deliverd checks the real limit; this one only keeps an endless input from using up the
// machine's memory.
constexpr uint64_t kInputMax = uint64_t{1} << 30;
// Where the socket is when the configuration may not be read: it holds passwords, so the MTA's
// user usually may not.
constexpr const char* kUsualSocket = "/run/rims/deliver.sock";
constexpr const char* kUsualRunDir = "/run/rims";

[[noreturn]] void end(const Ending& ending) {
  if (!ending.reason.empty()) {
    const char* by = ending.reason.starts_with(kMailboxFull) ? "" : "rims-deliver: ";
    const std::string line = by + log::printable(ending.reason, 500) + "\n";
    if (write(STDERR_FILENO, line.data(), line.size()) < 0) _exit(ending.status);
  }
  _exit(ending.status);
}

// Only async-signal-safe calls.
extern "C" void end_by_signal(int) {
  constexpr char kLine[] = "rims-deliver: ended by a signal\n";
  if (write(STDERR_FILENO, kLine, sizeof kLine - 1) < 0) _exit(EX_TEMPFAIL);
  _exit(EX_TEMPFAIL);
}

// There is one thread, and nobody changes the environment.
const char* environment_value(const char* name) {
  return getenv(name);  // NOLINT(concurrency-mt-unsafe)
}

// True when standard input was open.
bool harden() {
  const bool has_input = fcntl(STDIN_FILENO, F_GETFD) >= 0;
  // Otherwise the next open gets number 0, 1 or 2, and text for stderr would be written to that
  // file.
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
      _exit(EX_TEMPFAIL);
  close_range(3, ~0U, 0);  // an MTA's queue files and sockets
  umask(077);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  struct sigaction action{};
  action.sa_handler = end_by_signal;
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGXCPU, SIGUSR1, SIGUSR2})
    sigaction(number, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
  sigaction(SIGXFSZ, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  std::set_new_handler([] { end({EX_TEMPFAIL, "out of memory"}); });
  return has_input;
}

Arguments arguments_or_end(int argc, char** argv) {
  const Environment environment = [](std::string_view name) -> std::optional<std::string> {
    const char* value = environment_value(std::string(name).c_str());
    if (!value) return std::nullopt;
    return std::string(value);
  };
  const std::span<const char* const> args(argv, static_cast<size_t>(argc));
  auto read = read_arguments(args.empty() ? args : args.subspan(1), environment);
  if (const auto* ending = std::get_if<Ending>(&read)) end(*ending);
  return std::move(std::get<Arguments>(read));
}

// Ends where a suite runs in `run_dir`, but with another configuration than `named`.
void expect_suite_of(const std::string& named, const std::string& run_dir) {
  const auto with = config::running_with(run_dir);
  if (with && !config::is_same_file(*with, named))
    end({EX_TEMPFAIL, fmt::format("the suite of {} runs with the configuration {}, not {}", run_dir,
                                  *with, named)});
}

// The socket of root's suite.
std::string usual_socket_for(const std::string& named) {
  expect_suite_of(named, kUsualRunDir);
  return kUsualSocket;
}

// Only root's files start a suite of root (common/config/root_paths.h).
bool is_of_root(const std::string& file) {
  struct stat st{};
  return stat(file.c_str(), &st) == 0 && st.st_uid == 0;
}

std::string socket_or_end(const Arguments& args) {
  // When the program is set-group-ID, its caller may not choose what it reads or connects to.
  const bool borrowed = getauxval(AT_SECURE) != 0;
  if (borrowed && (!args.config.empty() || !args.socket.empty()))
    end({EX_NOPERM, "-c and -S are not allowed when rims-deliver is set-user-ID or set-group-ID"});
  if (!args.socket.empty()) return args.socket;
  if (borrowed) return kUsualSocket;
  const char* environment = environment_value("RIMS_CONFIG");
  const std::string named = !args.config.empty() ? args.config : environment ? environment : "";
  const auto forbidden = [](const std::string& path) {
    return access(path.c_str(), R_OK) < 0 && (errno == EACCES || errno == EPERM);
  };
  if (!named.empty() && forbidden(named)) return usual_socket_for(named);
  const auto file = config::locate(args.config);
  // A file that was named must exist. When none was named, the configuration may be where this user
  // can not read it.
  if (!file && !named.empty()) end({EX_CONFIG, file.error().reply()});
  if (!file) return kUsualSocket;
  if (forbidden(*file)) return usual_socket_for(*file);
  const auto config = config::load(*file, {.need_users = false});
  // Perhaps it is being edited: try again.
  if (!config) end({EX_TEMPFAIL, config.error().reply()});
  // The suite of root has it in another place by default than that of a user (config.h).
  const bool chosen = config->positions.contains("listen.deliver_socket") ||
                      config->positions.contains("paths.run_dir");
  if (!chosen && is_of_root(*file) && access(config->listen_deliver_socket.c_str(), F_OK) != 0)
    return usual_socket_for(*file);
  expect_suite_of(*file, config->paths_run_dir);
  return config->listen_deliver_socket;
}

Ending deliver_to(const std::string& recipient, const Arguments& args, const std::string& socket,
                  const std::string& message, uint64_t request) {
  const auto memfd = ipc::sealed_copy(
      args.trace_fields ? store::trace_fields(args.sender, recipient) + message : message,
      "message");
  if (!memfd) return {EX_TEMPFAIL, memfd.error().detail()};
  return submit(socket, submission(args, recipient, request), memfd->get(),
                std::chrono::seconds(args.time_limit_s));
}

[[noreturn]] void run(int argc, char** argv) {
  const bool has_input = harden();
  const Arguments args = arguments_or_end(argc, argv);
  if (args.help || args.version) {
    const std::string text(args.help ? usage()
                                     : "rims-deliver " + std::string(program_version()) + "\n");
    _exit(write(STDOUT_FILENO, text.data(), text.size()) < 0 ? EX_IOERR : EX_OK);
  }
  if (!has_input) end({EX_TEMPFAIL, "standard input is closed"});
  const std::string socket = socket_or_end(args);
  auto raw = read_to_end(STDIN_FILENO, kInputMax);
  if (!raw)
    end({raw.error().fault() == Fault::limit ? EX_DATAERR : EX_TEMPFAIL, raw.error().detail()});
  const std::string message = stored_form(*std::move(raw));
  if (message.empty()) end({EX_DATAERR, "the message is empty"});

  std::vector<Ending> endings;
  endings.reserve(args.recipients.size());
  for (const std::string& recipient : args.recipients)
    endings.push_back(deliver_to(recipient, args, socket, message, endings.size() + 1));
  Ending all = combine(args.recipients, endings);
  if (all.status == EX_OK) all.reason.clear();
  end(all);
}

}  // namespace
}  // namespace rims::deliver

int main(int argc, char** argv) { rims::deliver::run(argc, argv); }
