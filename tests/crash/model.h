// tests/crash/model.h - what IMAP says an account is, in maps that a child could check
//
// Knows nothing of the store: names, UIDs, flags, keywords, and which bytes (by their number, see
// text_of). An operation applied to it also says what listeners have to be told, in order.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/mail/types.h"

namespace rims::store {

// The bytes of the n-th message of a run, and its structure. Runs from kLongTexts on have no short
// ones.
inline constexpr uint64_t kLongTexts = uint64_t{1} << 40;
std::string text_of(uint64_t run, uint32_t number);
std::string structure_of(uint32_t number);

struct ModelMessage {
  uint32_t number = 0;
  uint8_t flags = 0;
  std::set<std::string> keywords;
  uint64_t modseq = 0;  // 0: not known, it was never told
};

struct ModelMailbox {
  uint32_t id = 0;           // 0: not known yet
  uint32_t uidvalidity = 0;  // 0: not known yet
  uint32_t uidnext = 1;
  uint64_t highest = 0;
  std::map<uint32_t, ModelMessage> messages;
  std::map<std::string, std::string> annotations;
};

// What a listener is told.
struct Told {
  enum class Kind : uint8_t {
    appended,
    flags,
    expunged,
    mailboxes,
    annotated
  } kind = Kind::mailboxes;
  std::string mailbox;
  std::vector<uint32_t> uids;
  bool operator==(const Told&) const = default;
};
std::string to_string(const Told& told);

struct Operation {
  enum class Kind : uint8_t {
    append,
    flags,
    expunge,
    copy,
    move,
    annotate,
    replace,
    create,
    remove,
    rename,
    subscribe,
    unsubscribe
  } kind = Kind::append;
  std::string mailbox, to;
  uint32_t mailbox_id = 0, to_id = 0;  // messages' operations name mailboxes by id
  std::vector<uint32_t> uids;          // ascending; one, of a replace
  std::vector<uint32_t> numbers;       // of an append; one, of a replace
  FlagOp op = FlagOp::add;
  uint8_t flags = 0;
  std::set<std::string> keywords;
  uint64_t unchanged_since = UINT64_MAX;
  std::map<std::string, std::string> annotations;  // "": it is removed
  // How it went.
  bool folded = false;  // listeners were told of it
  std::vector<uint32_t> result;
};
std::string to_string(const Operation& operation);

struct Model {
  std::map<std::string, ModelMailbox> mailboxes;
  std::set<std::string> subscriptions;

  [[nodiscard]] const std::string* name_of(uint32_t id) const;
  // What it changes, and what listeners are told; nothing when it changes nothing.
  std::vector<Told> apply(Operation& operation);
};

// Is `found` what `expected` says, as far as that is known? Otherwise the first difference. UIDNEXT
// may have grown: numbers are skipped after a crash.
std::string difference(const Model& expected, const Model& found);

}  // namespace rims::store
