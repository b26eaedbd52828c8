// common/users/state.h - the user directory in memory: its records folded, and the indexes that
// answer without a scan; pure
//
//   Fold    applying all records in their order to an empty state. One that can not be used changes
//           nothing and costs only its own entry.
//   Repeat  of two records that contradict each other (one between them was lost) the later one is
//           right: it was checked against all that was known when it was written
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/result.h"
#include "common/users/records.h"

namespace rims::users {

class State {
 public:
  State() = default;
  State(State&&) = default;
  State& operator=(State&&) = default;

  // Record number `seq`. storage: it can not be used. `remarks`: what had to give way to it.
  Status apply(uint64_t seq, std::string_view bytes, std::vector<std::string>* remarks = nullptr);
  // After the last record.
  void folded_all() { end_snapshot(); }

  // By the folded name; also those that are removed or disabled. Valid until the next change.
  [[nodiscard]] const User* find(std::string_view folded) const;
  [[nodiscard]] const User* find_id(uint64_t id) const;
  // By address_key(). Removed users keep their addresses.
  [[nodiscard]] const User* find_address(const std::string& key) const;
  [[nodiscard]] const Domain* find_domain(std::string_view name) const;
  // One of them, by any number: the same for the same number, as long as nothing changes. There
  // must be a user.
  [[nodiscard]] const User& any(uint64_t number) const {
    return users_.at(ids_[number % ids_.size()]).user;
  }
  [[nodiscard]] size_t size() const { return users_.size(); }
  [[nodiscard]] uint64_t last_id() const { return last_id_; }
  // By their folded names and by name.
  [[nodiscard]] const std::map<std::string, uint64_t, std::less<>>& names() const {
    return by_name_;
  }
  [[nodiscard]] const std::map<std::string, Domain, std::less<>>& domains() const {
    return domains_;
  }

  // Who gets mail for `address`, which is in the directory or in one of its domains; nullptr:
  // nobody there. With a `delimiter`, what follows it in the local part is no part of a name.
  // `catch_all`: also who gets what is for nobody else.
  [[nodiscard]] const User* recipient(std::string_view address, std::string_view delimiter,
                                      bool catch_all) const;

  // The records of a snapshot.
  [[nodiscard]] std::vector<std::string> snapshot() const;

 private:
  struct Stored {
    User user;
    size_t place = 0;    // in ids_
    uint64_t round = 0;  // of the last snapshot that had it
  };
  void put(User user, std::vector<std::string>* remarks);
  void forget(uint64_t id);
  void drop_keys(const User& user);
  void end_snapshot();

  std::unordered_map<uint64_t, Stored> users_;
  std::vector<uint64_t> ids_;
  std::map<std::string, uint64_t, std::less<>> by_name_;
  std::unordered_map<std::string, uint64_t> by_address_;
  std::map<std::string, Domain, std::less<>> domains_;
  std::map<std::string, uint64_t, std::less<>> domain_rounds_;
  uint64_t last_id_ = 0;

  struct Reading {
    uint64_t last_seq = 0;  // of its records
    uint64_t wanted = 0, found = 0;
  };
  std::optional<Reading> reading_;  // a snapshot
  uint64_t round_ = 0;
};

}  // namespace rims::users
