// imapd/worker/administration.cc - rims-ctl who and kick, and what rims-auth takes back

#include "imapd/worker/administration.h"

#include <utility>

#include "common/base/log.h"

namespace rims::imapd {
namespace {

uint64_t seconds_since(std::chrono::steady_clock::time_point when) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(Loop::now() - when).count());
}

ipc::SessionEntry describe(const Sessions::Entry& entry) {
  const HostedSession::Activity now = entry.session.activity();
  ipc::SessionEntry told;
  told.session = entry.facts.id;
  told.user = entry.facts.user;
  told.address = entry.facts.address;
  told.over_tls = entry.facts.over_tls;
  told.since = entry.facts.began;
  told.age_s = seconds_since(entry.facts.since);
  told.silent_s = seconds_since(now.last_input);
  told.mailbox = now.mailbox.substr(0, decltype(told.mailbox)::kMax);
  const std::string& client = now.client.empty() ? entry.facts.client : now.client;
  told.client = client.substr(0, decltype(told.client)::kMax);
  return told;
}

}  // namespace

void Administration::attach(ipc::End end) {
  auto link =
      std::make_shared<ipc::Link>(loop_, std::move(end), "rims-ctl", ipc::kServingAcceptsFromCtl);
  std::erase_if(links_, [](const auto& old) { return old.expired(); });
  links_.push_back(link);
  scope_.spawn(serve(std::move(link)));
}

Task<void> Administration::serve(SharedLink link) {
  while (true) {
    const auto packet = co_await link->receive();
    if (!packet) co_return;
    if (packet->type == static_cast<uint16_t>(ipc::AdminMsg::who)) {
      const bool told = co_await tell_all(*link);
      if (!told) co_return;
      continue;
    }
    const auto kick = ipc::open_packet<ipc::Kick>(*link, *packet);
    if (!kick) co_return;
    const std::vector<Sessions::Number> numbers = kick->user.value.empty()
                                                      ? sessions_.numbers_of_id(kick->session.value)
                                                      : sessions_.numbers_of_user(kick->user.value);
    const uint64_t count = numbers.size();
    const Status begun = co_await link->send(ipc::Kicking{});
    if (!begun) co_return;
    co_await end(numbers, "the administrator has ended this session", "by rims-ctl kick");
    const Status sent = co_await link->send(ipc::Kicked{.count = count});
    if (!sent) co_return;
  }
}

Task<bool> Administration::tell_all(ipc::Link& link) {
  // Sessions come and go while rims-ctl reads.
  for (const Sessions::Number number : sessions_.numbers()) {
    const Sessions::Entry* entry = sessions_.find(number);
    if (!entry) continue;
    const Status sent = co_await link.send(describe(*entry));
    if (!sent) co_return false;
  }
  const Status done = co_await link.send(ipc::WhoDone{});
  co_return done.has_value();
}

void Administration::revoke(const std::string& user, ipc::Revoked why) {
  const std::vector<Sessions::Number> numbers = sessions_.numbers_of_user(user);
  if (numbers.empty()) return;
  switch (why) {
    case ipc::Revoked::removed:
      scope_.spawn(end(numbers, "this user was removed", "its user was removed"));
      break;
    case ipc::Revoked::renamed:
      scope_.spawn(end(numbers, "this user was renamed; log in again", "its user was renamed"));
      break;
    case ipc::Revoked::password:
      scope_.spawn(end(numbers, "the password was changed; log in again",
                       "the password of its user was changed"));
      break;
    case ipc::Revoked::role:
      scope_.spawn(end(numbers, "the rights of this user were changed; log in again",
                       "mail_delivery_user was changed"));
      break;
    case ipc::Revoked::disabled:
      scope_.spawn(end(numbers, "this user was disabled", "its user was disabled"));
      break;
  }
}

Task<void> Administration::end(std::vector<Sessions::Number> numbers, std::string bye,
                               std::string why) {
  for (const Sessions::Number number : numbers) {
    const Sessions::Entry* entry = sessions_.find(number);
    if (!entry) continue;
    log::info(entry->facts.id, "the session of {} is ended: {}", log::quoted(entry->facts.user),
              why);
    entry->session.stop(bye);
  }
  numbers = co_await sessions_.left_of(std::move(numbers), kEndLimit);
  for (const Sessions::Number number : numbers) {
    const Sessions::Entry* entry = sessions_.find(number);
    if (!entry) continue;
    log::warn(entry->facts.id, "the session did not end in {} s and is cut",
              kEndLimit.count() / 1000);
    cut_(number);
  }
  (void)co_await sessions_.left_of(std::move(numbers), kEndLimit);
}

Task<void> Administration::stop() {
  for (const auto& weak : links_)
    if (const SharedLink link = weak.lock()) link->close();
  scope_.cancel_all();
  co_await scope_.join();
}

}  // namespace rims::imapd
