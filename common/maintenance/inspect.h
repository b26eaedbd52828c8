// common/maintenance/inspect.h - looking into accounts that no process serves: for the command line
//
// The functions that take a base directory lock the account (flock) while they run and fail with
// INUSE when a server has it. Nothing is repaired or changed but what is asked for. They block.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/mail/records.h"

namespace rims::store {

class AccountDir;
class JournalReader;
struct JournalRecord;

// Is the index of this account marked as not to be trusted? True also when it is missing or can not
// be read. not_found: no such account.
Result<bool> dirty_flag(const Fd& base, const std::string& user);
// Marking it makes the next opening rebuild the index from the journal. Taking the mark away
// needs a readable index; the journal still decides whether it is trusted.
Status set_dirty_flag(const Fd& base, const std::string& user, bool dirty);
// The same by the account's directory: "base_dir/mailbox.3/2c/26b4...".
Result<bool> dirty_flag(const std::string& directory);
Status set_dirty_flag(const std::string& directory, bool dirty);
Status set_dirty_flag(const AccountDir& dir, bool dirty);

// Repairs the records with one wrong bit in their header or meta, for which the right bytes are
// known, and returns how many. The damaged bytes are copied to quarantine/. `dir` holds the lock on
// the account.
Result<size_t> mend_records(const AccountDir& dir);

// All keys and values of one index file, named by its path, in no order. Values are given without
// their checksum; a damaged one ends in an error after all others were given. Opened for reading
// only.
using EachValue = std::function<void(std::string_view key, std::string_view value)>;
Status dump_index_file(const std::string& path, const EachValue& f);
// "e2", "meta": what doc/storage-format.md calls the key.
[[nodiscard]] std::string readable_key(std::string_view key);

// The same as a person reads it: a line for each message, uid, mailbox and number, in the order of
// the keys, under the names that the original gave them ("mbox_id2name-1"). What has no such form
// comes as it is stored.
struct IndexLine {
  std::string key;
  uint64_t bytes = 0;  // of the message, or of the value
  std::string value;
};
Status read_index_file(const std::string& path, const std::function<void(const IndexLine&)>& f);

// What a record says, in a few words: "mailbox 1 uids 2:5".
[[nodiscard]] std::string describe(const JournalRecord& record);

// Every record from number `from` on in one line: number, time, segment and offset, type, what it
// says. Segments and damages are lines as well.
Status dump_journal(JournalReader& reader, uint64_t from,
                    const std::function<void(const std::string& line)>& f);

}  // namespace rims::store
