// common/ipc/peer.h - a process that is asked over a link which may be replaced at any time
//
//   Requests  what was asked and not answered yet, by number
//   Peer      the current link, and ask(): one question, one answer, a time limit
//
// A Reply says in its member `request` which question it answers; so does each question. The
// coroutine that asks may be cancelled at any time: then its request is removed, and a later answer
// is dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/async/event.h"
#include "common/async/loop.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/ipc/link.h"

namespace rims::ipc {

template <class Reply>
class Requests {
 public:
  explicit Requests(Loop& loop) : loop_(loop) {}
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;

  // Lives in the frame of the coroutine that asks, and is in the table as long as that frame lives.
  class Request {
   public:
    explicit Request(Requests& all) : all_(all), number_(++all.last_), done_(all.loop_) {
      all_.open_.emplace(number_, this);
    }
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;
    ~Request() { all_.open_.erase(number_); }

    [[nodiscard]] uint64_t number() const { return number_; }
    // False when the time is over. The reply is empty when nobody will answer any more.
    [[nodiscard]] Event::Wait wait(Milliseconds limit) { return done_.wait(limit); }
    [[nodiscard]] std::optional<Reply>& reply() { return reply_; }

   private:
    friend class Requests;
    Requests& all_;
    uint64_t number_;
    Event done_;
    std::optional<Reply> reply_;
  };

  void answer(Reply reply) {
    const auto found = open_.find(reply.request);
    if (found == open_.end()) return;
    Request& request = *found->second;
    open_.erase(found);
    request.reply_ = std::move(reply);
    request.done_.set();
  }
  void fail_all() {
    for (const auto& [number, request] : open_) request->done_.set();
    open_.clear();
  }
  [[nodiscard]] size_t size() const { return open_.size(); }

 private:
  Loop& loop_;
  uint64_t last_ = 0;
  std::unordered_map<uint64_t, Request*> open_;
};

template <class Reply>
class Peer {
 public:
  // Shared by this object, its reader and the coroutines that send on it.
  using SharedLink = std::shared_ptr<Link>;

  // `name` for messages: "rims-auth".
  Peer(Loop& loop, std::string name) : name_(std::move(name)), present_(loop), requests_(loop) {}

  // Told when a question was sent and nobody waits for its answer any more: the one who asked was
  // cancelled, or its time is over.
  void on_given_up(std::function<void(SharedLink, uint64_t)> f) { given_up_ = std::move(f); }

  // Requests that wait on the link before this one fail at once.
  void replace(SharedLink fresh) {
    lose(link_);
    link_ = std::move(fresh);
    if (link_) present_.set();
  }
  // `which` has ended; a newer link is left alone.
  void lose(const SharedLink& which) {
    if (!which || link_ != which) return;
    link_->close();  // wakes its reader
    link_.reset();
    present_.clear();
    requests_.fail_all();
  }
  // Reads a link on which only answers come. Ends with the link.
  Task<void> read(SharedLink link) {
    while (true) {
      auto packet = co_await link->receive();
      if (!packet) break;
      auto reply = open_packet<Reply>(*link, *packet);
      wipe(packet->body);
      if (!reply) break;
      answer(link, *std::move(reply));
    }
    lose(link);
  }
  // From a link that was replaced it is dropped.
  void answer(const SharedLink& from, Reply reply) {
    if (from == link_) requests_.answer(std::move(reply));
  }

  [[nodiscard]] const SharedLink& link() const { return link_; }
  // Set while there is a link.
  [[nodiscard]] Event& present() { return present_; }
  [[nodiscard]] size_t waiting() const { return requests_.size(); }

  // Sets the question's number. Waits `patience` for a link, and `limit` for the answer. Errors,
  // with code UNAVAILABLE: peer_gone, no link or its end; timeout.
  template <class Message>
  Task<Result<Reply>> ask(Message message, std::vector<Fd> fds, Milliseconds patience,
                          Milliseconds limit) {
    if (link_ && !link_->open()) lose(link_);  // its reader has not seen it yet
    const bool there = co_await present_.wait(patience);
    const SharedLink link = link_;  // stays this one when it is replaced
    if (!there || !link) co_return unavailable(Fault::peer_gone, " is not connected");
    typename Requests<Reply>::Request request(requests_);
    message.request = request.number();
    const Status sent = co_await link->send(std::move(message), std::move(fds));
    if (!sent) co_return unavailable(Fault::peer_gone, " went away");
    struct Waiting {
      Peer& peer;
      const SharedLink& link;
      const uint64_t number;
      bool over = false;
      ~Waiting() {
        if (!over && peer.given_up_) peer.given_up_(link, number);
      }
    };
    Waiting waiting{*this, link, request.number()};
    const bool answered = co_await request.wait(limit);
    waiting.over = answered;
    if (request.reply()) co_return *std::move(request.reply());
    co_return answered ? unavailable(Fault::peer_gone, " went away")
                       : unavailable(Fault::timeout, " does not answer");
  }

 private:
  [[nodiscard]] std::unexpected<Error> unavailable(Fault fault, const char* what) const {
    return fail(fault, "try again later", name_ + what, "UNAVAILABLE");
  }

  std::string name_;
  std::function<void(SharedLink, uint64_t)> given_up_;
  SharedLink link_;
  Event present_;
  Requests<Reply> requests_;
};

}  // namespace rims::ipc
