// imapd/message_reader.h - the bytes and the structure of one message, read as they are needed
//
// FETCH and SEARCH share it. A structure that is damaged on the disk is made again from the
// message: it is an index of the message and no more.
#pragma once

#include <optional>
#include <string>

#include "common/message/structure.h"
#include "common/store/account.h"

namespace rims::imapd {

class Worker;

class MessageReader {
 public:
  MessageReader(Worker& worker, store::Account& account, const store::MessageEntry& entry)
      : worker_(worker), account_(account), id_(entry.message), size_(entry.size) {}
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  // Valid as long as the reader. Reads once.
  Task<Result<const message::StructureView*>> structure();
  // Exactly these bytes, or an error.
  Task<Result<std::string>> bytes(message::Range range);
  Task<Result<std::string>> whole() { return bytes({.offset = 0, .length = size_}); }
  [[nodiscard]] uint32_t size() const { return size_; }

 private:
  Worker& worker_;
  store::Account& account_;
  MessageId id_;
  uint32_t size_;
  std::string blob_;
  std::optional<message::StructureView> view_;
};

}  // namespace rims::imapd
