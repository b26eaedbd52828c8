// cli/export_mail.h - the mail of an account as Maildirs or mbox files, read without the server
//
// What an earlier run wrote completely is not written again. Line ends are written as LF when an
// import can restore the stored bytes exactly; otherwise the message is written as it is.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cli/formats/mail_source.h"
#include "common/journal/reader.h"

namespace rims::cli {

struct Exported {
  uint64_t mailboxes = 0, messages = 0, bytes = 0;
  uint64_t before = 0;  // messages that an earlier run has written
};

struct ExportJob {
  std::string directory;
  std::string mailbox;  // only this one; empty: all
  std::function<void(const std::string& mailbox, uint64_t done, uint64_t all)> progress;
};

// Error: the directory is not usable, or full.
Result<Exported> export_maildir(store::JournalReader& reader, const store::Folded& account,
                                const ExportJob& job, const Remarks& remarks);
Result<Exported> export_mbox(store::JournalReader& reader, const store::Folded& account,
                             const ExportJob& job, const Remarks& remarks);

}  // namespace rims::cli
