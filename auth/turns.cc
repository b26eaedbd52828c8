// auth/turns.cc - weighted fair queueing over a short list

#include "auth/turns.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace rims::auth {

Turns::Place::Place(Turns& turns, Attempt attempt)
    : turns_(turns), attempt_(std::move(attempt)), decided_(turns.loop_) {
  turns_.waiting_.push_back(this);
  turns_.give_turns();
  turns_.make_room();
}

Turns::Place::~Place() {
  if (state_ == State::waits) std::erase(turns_.waiting_, this);
  if (state_ != State::has_turn) return;
  turns_.running_--;
  turns_.give_turns();
}

void Turns::Place::leave() {
  if (state_ == State::waits) decide(State::left);
}

void Turns::Place::decide(State state) {
  std::erase(turns_.waiting_, this);
  state_ = state;
  decided_.set();
}

uint64_t Turns::pass_of(const Passes& passes, const std::string& key) const {
  const auto found = passes.find(key);
  return found == passes.end() ? now_ : std::max(now_, found->second);
}

void Turns::give_turns() {
  while (running_ < at_once_ && !waiting_.empty()) {
    const auto rank = [this](const Place* place) {
      const uint64_t network = pass_of(networks_, place->attempt_.network);
      const uint64_t name = pass_of(names_, place->attempt_.name);
      return std::pair(std::max(network, name), network + name);
    };
    // The first of equals is the one that came first.
    Place& next = **std::ranges::min_element(waiting_, {}, rank);
    const uint64_t begins = rank(&next).first;
    const uint64_t network = pass_of(networks_, next.attempt_.network) + next.attempt_.cost;
    const uint64_t name = pass_of(names_, next.attempt_.name) + next.attempt_.cost;
    networks_[next.attempt_.network] = network;
    names_[next.attempt_.name] = name;
    now_ = std::max(now_, begins);
    // A pass that is behind says nothing.
    for (Passes* passes : {&networks_, &names_})
      std::erase_if(*passes, [this](const auto& pass) { return pass.second <= now_; });
    running_++;
    next.decide(State::has_turn);
  }
}

void Turns::make_room() {
  if (waiting_.size() <= most_) return;
  std::map<uint32_t, size_t> of_link;
  std::map<std::string, size_t> of_network;
  for (const Place* place : waiting_) of_link[place->attempt_.link]++;
  size_t most = 0;
  for (const auto& [link, count] : of_link) most = std::max(most, count);
  for (const Place* place : waiting_)
    if (of_link[place->attempt_.link] == most) of_network[place->attempt_.network]++;
  // The later one of equals.
  const auto rank = [&](const Place* place) {
    const bool busiest = of_link[place->attempt_.link] == most;
    return std::tuple(busiest, busiest ? of_network[place->attempt_.network] : 0,
                      pass_of(networks_, place->attempt_.network) + place->attempt_.cost);
  };
  Place* worst = waiting_.front();
  for (Place* place : waiting_)
    if (rank(place) >= rank(worst)) worst = place;
  worst->decide(State::refused);
}

}  // namespace rims::auth
