// imapd/worker/accounts.h - the accounts of this worker, and the work on their messages
//
// Sessions and deliveries come to the store through here, so both obey the same settings.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/account/store.h"
#include "common/async/io_pool.h"
#include "common/config/parts.h"
#include "common/ipc/auth_link.h"
#include "common/message/structure.h"

namespace rims::imapd {

// What of a message is taken apart.
[[nodiscard]] message::Limits mime_limits(const config::ImapdPart& settings);
// What an account may hold.
[[nodiscard]] store::Usage quota_of(const config::ImapdPart& settings);

class Accounts {
 public:
  // All must outlive this; `settings` may change meanwhile.
  Accounts(IoPool& pool, store::Store& store, const config::ImapdPart& settings)
      : pool_(pool), store_(store), settings_(settings) {}

  // As store::Store::open() does.
  Task<Result<std::shared_ptr<store::Account>>> open(std::string user, bool create = true) {
    return store_.open(std::move(user), create);
  }
  void set_quota(const ipc::UserQuota& quota);
  Task<void> close_all() { return store_.close_all(); }

  // See SessionHost.
  Task<Status> room_for(uint64_t bytes);
  Task<void> work_on(std::string_view message, std::function<void()> work);
  Task<void> work_apart(std::function<void()> work);
  Task<std::string> make_structure(std::string_view message);

 private:
  IoPool& pool_;
  store::Store& store_;
  const config::ImapdPart& settings_;
};

}  // namespace rims::imapd
