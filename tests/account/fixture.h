// tests/account/fixture.h - a store in memory for one test, and short ways to use it
//
// TearDown runs Account::check() on every account that a test has opened: invariants 1-14 hold
// at the end of each test, or it fails.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/account/account.h"
#include "common/account/store.h"
#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "common/base/encoding.h"
#include "common/index/memory_key_value.h"
#include "tests/support/memory_journal.h"

namespace rims::store {

inline NewMessage message(std::string bytes, uint8_t flags = 0,
                          std::vector<std::string> keywords = {}) {
  NewMessage m;
  m.structure = "structure of " + bytes.substr(0, 20);
  m.bytes = MessageBytes(std::move(bytes));
  m.flags = flags;
  m.keywords = std::move(keywords);
  m.date = 1'000'000'000;
  m.zone = 540;
  return m;
}

inline std::vector<NewMessage> messages(std::vector<std::string> all) {
  std::vector<NewMessage> list;
  for (auto& bytes : all) list.push_back(message(std::move(bytes)));
  return list;
}

inline std::vector<Uid> uids(std::vector<uint32_t> numbers) {
  std::vector<Uid> list;
  for (const uint32_t n : numbers) list.emplace_back(n);
  return list;
}

inline std::vector<uint32_t> numbers(const std::vector<Uid>& list) {
  std::vector<uint32_t> values;
  for (const Uid uid : list) values.push_back(uid.value);
  return values;
}

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    crypto_init();
    make_store();
  }
  void TearDown() override {
    if (!store_) return;
    for (const auto& user : check_at_end_) {
      auto account = run(loop_, store_->open(user));
      ASSERT_TRUE(account) << account.error().detail();
      auto broken = run(loop_, (*account)->check());
      ASSERT_TRUE(broken) << broken.error().detail();
      for (const auto& line : *broken) ADD_FAILURE() << user << ": " << line;
    }
    stop();
  }
  virtual Options options() {
    Options o;
    o.journals = &journals_;
    o.key_values = &key_values_;
    o.idle_close = Milliseconds(600'000);
    return o;
  }
  void make_store() { store_ = std::make_unique<Store>(loop_, pool_, options()); }
  // An orderly stop; then a new process, so to say.
  void stop() {
    run(loop_, store_->close_all());
    store_.reset();
  }
  void reopen() {
    stop();
    make_store();
  }
  // A SIGKILL: nothing is written any more.
  void kill() {
    store_.reset();
    make_store();
  }
  std::shared_ptr<Account> open(const std::string& user = "foo") {
    check_at_end_.insert(user);
    auto account = run(loop_, store_->open(user));
    EXPECT_TRUE(account) << account.error().detail();
    return account ? *account : nullptr;
  }
  template <class T>
  T must(Task<Result<T>> task) {
    auto result = run(loop_, std::move(task));
    EXPECT_TRUE(result) << result.error().detail();
    if (!result) std::abort();
    return *std::move(result);
  }
  void must(Task<Status> task) {
    auto result = run(loop_, std::move(task));
    EXPECT_TRUE(result) << (result ? "" : result.error().detail());
  }
  // The code of the error that must come.
  template <class T>
  std::string code(Task<Result<T>> task) {
    auto result = run(loop_, std::move(task));
    return result ? "no error" : result.error().code();
  }
  static MailboxId inbox(const std::shared_ptr<Account>& account) {
    return account->find("INBOX")->id;
  }
  std::string names(const std::shared_ptr<Account>& account) {
    std::string all;
    for (const auto* info : account->mailboxes())
      all += (all.empty() ? "" : " ") + info->name + (info->noselect ? "(noselect)" : "");
    return all;
  }
  // Everything an account is: for comparing before and after.
  AccountState snapshot(const std::shared_ptr<Account>& account) {
    auto* state = must(account->whole_state());
    AccountState copy = *state;
    return copy;
  }

  Loop loop_;
  IoPool pool_{loop_, 8};
  MemoryJournals journals_{loop_};
  MemoryKeyValues key_values_;
  std::unique_ptr<Store> store_;
  std::set<std::string> check_at_end_;
};

}  // namespace rims::store
