// cli/formats/mbox_files.h - mbox files in a directory tree, or one of them
//
// Work.sbd/2026 is the mailbox Work/2026, and so is Work/2026. The name of a file may be in
// modified UTF-7, as Dovecot writes it, or in UTF-8. In it, \2e is a dot (files with a dot in front
// are not mailboxes), \26 an ampersand that begins no modified UTF-7, and \5c a backslash.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cli/formats/mail_source.h"
#include "cli/formats/mbox.h"

namespace rims::cli {

// `path`: a directory, or a file that becomes the mailbox `name`.
[[nodiscard]] Result<std::unique_ptr<MailSource>> open_mbox(std::string path, std::string name,
                                                            MboxQuoting quoting);

// What the name of a file or directory, without .sbd, says: one level of a mailbox's name.
[[nodiscard]] std::string level_of_file(std::string_view name);
// Where the file of a mailbox is beneath the directory of an export.
[[nodiscard]] std::string mbox_path(std::string_view mailbox);

}  // namespace rims::cli
