// common/account/structures.h - what Account::read_structures() gives: structures of some messages
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace rims::store {

// What of the structures is wanted; the index has each by itself.
struct Wanted {
  bool structure = false;  // for message::StructureView
  bool fields = false;     // for message::KeptFields
};

// Views that are valid as long as this is.
class Structures {
 public:
  struct One {
    // Empty: not wanted, or not to be had. A structure may have its fields with it.
    std::string_view structure, fields;
  };
  // Of so many of the messages that were asked for, from the first on.
  [[nodiscard]] size_t size() const { return all_.size(); }
  [[nodiscard]] const One& operator[](size_t i) const { return all_[i]; }

  void add(One one) { all_.push_back(one); }
  void hold(std::shared_ptr<const void> memory) { memory_.push_back(std::move(memory)); }

 private:
  std::vector<One> all_;
  std::vector<std::shared_ptr<const void>> memory_;  // that the views lead into, shared with others
};

}  // namespace rims::store
