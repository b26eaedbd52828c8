// cli/formats/mail_source.h - mail of another program, as `rims-ctl import` takes it
//
// A source is never changed. What can not be read is reported to Remarks, with the file and the
// reason; the rest is imported.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace rims::cli {

struct Remarks {
  // Mail, or flags, dates or UIDs of mail, that could not be imported or exported.
  std::function<void(const std::string& where, const std::string& reason)> not_taken;
  // Imported or exported, but with a change.
  std::function<void(const std::string& where, const std::string& what)> note;
};

struct FoundMailbox {
  std::string name;          // UTF-8, levels by '/'; INBOX in capitals
  std::string where;         // file or directory, for messages
  uint32_t uidvalidity = 0;  // 0: the source has none
  uint32_t uidnext = 0;      // the same
};

struct FoundMessage {
  std::string key;    // the same in each run, different from all others of the mailbox
  std::string where;  // file, or file and offset
  uint32_t uid = 0;   // 0: none
  uint8_t flags = 0;  // store::kSeen ...
  std::vector<std::string> keywords;
  int64_t date = 0;                 // seconds since 1970 (UTC)
  int16_t zone = 0;                 // minutes east of UTC
  uint64_t offset = 0, length = 0;  // for the source itself
};

class MailSource {
 public:
  MailSource() = default;
  MailSource(const MailSource&) = delete;
  MailSource& operator=(const MailSource&) = delete;
  virtual ~MailSource() = default;
  // Called once, before the other functions. `remarks` must outlive the source.
  virtual Result<std::vector<FoundMailbox>> mailboxes(const Remarks& remarks) = 0;
  // Names as in FoundMailbox; there may be no such mailbox.
  virtual std::vector<std::string> subscriptions(const Remarks& remarks) = 0;
  // Those with a uid first, ascending; then the others, oldest first.
  virtual Result<std::vector<FoundMessage>> messages(const FoundMailbox& mailbox,
                                                     const Remarks& remarks) = 0;
  // The bytes as they are to be stored. An error concerns this message only.
  virtual Result<std::string> read(const FoundMailbox& mailbox, const FoundMessage& message) = 0;
};

}  // namespace rims::cli
