// common/async/scope.cc - carrying detached tasks to their end

#include "common/async/scope.h"

namespace rims {

Scope::~Scope() {
  *alive_ = false;
  auto tasks = std::move(tasks_);
  tasks_.clear();
}

Task<void> Scope::carry(uint64_t id, Task<void> task) {
  co_await std::move(task);
  // A frame must not be destroyed by its own code: the loop does it.
  loop_.post([this, id, alive = alive_] {
    if (*alive) forget(id);
  });
}

void Scope::forget(uint64_t id) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return;
  const Task<void> dying = std::move(found->second);  // dies after it left the map
  tasks_.erase(found);
  if (tasks_.empty()) empty_.set();
}

uint64_t Scope::spawn(Task<void> task) {
  const uint64_t id = next_++;
  empty_.clear();
  // start() may spawn further tasks, and so move this map's contents.
  auto& kept = tasks_.emplace(id, carry(id, std::move(task))).first->second;
  kept.start();
  return id;
}

void Scope::cancel(uint64_t id) {
  loop_.post([this, id, alive = alive_] {
    if (*alive) forget(id);
  });
}

void Scope::cancel_all() {
  for (const auto& [id, task] : tasks_) cancel(id);
}

Task<void> Scope::join() {
  while (!tasks_.empty()) co_await empty_.wait();
}

}  // namespace rims
