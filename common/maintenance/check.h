// common/maintenance/check.h - is an account sound? Every checksum, every invariant, index against
// journal
//
// The journal is read without a lock, also while a server runs. The index is read only while nobody
// has the account open, and only when its journal ends in CLEAN: otherwise it is not trusted by the
// next opening either. Blocking; nothing is changed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/journal/disk.h"

namespace rims::store {

struct Finding {
  bool damage = true;  // false: only a note
  std::string path;
  uint64_t offset = 0, length = 0;  // both 0: the file as a whole
  std::string what, remedy;
};
// "PATH at offset 1024, 96 bytes: WHAT; REMEDY"
[[nodiscard]] std::string to_string(const Finding& finding);

struct CheckReport {
  std::vector<Finding> findings;
  uint64_t segments = 0, records = 0, mailboxes = 0, messages = 0;
  uint64_t bytes = 0;        // of the segments
  uint64_t last_record = 0;  // its number
  bool index_checked = false;
  std::string index_note;    // why not
  bool index_sound = false;  // it was, and the next opening trusts it
  bool lost = false;         // the journal has lost records, which a sound index may know
  [[nodiscard]] bool sound() const;
};

// `path`: of the account beneath `base`, "mailbox.3/2c/26b4..."; `shown` stands before it in
// messages. not_found: no such account. storage: a newer format, or no permission for its
// directory.
Result<CheckReport> check_account(const Fd& base, const std::string& path, const std::string& shown,
                                  const std::function<void(uint64_t bytes)>& progress = {},
                                  Disk& disk = Disk::real());

}  // namespace rims::store
