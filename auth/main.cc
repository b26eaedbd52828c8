// auth/main.cc - rims-auth: knows the users and their passwords, answers who may log in
//
//   Runs as    _rimsauth, empty chroot; its row is in common/privdrop/process_table.h
//   Talks to   rims-login and rims-deliverd (which ask), rims-imapd (which is told tickets)
//   Must not   listen, open a file, read mail

#include <openssl/crypto.h>

#include "auth/server.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/names/names.h"
#include "common/privdrop/process_table.h"
#include "common/process/child.h"

int main(int argc, char** argv) {
  using namespace rims;
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
  child.enter();

  auth::Server server(loop, std::move(*part), start.workers);
  const auto attach = [&server](process::Attached given) {
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
