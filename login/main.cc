// login/main.cc - rims-login: clients before their login, and all TLS
//
//   Runs as    _rimslogin, empty chroot; its row is in common/privdrop/process_table.h
//   Talks to   the network, rims-auth (which it asks), rims-imapd (which it hands clients to)
//   Must not   open a file, connect, start a thread, read mail or stored passwords

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/privdrop/process_table.h"
#include "common/process/child.h"
#include "common/tls/tls.h"
#include "login/server.h"

namespace {

using namespace rims;

Result<std::shared_ptr<const login::Settings>> settings_of(std::string& bytes) {
  auto part = ipc::decode<config::LoginPart>(bytes);
  wipe(bytes);
  if (!part) fatal("rims-login: its configuration does not decode");
  log::set_level(static_cast<log::Level>(part->level));
  return login::Settings::make(std::move(*part));
}

}  // namespace

int main(int argc, char** argv) {
  process::take_arguments(argc, argv, privdrop::kLoginRow);
  log::set_program("rims-login");
  crypto_init();
  tls::init();

  Loop loop;
  process::Child child(loop, privdrop::kLoginRow);
  process::Start start = child.wait_for_start();
  auto settings = settings_of(start.config);
  if (!settings) fatal("rims-login: " + settings.error().reply());
  child.enter();

  login::Server server(loop, std::move(*settings), start.index);
  const auto attach = [&server](process::Attached given) {
    if (given.channel == ipc::Channel::link)
      server.attach(given.peer, given.index, std::move(given.end));
    else if (given.channel == ipc::Channel::admin)
      server.attach_admin(std::move(given.end));
    else if (given.channel != ipc::Channel::listen_deliver)
      server.listen(given.channel == ipc::Channel::listen_imaps, given.index,
                    std::move(given.end.fd));
  };
  for (process::Attached& given : start.attached) attach(std::move(given));
  const auto reload = [&server](std::string bytes) {
    auto fresh = settings_of(bytes);
    if (fresh)
      server.reload(std::move(*fresh));
    else
      log::error({}, "the new certificate is not used: {}", fresh.error().reply());
  };
  const auto stop = [&] { server.stop([&loop] { loop.stop(); }); };
  child.ready({.attach = attach, .reload = reload, .stop = stop});
  loop.run();
  return 0;
}
