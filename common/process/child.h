// common/process/child.h - what the main function of every program but the controller shares
//
//   int main(int argc, char** argv) {
//     process::take_arguments(argc, argv, kMyRow);
//     Loop loop;
//     process::Child child(loop, kMyRow);           // fd 3 is the control link
//     process::Start start = child.wait_for_start(); // configuration, first links; blocks
//     ... decode start.config, take start.attached ...
//     child.enter();                                 // privdrop; fatal unless complete
//     child.ready({.attach = ..., .reload = ..., .stop = ...});
//     loop.run();
//   }
//
// Also: the log sink that sends lines to rims-log (a full or dead link drops and counts lines),
// SIGPIPE ignored, SIGINT ignored (the terminal's ^C is for the controller), and the end of the
// control link taken as Stop: no child outlives its controller.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/async/loop.h"
#include "common/async/scope.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/ipc/control_link.h"
#include "common/privdrop/privdrop.h"

namespace rims::process {

struct Attached {
  ipc::Channel channel = ipc::Channel::link;
  ipc::Role peer = ipc::Role::controller;
  uint32_t index = 0;
  ipc::End end;  // of a link; or a socket
};

struct Start {
  uint32_t index = 0;    // which of the role's processes this is
  uint32_t workers = 0;  // how many rims-imapd there are
  bool privileged = false;
  std::string config;              // encoded part, see common/config/parts.h
  std::vector<Attached> attached;  // without the link to rims-log, which Child keeps
};

struct Handlers {
  std::function<void(Attached)> attach;                    // a new or replaced link or socket
  std::function<void(std::string)> reload;                 // a new configuration part
  std::function<void()> stop;                              // finish and leave the loop soon
  std::function<void(log::Level, std::string)> tell = {};  // rims-log: a line of the controller
};

// The first line of main: answers -h, --help, -V and --version, and refuses every other argument;
// then the process ends.
void take_arguments(int argc, const char* const* argv, const privdrop::Row& row);

class Child {
 public:
  Child(Loop& loop, const privdrop::Row& row);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  [[nodiscard]] Start wait_for_start();
  void enter();
  void ready(Handlers handlers);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rims::process
