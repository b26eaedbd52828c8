// imapd/worker/sessions.h - the clients that are being served, counted by user
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "common/async/event.h"
#include "imapd/session/session_host.h"

namespace rims::imapd {

class Sessions {
 public:
  explicit Sessions(Loop& loop) : none_(loop) { none_.set(); }

  // A session counts while its entry lives.
  class [[nodiscard]] Entry {
   public:
    Entry(Sessions& all, HostedSession& session, std::string user);
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry();

   private:
    Sessions& all_;
    HostedSession& session_;
    std::string user_;
  };

  [[nodiscard]] size_t count() const { return all_.size(); }
  [[nodiscard]] size_t count_of(const std::string& user) const;
  // Messages that the user's sessions have selected together: see SessionHost.
  [[nodiscard]] uint64_t viewed(const std::string& user) const;
  void view(const std::string& user, int64_t more);
  void stop_all(std::string_view why);
  // `co_await ended(limit)`: true when there are none, false when the limit has passed.
  [[nodiscard]] Event::Wait ended(Milliseconds limit) { return none_.wait(limit); }

 private:
  struct OfUser {
    size_t sessions = 0;
    int64_t viewed = 0;
  };
  std::unordered_set<HostedSession*> all_;
  std::unordered_map<std::string, OfUser> per_user_;
  Event none_;
};

}  // namespace rims::imapd
