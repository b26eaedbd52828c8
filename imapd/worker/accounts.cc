// imapd/worker/accounts.cc - small messages at once, large ones on the pool

#include "imapd/worker/accounts.h"

#include <utility>

#include "common/message/structure.h"

namespace rims::imapd {
namespace {

// A message larger than this is parsed by the pool: the loop has others to serve.
constexpr size_t kSmallMessage = 256 * 1024;

}  // namespace

message::Limits mime_limits(const config::ImapdPart& settings) {
  message::Limits limits;
  if (settings.mime_depth_max != 0) limits.depth = settings.mime_depth_max;
  if (settings.mime_part_max != 0) limits.parts = settings.mime_part_max;
  return limits;
}

store::Usage quota_of(const config::ImapdPart& settings) {
  return {.bytes = settings.quota_bytes,
          .messages = settings.quota_messages,
          .mailboxes = settings.quota_mailboxes};
}

void Accounts::set_quota(const ipc::UserQuota& quota) {
  const auto own = [](uint64_t value) {
    return value == UINT64_MAX ? std::nullopt : std::optional(value);
  };
  store_.set_quota(quota.user.value, {.bytes = own(quota.bytes), .messages = own(quota.messages)});
}

Task<Status> Accounts::room_for(uint64_t bytes) {
  return store_.room_for(bytes, {.percent = settings_.free_space_floor_percent,
                                 .most = settings_.free_space_floor_max});
}

Task<void> Accounts::work_on(std::string_view message, std::function<void()> work) {
  if (message.size() <= kSmallMessage)
    work();
  else
    co_await pool_.run(std::move(work));
}

Task<void> Accounts::work_apart(std::function<void()> work) { co_await pool_.run(std::move(work)); }

Task<std::string> Accounts::make_structure(std::string_view message) {
  const message::Limits limits = mime_limits(settings_);
  std::string made;
  const auto make = [&] { made = message::make_structure(message, limits); };
  co_await work_on(message, make);
  co_return made;
}

}  // namespace rims::imapd
