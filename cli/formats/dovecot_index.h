// cli/formats/dovecot_index.h - Dovecot's index of a mailbox, or of the storage of mdbox
//
//   dovecot.index         all records as they were at one point of the log; may be missing
//   dovecot.index.log     the changes since, in order
//   dovecot.index.log.2   the log before that one
//   dovecot.map.index...  the same three for the storage of mdbox
//
// For sdbox and mdbox these files alone know flags, keywords and UIDs, and for mdbox which message
// is in which mailbox. Integers have the byte order of the machine that wrote them; only
// little-endian ones are read.
//
// Pure: bytes in, values out. Nothing that the bytes say makes more memory or work of them than the
// limits in dovecot_index.cc.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace rims::cli {

// Contents; nullopt: there is no such file.
struct DovecotIndexFiles {
  std::string name = "dovecot.index";  // as messages call it
  std::optional<std::string> index, log, older_log;
};

struct DovecotMessage {
  uint32_t uid = 0;
  uint8_t flags = 0;               // store::kSeen ...
  std::vector<uint16_t> keywords;  // places in DovecotIndex::keywords, each once
  // In the index of a mailbox of mdbox: the UID in the index of the storage; 0: not said.
  uint32_t map_uid = 0;
  // The name that the message has in every mailbox, where the index says it; else zeros.
  std::array<uint8_t, 16> guid{};
  // In the index of the storage: where the message is, and how many mailboxes hold it.
  uint32_t file = 0, offset = 0;
  uint32_t references = 0;
};

struct DovecotIndex {
  uint32_t uidvalidity = 0, uidnext = 0;  // 0: not said
  uint32_t map_uidvalidity = 0;           // of the storage that the mailbox refers to
  bool deleted = false;                   // Dovecot has begun to delete the mailbox
  std::vector<std::string> keywords;
  std::vector<DovecotMessage> messages;  // by UID, ascending
  // Changes that are not known; each says where, and why. Empty: all of it was read.
  std::vector<std::string> gaps;
};

// A message whose expunge is asked for in the log, but not yet done, is expunged.
// Errors: not_found, when there is neither index nor log; refused, when another kind of machine or
// a later version has written them; syntax, when nothing of them can be used.
[[nodiscard]] Result<DovecotIndex> read_dovecot_index(const DovecotIndexFiles& files);

}  // namespace rims::cli
