// common/maintenance/restore_segments.h - segments that a journal has lost, or that are damaged,
// made whole from a backup of it
//
// What comes back so is as it was: UIDs, flags, MODSEQ. A segment that is missing, or whose two
// headers are damaged, is copied from the backup. One with damaged records is written again with
// the records of both. Whatever else the journal has stays: it is never set back.
//
//   Blocking; for tools.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/journal/segments.h"
#include "common/maintenance/backup_manifest.h"

namespace rims::store {

struct MendedSegments {
  std::vector<std::string> lines;  // what was done, or would be, for people
  std::vector<std::string> problems;
  uint64_t bytes = 0;  // written
};

// `live`: of an account that nobody has open (take_account, takeover.h). `first` is called before
// anything is changed: from then on its index is not that of the journal any more (set_dirty_flag).
// Without it nothing is changed, only said, and any account will do. A backup of another journal,
// and copies that are not what the manifest says, change nothing. limit: not enough space.
Result<MendedSegments> mend_segments(Segments& live, Segments& copies,
                                     const BackupManifest& manifest, std::function<Status()> first);

}  // namespace rims::store
