// cli/formats/mbox_files.h - mbox files in a directory tree, or one of them
//
// Work.sbd/2026 is the mailbox Work/2026, and so is Work/2026. In a name of a level, \2e is a dot
// (names with a dot in front are not mailboxes).
#pragma once

#include <memory>
#include <string>

#include "cli/formats/mail_source.h"
#include "cli/formats/mbox.h"

namespace rims::cli {

// `path`: a directory, or a file that becomes the mailbox `name`.
[[nodiscard]] Result<std::unique_ptr<MailSource>> open_mbox(std::string path, std::string name,
                                                            MboxQuoting quoting);

// Where the file of a mailbox is beneath the directory of an export.
[[nodiscard]] std::string mbox_path(std::string_view mailbox);

}  // namespace rims::cli
