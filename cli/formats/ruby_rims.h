// cli/formats/ruby_rims.h - the mail store of the original RIMS, a server in Ruby (0.2 and later)
//
//   base_dir/mailbox.2/<2 hex>/<62 hex>/       SHA-256 of the user name, as here
//     meta.gdbm        mbox_set              "1,2"          ids of mailboxes; also their
//     UIDVALIDITY
//                      mbox_id2name-1        "INBOX"
//                      mbox_id2uid-1         "90"           UIDNEXT
//                      msg_id2date-0         Time           (Marshal)
//                      msg_id2flag-0         "seen,recent"
//                      msg_id2mbox-0         {1 => Set[5]}  (Marshal) uids by mailbox
//                      dirty                                it was not closed in order
//     message.gdbm     0                     the message
//     mailbox_1.gdbm   5                     "0" or "0,deleted": message id by uid
//
// With use_checksum (its default) "md5 <hex> LF" stands before each value.
#pragma once

#include <memory>
#include <string>

#include "cli/formats/mail_source.h"

namespace rims::cli {

// `path`: the directory of the account, or the base directory.
[[nodiscard]] Result<std::unique_ptr<MailSource>> open_ruby_rims(std::string path,
                                                                 const std::string& user);

// A value without its checksum. Error: syntax, when the checksum is wrong.
[[nodiscard]] Result<std::string> ruby_value(std::string stored);

}  // namespace rims::cli
