// cli/import_mail.h - mail of a source into an account, so that it can be interrupted
//
// Each message carries what names it in its source as delivery id of its record: what was taken
// is known from the account itself, at every moment, and a message is taken once, whether it is
// expunged later or not. Many messages share one commit.
//
// A mailbox keeps its UIDVALIDITY and UIDs when the account has no messages in it and never gave
// that UIDVALIDITY out. Otherwise UIDs are new, and Remarks are told.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cli/formats/mail_source.h"
#include "common/message/structure.h"
#include "common/store/offline.h"

namespace rims::cli {

struct ImportOptions {
  std::string kind;  // "maildir": part of what names a message
  message::Limits structure;
  uint64_t batch_messages = 1000;
  uint64_t batch_bytes = uint64_t{4} << 20;
  // Asked before each message: what was read until then is written, and it ends in order.
  std::function<bool()> stop;
};

struct Imported {
  uint64_t mailboxes = 0, messages = 0, bytes = 0;
  uint64_t before = 0;  // messages that were taken by an earlier run
  uint64_t failed = 0;  // messages that could not be taken
  bool stopped = false;
};

// `progress`: messages done and all of the mailbox. An error ends it: the account is at fault.
Result<Imported> import_mail(
    store::OfflineAccount& to, MailSource& from, const ImportOptions& options,
    const Remarks& remarks,
    const std::function<void(const std::string& mailbox, uint64_t done, uint64_t all)>& progress);

// `name`, or the nearest that may be a mailbox (state.h, check_name).
[[nodiscard]] std::string possible_name(const std::string& name);

}  // namespace rims::cli
