// imapd/imap/message_reader.cc - reading a message and its structure from the store

#include "imapd/imap/message_reader.h"

#include <utility>

#include "common/base/log.h"

namespace rims::imapd {
namespace {

// When a whole segment is gone, the log need not name each of its messages, command after command.
constexpr size_t kMostNamed = 20;

}  // namespace

const store::Structures::One* StructuresAhead::find(MessageId message) {
  for (; at_ < read_.size(); at_++)
    if (messages_[at_] == message) return &read_[at_];
  return nullptr;
}

Task<Status> StructuresAhead::read(std::vector<MessageId> messages) {
  messages_ = std::move(messages);
  at_ = 0;
  read_ = {};
  CO_TRY(read_, co_await account_.read_structures(messages_, wanted_));
  co_return Status();
}

const message::KeptFields* MessageReader::fields() {
  if (!fields_ && !kept_.fields.empty()) {
    auto opened = message::KeptFields::open(kept_.fields);
    if (opened && opened->message_size() == size_)
      fields_ = *opened;
    else
      kept_.fields = {};
  }
  return fields_ ? &*fields_ : nullptr;
}

Task<Result<const message::StructureView*>> MessageReader::structure() {
  if (view_) co_return &*view_;
  if (!kept_.structure.empty()) {
    auto opened = message::StructureView::open(kept_.structure);
    if (opened && opened->message_size() == size_) {
      view_ = *opened;
      co_return &*view_;
    }
  }
  Result<std::string> stored = co_await account_.read_structure(id_);
  if (stored) {
    blob_ = std::move(*stored);
    auto opened = message::StructureView::open(blob_);
    if (opened && opened->message_size() == size_) {
      view_ = *opened;
      co_return &*view_;
    }
  }
  if (!stored && stored.error().fault() != Fault::storage)
    co_return std::unexpected(stored.error());
  log::warn({}, "the stored structure of message {} of {} is damaged; it is made again", id_.value,
            log::quoted(account_.user()));
  CO_TRY(const std::string message, co_await whole());
  blob_ = co_await host_.make_structure(message);
  CO_TRY(const auto made, message::StructureView::open(blob_));
  view_ = made;
  co_return &*view_;
}

Task<Result<std::string>> MessageReader::bytes(message::Range range) {
  if (range.length == 0) co_return std::string();
  CO_TRY(std::string bytes, co_await account_.read(id_, range.offset, range.length));
  if (bytes.size() != range.length)
    co_return fail(Fault::storage, "the message cannot be read",
                   "message " + std::to_string(id_.value) + " of " + log::quoted(account_.user()) +
                       " is shorter than its index says");
  co_return bytes;
}

bool Unreadable::take(const Error& why) {
  if (why.fault() != Fault::storage || account_.failed()) return false;
  count_++;
  if (count_ <= kMostNamed) log::error(session_, "{}: {}", command_, why.detail());
  if (count_ == kMostNamed) log::error(session_, "{}: more are not named here", command_);
  return true;
}

std::string Unreadable::text(std::string_view what) const {
  const bool one = count_ == 1;
  return std::to_string(count_) + (one ? " message" : " messages") + " could not be " +
         std::string(what) + (one ? ", it is damaged" : ", they are damaged");
}

}  // namespace rims::imapd
