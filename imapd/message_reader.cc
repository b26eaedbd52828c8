// imapd/message_reader.cc - reading a message and its structure from the store

#include "imapd/message_reader.h"

#include <utility>

#include "common/base/log.h"
#include "imapd/worker.h"

namespace rims::imapd {

Task<Result<const message::StructureView*>> MessageReader::structure() {
  if (view_) co_return &*view_;
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
            account_.user());
  CO_TRY(const std::string message, co_await whole());
  blob_ = co_await worker_.make_structure(message);
  CO_TRY(const auto made, message::StructureView::open(blob_));
  view_ = made;
  co_return &*view_;
}

Task<Result<std::string>> MessageReader::bytes(message::Range range) {
  if (range.length == 0) co_return std::string();
  CO_TRY(std::string bytes, co_await account_.read(id_, range.offset, range.length));
  if (bytes.size() != range.length)
    co_return fail(Fault::storage, "the message cannot be read",
                   "message " + std::to_string(id_.value) + " of " + account_.user() +
                       " is shorter than its index says");
  co_return bytes;
}

}  // namespace rims::imapd
