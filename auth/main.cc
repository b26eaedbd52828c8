// auth/main.cc - rims-auth: knows the users and their passwords, answers who may log in
//
//   Runs as    _rimsauth; its row is in common/privdrop/process_table.h
//   Talks to   rims-login and rims-deliverd (which ask), rims-imapd (which is told tickets),
//   rims-ctl
//              (which changes users)
//   Holds      the directory of the users, and no other file
//   Must not   listen, read mail

#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "auth/directory.h"
#include "auth/server.h"
#include "common/base/encoding.h"
#include "common/base/errno_text.h"
#include "common/base/log.h"
#include "common/names/names.h"
#include "common/privdrop/process_table.h"
#include "common/process/child.h"

namespace {

using namespace rims;

// Before the rights are given up, as what is above it may be closed to this program then.
Fd open_directory(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) fatal("rims-auth: " + path + ": " + errno_text(errno));
  return fd;
}

// Whoever else could write there could make a user, or put another directory in place of it.
void check_owner(const Fd& directory, const std::string& path) {
  struct stat st{};
  if (fstat(directory.get(), &st) != 0) fatal("rims-auth: " + path + ": " + errno_text(errno));
  if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
    fatal("rims-auth: " + path +
          " must belong to the user of rims-auth, and nobody else may write there");
}

}  // namespace

int main(int argc, char** argv) {
  process::take_arguments(argc, argv, privdrop::kAuthRow);
  log::set_program("rims-auth");
  crypto_init();
  // Nothing may be read from disk later: neither OpenSSL's configuration nor Unicode tables.
  OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  names::load_tables();

  Loop loop;
  process::Child child(loop, privdrop::kAuthRow);
  process::Start start = child.wait_for_start();
  auto part = ipc::decode<config::AuthPart>(start.config);
  wipe(start.config);
  if (!part) fatal("rims-auth: its configuration does not decode");
  log::set_level(static_cast<log::Level>(part->level));
  const std::string path = part->user_directory.value;
  Fd base = open_directory(path);
  child.enter();
  check_owner(base, path);

  const auto wall = [] { return static_cast<uint64_t>(std::time(nullptr)); };
  auth::Directory directory(loop, std::move(base), path, wall);
  // What is wrong with it is logged; the users of the configuration can log in.
  (void)run(loop, directory.open());
  auth::Server server(loop, std::move(*part), start.workers, &Loop::now, &directory);
  const auto attach = [&server](process::Attached given) {
    if (given.channel == ipc::Channel::admin) server.attach_admin(std::move(given.end));
    if (given.channel == ipc::Channel::link)
      server.attach(given.peer, given.index, std::move(given.end));
  };
  for (process::Attached& given : start.attached) attach(std::move(given));
  const auto reload = [&server](std::string bytes) {
    auto fresh = ipc::decode<config::AuthPart>(bytes);
    wipe(bytes);
    if (!fresh) fatal("rims-auth: its new configuration does not decode");
    log::set_level(static_cast<log::Level>(fresh->level));
    server.reload(std::move(*fresh));
  };
  child.ready({.attach = attach, .reload = reload, .stop = [&loop] { loop.stop(); }});
  loop.run();
  return 0;
}
