// tests/controller/fake_child.cc - stands in for every program of the suite
//
// What it does is its configuration part, which the test chooses by role:
//   ""              becomes ready, ends when told
//   "exit N"        ends before it is ready
//   "mute"          never becomes ready
//   "once FILE"     ends with 3 after Ready, but only while FILE does not exist (it makes it)
//   "crash"         becomes ready (or is reloaded with this), then SIGSEGV
//   "lie"           says Ready twice, and does not end when told
//   "babble"        sends a message the controller does not take, and stays
//   "stubborn"      does not end when told
//   "lose PEER.I"   says that its link to this peer is lost
//   "lose twice"    says twice of one link that it is lost
// It appends to the file "events" in its working directory: "NAME/INDEX what".

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <map>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/core.h>

#include "common/privdrop/process_table.h"
#include "common/process/child.h"

namespace {

using namespace rims;

std::string name;
uint32_t number = 0;
bool stubborn = false;
std::map<std::string, std::function<void()>> lose;  // by "auth.0": what to call when it is lost

void note(const std::string& what) {
  const Fd fd(open("events", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  const std::string line = fmt::format("{}/{} {}\n", name, number, what);
  if (write(fd.get(), line.data(), line.size()) < 0) std::_Exit(90);
}

// Datagrams on the control link that Child would never send.
void send_raw(uint16_t type) {
  const char bytes[2] = {static_cast<char>(type >> 8), static_cast<char>(type)};
  if (send(ipc::kControlFd, bytes, sizeof bytes, 0) < 0) std::_Exit(91);
}

const privdrop::Row& own_row() {
  for (const privdrop::Row* row : privdrop::kProcessTable)
    if (name == row->binary) return *row;
  std::_Exit(92);
}

void take(const process::Attached& a) {
  if (a.end.ended) lose[fmt::format("{}.{}", ipc::role_name(a.peer) + 5, a.index)] = a.end.ended;
}

void act(const std::string& behaviour) {
  stubborn = behaviour == "stubborn" || behaviour == "lie" || behaviour == "babble";
  if (behaviour == "crash") {
    std::signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  }
  if (behaviour.starts_with("once ") && access(behaviour.c_str() + 5, F_OK) != 0) {
    close(open(behaviour.c_str() + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    std::_Exit(3);
  }
  if (behaviour.starts_with("lose ") && lose.contains(behaviour.substr(5)))
    lose[behaviour.substr(5)]();
  if (behaviour == "lose twice") {
    lose.begin()->second();
    lose.begin()->second();
  }
  if (behaviour == "lie") send_raw(static_cast<uint16_t>(ipc::ControlMsg::ready));
  if (behaviour == "babble") send_raw(999);
  if (behaviour == "reloaded") send_raw(static_cast<uint16_t>(ipc::ControlMsg::reloaded));
}

}  // namespace

int main(int, char** argv) {
  name = argv[0];
  Loop loop;
  process::Child child(loop, own_row());
  process::Start start = child.wait_for_start();
  number = start.index;
  std::string behaviour = start.config;
  if (behaviour.starts_with("exit ")) std::_Exit(std::atoi(behaviour.c_str() + 5));
  if (behaviour == "mute") {
    note("mute");
    loop.run();
  }
  std::string links;
  for (const auto& a : start.attached) take(a);
  for (const auto& a : start.attached)
    links += a.channel == ipc::Channel::link
                 ? fmt::format(" {}.{}", ipc::role_name(a.peer) + 5, a.index)
                 : fmt::format(" socket{}", static_cast<int>(a.channel));
  note(fmt::format("start pid {} links{}", getpid(), links));
  child.ready({.attach =
                   [](const process::Attached& a) {
                     take(a);
                     note(fmt::format("attach {}.{}", ipc::role_name(a.peer) + 5, a.index));
                   },
               .reload =
                   [](std::string part) {
                     note("reload " + part);
                     act(part);
                   },
               .stop =
                   [&] {
                     note("stop");
                     if (!stubborn) loop.stop();
                   }});
  loop.post([&] { loop.post([&] { act(behaviour); }); });  // after Ready
  loop.run();
  return 0;
}
