// cli/formats/mail_source.h - mail of another program, as `rims-ctl import` takes it
//
// A source is read only. What it can not give is told to Remarks, with the file and the reason;
// the rest is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace rims::cli {

struct Remarks {
  // Mail, or a part of what is known about it, that is left behind.
  std::function<void(const std::string& where, const std::string& reason)> not_taken;
  // Taken, but not as it was.
  std::function<void(const std::string& where, const std::string& what)> note;
};

struct FoundMailbox {
  std::string name;          // UTF-8, levels by '/'; INBOX is spelled so
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
  // Once, first.
  virtual Result<std::vector<FoundMailbox>> mailboxes(const Remarks& remarks) = 0;
  // Names as above, which need not exist.
  virtual std::vector<std::string> subscriptions(const Remarks& remarks) = 0;
  // Those with a uid first, ascending; then the others, oldest first.
  virtual Result<std::vector<FoundMessage>> messages(const FoundMailbox& mailbox,
                                                     const Remarks& remarks) = 0;
  // The bytes as they are to be stored. An error concerns this message only.
  virtual Result<std::string> read(const FoundMailbox& mailbox, const FoundMessage& message) = 0;
};

}  // namespace rims::cli
