// cli/formats/maildir.h - a tree of Maildirs, as Dovecot and Courier keep it
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/formats/mail_source.h"
#include "cli/formats/maildir_names.h"
#include "common/base/fd.h"

namespace rims::cli {

// `root` holds INBOX (cur, new) and the folders, beside each other (Maildir++) or in each other
// (LAYOUT=fs). Error: there is no such directory.
[[nodiscard]] Result<std::unique_ptr<MailSource>> open_maildir(std::string root);

struct MaildirMessage {
  uint32_t uid = 0;
  uint8_t flags = 0;
  std::vector<std::string> keywords;
  int64_t date = 0;
  int16_t zone = 0;
};

// Writes one mailbox. What an earlier run has written completely is not written again.
class MaildirWriter {
 public:
  // Makes the folder. Error: refused, when another mailbox is there already.
  static Result<MaildirWriter> open(const std::string& root, const std::string& mailbox,
                                    uint32_t uidvalidity, MaildirKeywords letters);
  // True when the message is there already, whole; then only its flags are updated.
  Result<bool> have(const MaildirMessage& message);
  // `bytes`: as they are stored.
  Status put(const MaildirMessage& message, std::string bytes);
  // Writes Dovecot's files. The caller has to call sync_files().
  Status finish(uint32_t uidnext);

 private:
  MaildirWriter() = default;
  [[nodiscard]] std::string name_of(const MaildirMessage& message) const;
  std::string directory_;
  uint32_t uidvalidity_ = 0;
  MaildirKeywords letters_;
  std::unordered_map<uint32_t, std::string> there_;  // file names in cur by uid
  std::string uidlist_;
};

}  // namespace rims::cli
