// common/mail/types.cc - looking up in a mailbox; owning a mapped message

#include "common/mail/types.h"

#include <algorithm>
#include <cerrno>
#include <sys/mman.h>
#include <sys/stat.h>

namespace rims::store {

std::string_view name(SpecialUse use) {
  constexpr std::string_view names[] = {
      "",          "\\Drafts",    "\\Sent",  "\\Junk",      "\\Trash",
      "\\Archive", "\\Important", "\\Memos", "\\Scheduled", "\\Snoozed"};
  static_assert(std::size(names) == static_cast<size_t>(SpecialUse::last) + 1);
  return names[static_cast<size_t>(use)];
}

const MessageEntry* Mailbox::find(Uid uid) const {
  const auto it = std::ranges::lower_bound(messages_, uid, {}, &MessageEntry::uid);
  return it != messages_.end() && it->uid == uid ? &*it : nullptr;
}

std::vector<std::string> Mailbox::keywords_of(const MessageEntry& entry) const {
  std::vector<std::string> names;
  for (const KeywordIndex index : keywords_.of(entry.keywords))
    names.push_back(keywords_.names()[index]);
  return names;
}

bool Mailbox::operator==(const Mailbox& other) const {
  const auto same = [&](MessageEntry a, MessageEntry b) {
    if (!std::ranges::equal(keywords_.of(a.keywords), other.keywords_.of(b.keywords))) return false;
    a.keywords = b.keywords = KeywordSet(0);
    return a == b;
  };
  return info_ == other.info_ && keywords_ == other.keywords_ && loaded_ == other.loaded_ &&
         deleted_ == other.deleted_ && std::ranges::equal(messages_, other.messages_, same);
}

// What goes in front lies at the end of pages of its own, and the file's pages follow: together
// they are one piece, and the file's bytes are not copied.
Result<MessageBytes> MessageBytes::map(const Fd& fd, std::string_view front) {
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return fail_errno("fstat of a message", errno);
  MessageBytes bytes;
  if (st.st_size <= 0) {
    bytes.text_ = front;
    return bytes;
  }
  const auto size = static_cast<size_t>(st.st_size);
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t before = (front.size() + page - 1) / page * page;
  void* at = before == 0 ? mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0)
                         : mmap(nullptr, before + size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return fail_errno("mmap of a message", errno);
  char* start = static_cast<char*>(at);
  bytes.map_ = start;
  bytes.map_size_ = before + size;
  bytes.begin_ = before - front.size();
  if (before == 0) return bytes;
  if (mmap(start + before, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd.get(), 0) == MAP_FAILED)
    return fail_errno("mmap of a message", errno);
  front.copy(start + bytes.begin_, front.size());
  return bytes;
}

MessageBytes::MessageBytes(MessageBytes&& other) noexcept
    : text_(std::move(other.text_)),
      map_(std::exchange(other.map_, nullptr)),
      map_size_(std::exchange(other.map_size_, 0)),
      begin_(std::exchange(other.begin_, 0)) {}

MessageBytes& MessageBytes::operator=(MessageBytes&& other) noexcept {
  if (this != &other) {
    reset();
    text_ = std::move(other.text_);
    map_ = std::exchange(other.map_, nullptr);
    map_size_ = std::exchange(other.map_size_, 0);
    begin_ = std::exchange(other.begin_, 0);
  }
  return *this;
}

MessageBytes::~MessageBytes() { reset(); }

void MessageBytes::reset() {
  // Never written to, and munmap takes no const.
  if (map_) munmap(const_cast<char*>(map_), map_size_);
  map_ = nullptr;
}

}  // namespace rims::store
