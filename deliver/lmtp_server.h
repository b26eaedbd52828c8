// deliver/lmtp_server.h - clients of LMTP, from accept(2) to their end
//
//   Trust    a client is an attacker, whoever may connect; only lmtp/session.h reads its bytes
//   Limits   connections (one more is told to come again), bytes of all messages in progress, time
//            for each command, for silence within a message and for the whole message
//   Memory   of a client: its input, what is waiting for it, and its message in a memfd
//   Stop     who waits for nothing is told so at once; a message that is complete is delivered and
//            answered first
//   Tests    tests/deliver/lmtp_server_test.cc, tests/system/lmtp_test.py
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/async/scope.h"
#include "common/base/fd.h"
#include "common/base/network.h"
#include "common/config/parts.h"
#include "common/ipc/auth_link.h"
#include "common/ipc/deliver_link.h"

namespace rims::deliver {

// What a delivery needs besides the message: of rims-deliverd (service.h), or of a test.
class Post {
 public:
  virtual ~Post() = default;
  // Is there such a recipient? An error: nobody can tell now.
  virtual Task<Result<ipc::UserReply>> find(std::string recipient) = 0;
  // One of the recipients of a message. Never fails: the status says how it went.
  virtual Task<ipc::DeliverReply> store(ipc::Deliver what, uint32_t worker,
                                        std::shared_ptr<const Fd> message) = 0;
};

struct LmtpTimes {
  Milliseconds command{300'000};    // RFC 5321 §4.5.3.2.7
  Milliseconds silence{180'000};    // within a message, as a sender's (§4.5.3.2.5)
  Milliseconds message{1'800'000};  // from DATA or the first chunk to the end
  Milliseconds write{60'000};
};

class LmtpServer {
 public:
  // All messages in progress together may have this many bytes, or four of the largest size.
  static constexpr uint64_t kInProgress = uint64_t{256} << 20;

  // All must outlive this; `part` may change meanwhile, then call reloaded().
  LmtpServer(Loop& loop, const config::DeliverdPart& part, Post& post, LmtpTimes times = {});
  LmtpServer(const LmtpServer&) = delete;
  LmtpServer& operator=(const LmtpServer&) = delete;
  ~LmtpServer();

  // A listening socket; replaces the one of this number.
  void listen(uint32_t index, Fd socket);
  void reloaded();
  void stop();
  // `co_await ended(limit)`: true when no client is left.
  [[nodiscard]] Event::Wait ended(Milliseconds limit) { return none_.wait(limit); }
  // `address` is numeric, or "" for a local socket.
  [[nodiscard]] bool may_deliver(const std::string& address) const;
  [[nodiscard]] size_t connections() const { return connections_; }

 private:
  struct Client;
  using ClientPtr = std::shared_ptr<Client>;  // of its task, and of those who end it

  Task<void> accept_loop(std::shared_ptr<Fd> listening);
  void accept(Fd socket, std::string address);
  Task<void> serve(ClientPtr client);
  // One step of the session; false: the connection is over.
  Task<bool> step(Client& client);
  Task<bool> read_more(Client& client, bool now);
  Task<void> ask(Client& client);
  void keep(Client& client, std::string_view bytes);
  Status write_out(Client& client);
  Task<void> deliver(Client& client);
  void drop(Client& client);

  Loop& loop_;
  const config::DeliverdPart& part_;
  Post& post_;
  const LmtpTimes times_;
  std::vector<Network> allowed_;
  bool stopping_ = false;
  size_t connections_ = 0;
  uint64_t in_progress_ = 0;  // bytes
  uint64_t last_number_ = 0;
  const std::string boot_;  // makes the ids of this process differ from those of others
  Event none_;
  std::map<uint64_t, std::weak_ptr<Client>> clients_;
  std::map<uint32_t, uint64_t> listeners_;  // tasks
  Scope scope_;                             // last: its tasks use all of the above
};

}  // namespace rims::deliver
