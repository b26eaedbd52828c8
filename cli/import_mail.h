// cli/import_mail.h - import mail of a source into an account; it can be interrupted and continued
//
// The record of each imported message has a delivery id that is made from its key in the source. So
// the account itself always says what was imported, and a message is imported only once, even if it
// was expunged since. Many messages share one commit.
//
// A mailbox keeps its UIDVALIDITY and UIDs when the account has no messages in it and never gave
// that UIDVALIDITY out. Otherwise UIDs are new, and Remarks reports it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/formats/mail_source.h"
#include "common/account/offline.h"
#include "common/message/structure.h"

namespace rims::cli {

struct ImportOptions {
  std::string kind;  // "maildir": part of what names a message
  message::Limits structure;
  uint64_t batch_messages = 1000;
  uint64_t batch_bytes = uint64_t{4} << 20;
  // Asked before each message. When true, what was read so far is written, and the import ends in
  // order.
  std::function<bool()> stop;
};

struct Imported {
  uint64_t mailboxes = 0, messages = 0, bytes = 0;
  uint64_t before = 0;  // messages that were taken by an earlier run
  uint64_t failed = 0;  // messages that could not be taken
  bool stopped = false;
};

// `mailboxes`: what `from` has listed. `progress`: messages done and all of the mailbox. Only an
// error of the account ends the import.
Result<Imported> import_mail(
    store::OfflineAccount& to, MailSource& from, const std::vector<FoundMailbox>& mailboxes,
    const ImportOptions& options, const Remarks& remarks,
    const std::function<void(const std::string& mailbox, uint64_t done, uint64_t all)>& progress);

// `name`, or the nearest that may be a mailbox (state.h, check_name).
[[nodiscard]] std::string possible_name(const std::string& name);

}  // namespace rims::cli
