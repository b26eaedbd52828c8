// imapd/worker/sessions.h - the clients that are being served: by number, and counted by user
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/async/event.h"
#include "imapd/session/session_host.h"

namespace rims::imapd {

class Sessions {
 public:
  using Number = uint64_t;  // never used twice

  // What is known of a client from its hand-over on.
  struct Facts {
    std::string user, id, address, client;
    bool over_tls = false;
    std::chrono::steady_clock::time_point since;
    uint64_t began = 0;  // the same by the wall clock, in seconds
  };

  explicit Sessions(Loop& loop) : none_(loop), left_(loop) { none_.set(); }

  [[nodiscard]] Number next() { return ++last_; }

  // A session counts while its entry lives.
  class [[nodiscard]] Entry {
   public:
    Entry(Sessions& all, Number number, HostedSession& session, Facts facts);
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry();

    HostedSession& session;
    const Facts facts;

   private:
    Sessions& all_;
    const Number number_;
  };

  [[nodiscard]] size_t count() const { return all_.size(); }
  [[nodiscard]] size_t count_of(const std::string& user) const { return of_user(user).size(); }
  [[nodiscard]] std::vector<Number> numbers() const;  // ascending
  [[nodiscard]] std::vector<Number> numbers_of_user(const std::string& user) const;
  // Ids come from rims-login, which may give one twice after a restart.
  [[nodiscard]] std::vector<Number> numbers_of_id(std::string_view id) const;
  // nullptr when it has ended. Good until the next wait.
  [[nodiscard]] const Entry* find(Number number) const;
  // Messages that the user's sessions have selected together: see SessionHost.
  [[nodiscard]] uint64_t viewed(const std::string& user) const;
  void view(const std::string& user, int64_t more);

  void stop_all(std::string_view why);
  void tell_all_of_server_entries(const std::vector<std::string>& names);
  // `co_await ended(limit)`: true when there are none, false when the limit has passed.
  [[nodiscard]] Event::Wait ended(Milliseconds limit) { return none_.wait(limit); }
  // Waits until these have ended, or the limit has passed; returns those that have not.
  Task<std::vector<Number>> left_of(std::vector<Number> numbers, Milliseconds limit);

 private:
  struct OfUser {
    std::set<Number> sessions;
    int64_t viewed = 0;
  };
  [[nodiscard]] const std::set<Number>& of_user(const std::string& user) const;

  Number last_ = 0;
  std::map<Number, Entry*> all_;
  std::unordered_map<std::string, OfUser> per_user_;
  Event none_;
  Event left_;  // one has ended
};

}  // namespace rims::imapd
