// tests/fuzz/session_fuzz.cc - a whole session: any bytes of a logged-in client
//
// Properties: the session ends when the client does; every response is a line of the protocol with
// its literals whole; the account keeps its invariants; and what a new session sees afterwards is
// what the store holds.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/imapd/stage.h"

namespace {

using namespace rims;
using namespace rims::test;

constexpr size_t kMaxInput = 64 * 1024;  // what a socket's buffer takes at once

void require(bool holds) {
  if (!holds) std::abort();
}

// "* ", "+ " or a tag that the client could have sent.
bool is_response(std::string_view line) {
  return line.starts_with("* ") || line.starts_with("+ ") || line.find(' ') != std::string::npos;
}

Task<void> play(Stage& stage, std::string input) {
  const auto reply = co_await stage.deliver("foo", "INBOX", standard_message(1));
  require(reply.status == ipc::Delivery::delivered);
  auto client = co_await stage.log_in("foo");
  co_await client->send(std::move(input));
  client->finish();
  while (const auto line = co_await client->line()) require(is_response(*line));
  const auto account = co_await stage.store->open("foo");
  require(account.has_value());
  const auto problems = co_await (*account)->check();
  require(problems && problems->empty());
  auto again = co_await stage.log_in("foo");
  const auto lines = co_await again->command("z", "LIST \"\" *");
  require(lines.back() == "z OK LIST completed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  log::set_level(log::Level::fatal);
  if (size > kMaxInput) return 0;
  Stage stage;
  stage.settings.message_size_max = 32 * 1024;
  stage.start();
  run(stage.loop, play(stage, std::string(reinterpret_cast<const char*>(data), size)));
  run(stage.loop, stage.stop());
  return 0;
}
