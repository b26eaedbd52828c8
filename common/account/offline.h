// common/account/offline.h - one account opened by a tool, for changing it without a server
//
//   TRY(auto offline, OfflineAccount::open(std::move(base), "foo", Milliseconds(10'000)));
//   TRY(auto copied, offline->run(offline->account().expunge(...)));
//   TRY_STATUS(offline->close());
//
// Takes the account over (takeover.h). Other than a server it does not let go when it is asked.
#pragma once

#include <memory>
#include <string>

#include "common/account/store.h"
#include "common/async/io_pool.h"
#include "common/async/loop.h"
#include "common/async/scope.h"

namespace rims::store {

class OfflineAccount {
 public:
  // not_found: no such account, and `create` is not set. storage "INUSE": not let go in time.
  static Result<std::unique_ptr<OfflineAccount>> open(Options options, const std::string& user,
                                                      Milliseconds timeout, bool create = false);
  OfflineAccount(const OfflineAccount&) = delete;
  OfflineAccount& operator=(const OfflineAccount&) = delete;
  // Closes it as close() does.
  ~OfflineAccount();

  [[nodiscard]] Account& account() { return *account_; }
  [[nodiscard]] Loop& loop() { return loop_; }
  // Runs the loop until `task` is done.
  template <class T>
  T run(Task<T> task) {
    return rims::run(loop_, std::move(task));
  }
  // Writes the index, marks it clean, gives the lock back.
  void close();

 private:
  explicit OfflineAccount(Options options) : store_(loop_, pool_, std::move(options)) {}
  Loop loop_;
  IoPool pool_{loop_, 2};
  Store store_;
  std::shared_ptr<Account> account_;  // shared with the store
};

}  // namespace rims::store
