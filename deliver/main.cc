// deliver/main.cc - rims-deliverd
//
//   Runs as  _rimsdeliver, in an empty chroot, started by rims-controller
//   Holds    the socket of rims-deliver, links to rims-auth and to every rims-imapd
//   May not  open an account, or any file

#include <utility>

#include "common/config/parts.h"
#include "common/privdrop/process_table.h"
#include "common/process/child.h"
#include "deliver/service.h"

int main(int argc, char** argv) {
  using namespace rims;
  process::take_arguments(argc, argv, privdrop::kDeliverdRow);
  Loop loop;
  process::Child child(loop, privdrop::kDeliverdRow);
  process::Start start = child.wait_for_start();
  auto part = ipc::decode<config::DeliverdPart>(start.config);
  if (!part) fatal("rims-deliverd: the configuration does not decode");
  child.enter();

  log::set_level(static_cast<log::Level>(part->level));
  deliver::Service service(loop, *part, start.workers);
  for (process::Attached& attached : start.attached) service.attach(std::move(attached));
  child.ready({
      .attach = [&](process::Attached attached) { service.attach(std::move(attached)); },
      .reload =
          [&](const std::string& config) {
            const auto fresh = ipc::decode<config::DeliverdPart>(config);
            if (!fresh) fatal("rims-deliverd: the configuration does not decode");
            log::set_level(static_cast<log::Level>(fresh->level));
            service.reload(*fresh);
          },
      .stop = [&] { service.stop([&] { loop.stop(); }); },
  });
  loop.run();
  return 0;
}
