// imapd/imap/message_reader.h - the bytes and the structure of one message, read as they are needed
//
// FETCH and SEARCH share it, and the class that reads the structures of many messages ahead. A
// structure that is damaged on the disk is made again from the message.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/account/account.h"
#include "common/message/kept_fields.h"
#include "common/message/structure.h"
#include "imapd/session/session_host.h"

namespace rims::imapd {

// The stored structures of the next messages of a command, read for some of them at a time.
class StructuresAhead {
 public:
  StructuresAhead(store::Account& account, store::Wanted wanted)
      : account_(account), wanted_(wanted) {}
  // How many messages to name to read().
  static constexpr size_t kMost = 256;

  [[nodiscard]] bool wants_some() const { return wanted_.structure || wanted_.fields; }
  // Messages are asked for in the order in which they were named. nullptr: read() it first.
  // Valid until the next read().
  [[nodiscard]] const store::Structures::One* find(MessageId message);
  // Reads the first of them, and as many of those after it as one read gives.
  Task<Status> read(std::vector<MessageId> messages);

 private:
  store::Account& account_;
  store::Wanted wanted_;
  std::vector<MessageId> messages_;
  store::Structures read_;
  size_t at_ = 0;
};

class MessageReader {
 public:
  // `kept` may be empty, and must stay as long as the reader.
  MessageReader(SessionHost& host, store::Account& account, const store::MessageEntry& entry,
                store::Structures::One kept)
      : host_(host), account_(account), id_(entry.message), size_(entry.size), kept_(kept) {}
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  // Valid as long as the reader. Reads once.
  Task<Result<const message::StructureView*>> structure();
  // nullptr when they are not kept.
  [[nodiscard]] const message::KeptFields* fields();
  // Exactly these bytes, or an error.
  Task<Result<std::string>> bytes(message::Range range);
  Task<Result<std::string>> whole() { return bytes({.offset = 0, .length = size_}); }
  [[nodiscard]] uint32_t size() const { return size_; }

 private:
  SessionHost& host_;
  store::Account& account_;
  MessageId id_;
  uint32_t size_;
  store::Structures::One kept_;
  std::optional<message::KeptFields> fields_;
  std::string blob_;
  std::optional<message::StructureView> view_;
};

// The messages that a command cannot read: it serves the others, and says how many were left out.
class Unreadable {
 public:
  // `command` is for the log.
  Unreadable(const store::Account& account, std::string_view session, std::string_view command)
      : account_(account), session_(session), command_(command) {}
  // True when `why` concerns one message: it is counted, and the log names it. False: nothing can
  // be read, as the account failed, or it is no matter of the storage.
  [[nodiscard]] bool take(const Error& why);
  [[nodiscard]] bool any() const { return count_ > 0; }
  // "2 messages could not be searched, they are damaged", for `what` "searched".
  [[nodiscard]] std::string text(std::string_view what) const;

 private:
  const store::Account& account_;
  std::string_view session_;
  std::string_view command_;
  size_t count_ = 0;
};

}  // namespace rims::imapd
