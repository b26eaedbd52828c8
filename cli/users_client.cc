// cli/users_client.cc - questions to rims-auth and their answers

#include "cli/users_client.h"

#include <memory>
#include <utility>

#include "cli/admin_client.h"
#include "common/async/event.h"
#include "common/async/scope.h"

namespace rims::cli {
namespace {

constexpr Milliseconds kAnswerLimit{30'000};
constexpr size_t kOnTheirWay = 512;

using SharedLink = std::shared_ptr<ipc::Link>;

// The next packet of rims-auth. Errors: as of receive_within().
Task<Result<ipc::Packet>> next(Loop& loop, SharedLink link) {
  auto packet = co_await receive_within(loop, link, kAnswerLimit);
  if (!packet && packet.error().fault() == Fault::timeout)
    co_return fail(Fault::timeout, "rims-auth does not answer");
  if (!packet) co_return fail(Fault::peer_gone, "rims-auth has ended the link");
  co_return packet;
}

Status outcome_of(const ipc::ChangeDone& done) {
  switch (done.outcome) {
    case ipc::ChangeOutcome::done:
      break;
    case ipc::ChangeOutcome::refused:
      return fail(Fault::refused, done.text.value);
    case ipc::ChangeOutcome::unavailable:
      return fail(Fault::storage, done.text.value);
  }
  return {};
}

template <class Message>
Task<Status> ask(Loop& loop, std::string run_dir, Message message) {
  CO_TRY(const SharedLink link, co_await reach_auth(loop, std::move(run_dir)));
  CO_TRY_STATUS(co_await link->send(std::move(message)));
  CO_TRY(const ipc::Packet packet, co_await next(loop, link));
  const auto done = ipc::open_packet<ipc::ChangeDone>(*link, packet);
  if (!done) co_return fail(Fault::peer_gone, "rims-auth is of another version");
  co_return outcome_of(*done);
}

struct Sending {
  explicit Sending(Loop& loop) : room(loop) {}
  size_t sent = 0, answered = 0;
  Event room;
  bool broken = false;
};

Task<void> send_all(SharedLink link, std::vector<ipc::AddUser>& users, Sending& state) {
  for (size_t i = 0; i < users.size(); i++) {
    while (state.sent - state.answered >= kOnTheirWay) {
      state.room.clear();
      co_await state.room.wait();
    }
    users[i].request = i;
    const Status sent = co_await link->send(std::move(users[i]));
    if (!sent) {
      link->close();
      co_return;
    }
    state.sent++;
  }
}

Task<Result<std::vector<Status>>> add_all(Loop& loop, std::string run_dir,
                                          std::vector<ipc::AddUser> users) {
  CO_TRY(const SharedLink link, co_await reach_auth(loop, std::move(run_dir)));
  std::vector<Status> outcomes(users.size());
  Sending state(loop);
  Scope sending(loop);
  sending.spawn(send_all(link, users, state));
  while (state.answered < outcomes.size()) {
    CO_TRY(const ipc::Packet packet, co_await next(loop, link));
    const auto done = ipc::open_packet<ipc::ChangeDone>(*link, packet);
    if (!done || done->request >= outcomes.size())
      co_return fail(Fault::peer_gone, "rims-auth is of another version");
    outcomes[done->request] = outcome_of(*done);
    state.answered++;
    state.room.set();
  }
  co_return outcomes;
}

// Entries, and then a ChangeDone.
template <class Entry, class Question>
Task<Result<std::vector<Entry>>> list(Loop& loop, std::string run_dir, Question question) {
  CO_TRY(const SharedLink link, co_await reach_auth(loop, std::move(run_dir)));
  CO_TRY_STATUS(co_await link->send(std::move(question)));
  std::vector<Entry> all;
  while (true) {
    CO_TRY(const ipc::Packet packet, co_await next(loop, link));
    if (packet.type == static_cast<uint16_t>(ipc::UsersMsg::change_done)) {
      const auto done = ipc::open_packet<ipc::ChangeDone>(*link, packet);
      if (!done) break;
      CO_TRY_STATUS(outcome_of(*done));
      co_return all;
    }
    if (packet.type != static_cast<uint16_t>(Entry::kType)) break;
    auto entry = ipc::open_packet<Entry>(*link, packet);
    if (!entry) break;
    all.push_back(std::move(*entry));
  }
  co_return fail(Fault::peer_gone, "rims-auth is of another version");
}

}  // namespace

Status change_user(const std::string& run_dir, ipc::EditUser edit) {
  Loop loop;
  return run(loop, ask(loop, run_dir, std::move(edit)));
}

Status change_domain(const std::string& run_dir, ipc::EditDomain edit) {
  Loop loop;
  return run(loop, ask(loop, run_dir, std::move(edit)));
}

Result<std::vector<Status>> add_users(const std::string& run_dir, std::vector<ipc::AddUser> users) {
  Loop loop;
  return run(loop, add_all(loop, run_dir, std::move(users)));
}

Result<std::vector<ipc::UserTold>> told_users(const std::string& run_dir, const std::string& user,
                                              bool with_hashes) {
  ipc::ListUsers question;
  question.user = user;
  question.with_hashes = with_hashes;
  Loop loop;
  return run(loop, list<ipc::UserTold>(loop, run_dir, std::move(question)));
}

Result<std::vector<ipc::DomainTold>> told_domains(const std::string& run_dir) {
  Loop loop;
  return run(loop, list<ipc::DomainTold>(loop, run_dir, ipc::ListDomains{}));
}

}  // namespace rims::cli
