// controller/sockets.cc - ports, the socket of rims-deliver, directories, the pid file

#include "controller/sockets.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>

#include "common/base/errno_text.h"
#include "common/config/root_paths.h"
#include "common/ipc/admin_link.h"
#include "common/privdrop/privdrop.h"
#include "controller/places.h"

namespace rims::controller {
namespace {

std::unexpected<Error> refused(std::string why) { return fail(Fault::refused, std::move(why)); }

std::unexpected<Error> refused_errno(std::string what, int error) {
  return refused(std::move(what) + ": " + errno_text(error));
}

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  std::string text;
};

std::optional<Address> numeric(const std::string& host, uint16_t port) {
  Address a;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&a.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&a.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    a.length = sizeof *v4;
    a.text = host;
    return a;
  }
  a = {};
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    a.length = sizeof *v6;
    a.text = "[" + host + "]";
    return a;
  }
  return std::nullopt;
}

// Runs in a child without rights: writes the name's addresses as lines of text.
[[noreturn]] void resolve_in_child(const std::string& host, int out) {
  constexpr uid_t kNobody = 65534;
  if (geteuid() == 0) privdrop::become(kNobody, kNobody);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) std::_Exit(1);
  std::string lines;
  for (const addrinfo* a = found; a; a = a->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      lines += std::string(text) + "\n";
  }
  if (lines.size() > 4096) lines.resize(4096);  // less than a pipe holds: one write
  std::_Exit(::write(out, lines.data(), lines.size()) == static_cast<ssize_t>(lines.size()) ? 0
                                                                                            : 1);
}

std::vector<Address> resolve(const std::string& host, uint16_t port) {
  if (auto direct = numeric(host, port)) return {*direct};
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  const Fd in(ends[0]);
  Fd out(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return {};
  if (pid == 0) resolve_in_child(host, out.get());
  out.reset();
  std::string lines;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(in.get(), buffer, sizeof buffer)) > 0;)
    lines.append(buffer, static_cast<size_t>(got));
  waitpid(pid, nullptr, 0);
  std::vector<Address> all;
  for (size_t at = 0; at < lines.size();) {
    const size_t end = lines.find('\n', at);
    if (end == std::string::npos) break;
    if (auto a = numeric(lines.substr(at, end - at), port)) all.push_back(*a);
    at = end + 1;
  }
  return all;
}

uint16_t bound_port(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return 0;
  if (storage.ss_family == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

// Bound, and not listening: whoever only looks must not take a connection. `error`: an errno, also
// where the result has none of it.
Result<Fd> bind_to(const Address& address, bool both_families, int& error) {
  error = 0;
  Fd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    error = errno;
    return refused_errno("socket", error);
  }
  const int on = 1, only6 = both_families ? 0 : 1;
  if (setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
    return refused_errno("SO_REUSEADDR", errno);
  if (address.storage.ss_family == AF_INET6 &&
      setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof only6) != 0)
    return refused_errno("IPV6_V6ONLY", errno);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    error = errno;
    return refused_errno("bind", error);
  }
  return fd;
}

// The kernel has no IPv6, a sandbox forbids it, or it is switched off.
bool lacks_ipv6(const Address& address, int error) {
  return address.storage.ss_family == AF_INET6 && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL);
}

// All sockets of a port, bound. Where IPv6 is off, "::" means IPv4 alone, and a host name those of
// its addresses that there are; `remarks` tells.
Status bind_port(const config::Config& config, std::string_view key, ipc::Channel channel,
                 uint16_t port, std::vector<Listener>& all, std::set<std::string>& remarks) {
  const bool both_families = config.imap_host == "::";
  std::vector<Address> addresses = resolve(config.imap_host, port);
  if (addresses.empty())
    return refused(fmt::format("{}imap_host: \"{}\" is not an address and not a known host name",
                               config::where(config, "imap_host"), config.imap_host));
  const bool has_other = std::ranges::any_of(
      addresses, [](const Address& address) { return address.storage.ss_family == AF_INET; });
  uint32_t index = 0;
  for (size_t i = 0; i < addresses.size(); i++) {
    const Address address = addresses[i];
    int error = 0;
    auto fd = bind_to(address, both_families, error);
    if (!fd && lacks_ipv6(address, error) && (both_families || has_other)) {
      remarks.insert(
          fmt::format("{}imap_host: \"{}\": IPv6 is off on this machine ({}), so only "
                      "IPv4 is listened on",
                      config::where(config, "imap_host"), config.imap_host, fd.error().reply()));
      if (both_families) addresses.push_back(*numeric("0.0.0.0", port));
      continue;
    }
    if (!fd)
      return refused(fmt::format(
          "{}{}: cannot listen on {}:{}: {}{}", config::where(config, key), key, address.text, port,
          fd.error().reply(),
          port != 0 && port < 1024 && geteuid() != 0 ? " (ports below 1024 are root's)" : ""));
    const uint16_t bound = bound_port(fd->get());
    all.push_back({.channel = channel,
                   .index = index++,
                   .name = fmt::format("{}:{}", address.text, bound),
                   .port = bound,
                   .fd = std::move(*fd)});
  }
  return {};
}

}  // namespace

Result<std::string> prepare_empty_dir(const std::string& run_dir, bool privileged) {
  if (!privileged) return std::string();
  std::string path = run_dir + std::string(ipc::kEmptyRoot);
  TRY_STATUS(make_directory(path, 0555));
  TRY_STATUS(config::only_root_may_change(path));
  return path;
}

Result<std::vector<Listener>> open_ports(const config::Config& config,
                                         std::set<std::string>& remarks) {
  std::vector<Listener> all;
  TRY_STATUS(bind_port(config, "imap_port", ipc::Channel::listen_imap, config.imap_port.value_or(0),
                       all, remarks));
  if (config.listen_imaps_port) {
    TRY_STATUS(bind_port(config, "listen.imaps_port", ipc::Channel::listen_imaps,
                         *config.listen_imaps_port, all, remarks));
  }
  for (const Listener& listener : all)
    if (listen(listener.fd.get(), SOMAXCONN) != 0)
      return refused_errno("listen on " + listener.name, errno);
  return all;
}

Status ports_are_free(const config::Config& config, const std::set<uint16_t>& own,
                      std::set<std::string>& remarks) {
  std::string problems;
  const auto look = [&](std::string_view key, ipc::Channel channel, uint16_t port) {
    std::vector<Listener> bound;
    if (own.contains(port)) return;
    if (const Status free = bind_port(config, key, channel, port, bound, remarks); !free)
      problems += (problems.empty() ? "" : "\n") + free.error().reply();
  };
  look("imap_port", ipc::Channel::listen_imap, config.imap_port.value_or(0));
  if (config.listen_imaps_port)
    look("listen.imaps_port", ipc::Channel::listen_imaps, *config.listen_imaps_port);
  if (problems.empty()) return {};
  return refused(std::move(problems));
}

namespace {

constexpr const char* kDeliverKey = "listen.deliver_socket";

Result<sockaddr_un> address_of(const std::string& key, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return refused(key + ": " + path + " is too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// `type`: SOCK_SEQPACKET or SOCK_STREAM.
Status socket_is_free(const std::string& key, const std::string& path, int type) {
  TRY(const sockaddr_un address, address_of(key, path));
  const Fd probe(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return refused_errno("socket", errno);
  // EAGAIN: the queue is full, so somebody listens. EPROTOTYPE: somebody who speaks another way.
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN || errno == EPROTOTYPE)
    return refused(key + ": another server listens on " + path);
  if (errno == ENOENT) return {};
  if (errno != ECONNREFUSED) return refused_errno(key + ": " + path, errno);
  struct stat st{};
  if (lstat(path.c_str(), &st) == 0 && !S_ISSOCK(st.st_mode))
    return refused(key + ": " + path + " exists and is not a socket");
  return {};
}

Result<Fd> open_local_socket(const std::string& key, const std::string& path, uint32_t mode,
                             std::optional<uint32_t> group, int type = SOCK_SEQPACKET) {
  TRY(const sockaddr_un address, address_of(key, path));
  TRY_STATUS(socket_is_free(key, path, type));
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return refused_errno("unlink " + path, errno);

  Fd fd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return refused_errno("socket", errno);
  const mode_t before = umask(static_cast<mode_t>(~mode & 0777));
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  umask(before);
  if (bound != 0) return refused_errno(key + ": bind " + path, error);
  if (group && lchown(path.c_str(), static_cast<uid_t>(-1), *group) != 0)
    return refused_errno(fmt::format("listen.deliver_socket_group: chgrp {} {}", *group, path),
                         errno);
  if (listen(fd.get(), SOMAXCONN) != 0) return refused_errno("listen " + path, errno);
  return fd;
}

constexpr const char* kLmtpKey = "lmtp.listen";

// Bound, and not listening.
Result<Fd> bind_lmtp(const config::Config& config, const config::ListenPlace& place) {
  int error = 0;
  auto fd = bind_to(*numeric(place.host, place.port), false, error);
  if (fd) return fd;
  return refused(fmt::format("{}{}: cannot listen on {}:{}: {}{}", config::where(config, kLmtpKey),
                             kLmtpKey, place.host, place.port, fd.error().reply(),
                             place.port != 0 && place.port < 1024 && geteuid() != 0
                                 ? " (ports below 1024 are root's)"
                                 : ""));
}

}  // namespace

Result<std::vector<Listener>> open_lmtp(const config::Config& config,
                                        std::optional<uint32_t> group) {
  std::vector<Listener> all;
  for (const config::ListenPlace& place : config.lmtp_listen) {
    Listener listener{.channel = ipc::Channel::listen_lmtp,
                      .index = static_cast<uint32_t>(all.size())};
    if (place.path.empty()) {
      TRY(listener.fd, bind_lmtp(config, place));
      if (listen(listener.fd.get(), SOMAXCONN) != 0)
        return refused_errno("listen on " + place.host, errno);
      listener.port = bound_port(listener.fd.get());
      listener.name = fmt::format("{}:{}", numeric(place.host, 0)->text, listener.port);
    } else {
      TRY(listener.fd, open_local_socket(kLmtpKey, place.path, config.listen_deliver_socket_mode,
                                         group, SOCK_STREAM));
      listener.name = place.path;
    }
    all.push_back(std::move(listener));
  }
  return all;
}

Status lmtp_is_free(const config::Config& config, bool running, const std::set<uint16_t>& own) {
  std::string problems;
  const auto note = [&problems](const Error& found) {
    problems += (problems.empty() ? "" : "\n") + found.reply();
  };
  for (const config::ListenPlace& place : config.lmtp_listen) {
    if (!place.path.empty()) {
      if (running) continue;
      if (const Status free = socket_is_free(kLmtpKey, place.path, SOCK_STREAM); !free)
        note(free.error());
    } else if (!own.contains(place.port) && (!running || !own.empty())) {
      if (const auto bound = bind_lmtp(config, place); !bound) note(bound.error());
    }
  }
  if (problems.empty()) return {};
  return refused(std::move(problems));
}

Status deliver_socket_is_free(const std::string& path) {
  return socket_is_free(kDeliverKey, path, SOCK_SEQPACKET);
}

bool admin_socket_fits(const std::string& run_dir) {
  return run_dir.size() + 1 + std::strlen(ipc::kAdminSocket) < sizeof(sockaddr_un::sun_path);
}

Result<Listener> open_admin_socket(const std::string& run_dir) {
  const std::string path = run_dir + "/" + ipc::kAdminSocket;
  if (!admin_socket_fits(run_dir)) return Listener();
  TRY(Fd fd, open_local_socket("paths.run_dir", path, 0600, std::nullopt));
  return Listener{
      .channel = ipc::Channel::admin, .index = 0, .name = path, .port = 0, .fd = std::move(fd)};
}

Result<Listener> open_deliver_socket(const std::string& path, uint32_t mode,
                                     std::optional<uint32_t> group) {
  TRY(Fd fd, open_local_socket(kDeliverKey, path, mode, group));
  return Listener{.channel = ipc::Channel::listen_deliver,
                  .index = 0,
                  .name = path,
                  .port = 0,
                  .fd = std::move(fd)};
}

Result<PidFile> PidFile::take(const std::string& path) {
  for (;;) {
    Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0644));
    if (!fd) return refused_errno("paths.pid_file: cannot open " + path, errno);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      char text[16] = {};
      if (pread(fd.get(), text, sizeof text - 1, 0) < 0) text[0] = '\0';
      return refused(
          fmt::format("the suite is running already, with process {} ({})", std::atoi(text), path));
    }
    // The process that held the lock may have removed the file in between.
    struct stat ours{}, named{};
    if (fstat(fd.get(), &ours) == 0 && stat(path.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev)
      return PidFile(path, std::move(fd));
  }
}

Status PidFile::write() {
  const std::string text = fmt::format("{}\n", getpid());
  if (ftruncate(fd_.get(), 0) != 0 ||
      pwrite(fd_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return refused_errno("cannot write " + path_, errno);
  return {};
}

PidFile::~PidFile() {
  if (fd_) unlink(path_.c_str());
}

Status write_ports(const std::string& run_dir, const std::vector<Listener>& ports) {
  std::string text;
  for (const Listener& l : ports) {
    // All of them: rims-ctl check asks which ports are ours.
    if (l.channel == ipc::Channel::listen_lmtp && l.port != 0)
      text += fmt::format("lmtp {}\n", l.port);
    if (l.index != 0) continue;
    if (l.channel == ipc::Channel::listen_imap) text += fmt::format("imap {}\n", l.port);
    if (l.channel == ipc::Channel::listen_imaps) text += fmt::format("imaps {}\n", l.port);
  }
  const std::string path = run_dir + "/ports", fresh = path + ".new";
  unlink(fresh.c_str());
  const Fd fd(open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      std::rename(fresh.c_str(), path.c_str()) != 0)
    return refused_errno("cannot write " + path, errno);
  return {};
}

void remove_ports(const std::string& run_dir) { unlink((run_dir + "/ports").c_str()); }

}  // namespace rims::controller
