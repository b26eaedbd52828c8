// tests/imapd/stage.h - a worker with its store in memory, and clients that talk to it over socket
// pairs, all on one loop
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "common/index/key_value.h"
#include "common/index/memory_key_value.h"
#include "common/journal/disk.h"
#include "imapd/imap/protocol.h"
#include "imapd/session/connection.h"
#include "imapd/worker/worker.h"
#include "tests/support/memory_journal.h"

namespace rims::test {

// So long a reply may take before the test fails; never waited for when all is well.
inline constexpr Milliseconds kPatience{20'000};

class TestClient {
 public:
  TestClient(Loop& loop, Fd fd) { connection_.emplace(loop, std::move(fd), kPatience); }
  Task<void> send(std::string bytes);
  Task<void> send_slowly(std::string bytes);
  // The next response with its literals, escaped (script.h), without its CRLF. nullopt at the end
  // of the connection, or when nothing came.
  Task<std::optional<std::string>> line();
  // Sends "tag text" and returns all lines up to the tagged one.
  Task<std::vector<std::string>> command(std::string tag, std::string text);
  // Sends COMPRESS, and from its OK on compressed bytes; false when there is no OK.
  Task<bool> compress();
  // From here on, without a command.
  void compress_now() { connection_->compress(); }
  // Bytes for the socket itself, for whoever compresses them differently.
  Task<void> send_as_it_is(std::string bytes);
  // Says that nothing more will come; what the worker still says can be read.
  void finish();
  // Takes the socket away, as a client that dies.
  void close() { connection_.reset(); }

 private:
  // Waits for bytes.
  Task<Status> fill();

  std::optional<imapd::Connection> connection_;
};

class Stage {
 public:
  Stage();
  ~Stage();
  // The worker and its store begin, begin again, or end; what the journal holds stays.
  void start();
  Task<void> stop();

  // A socket whose other end is a session; nothing was read yet.
  std::unique_ptr<TestClient> connect(std::string user, bool post_only = false,
                                      std::string unread = {});
  // The same, with the answer to LOGIN read.
  Task<std::unique_ptr<TestClient>> log_in(std::string user, bool post_only = false);
  Task<ipc::DeliverReply> deliver(std::string user, std::string mailbox, std::string bytes);

  Loop loop;
  IoPool pool{loop, 4};
  store::MemoryJournals journals{loop};
  store::MemoryKeyValues key_values;
  config::ImapdPart settings;
  imapd::Protocol protocol = imapd::imap_protocol();
  store::Disk* disk = nullptr;  // whose free space is looked at, from start() on
  std::optional<store::Store> store;
  std::optional<imapd::Worker> worker;
};

// Message `number` of a standard mailbox, and its INTERNALDATE.
std::string standard_message(int number);
std::string standard_date(int number);

}  // namespace rims::test
