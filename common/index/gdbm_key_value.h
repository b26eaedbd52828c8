// common/index/gdbm_key_value.h - index files by GDBM
//
// Opened NOLOCK (the account directory is locked) and NOMMAP (a file that somebody else makes
// shorter must not cause a SIGBUS). Whatever GDBM reports, or would end the process for, becomes an
// error, and the index is rebuilt.
#pragma once

#include "common/base/fd.h"
#include "common/index/key_value.h"
#include "common/journal/account_dir.h"
#include "common/journal/open_files.h"

namespace rims::store {

class GdbmFiles final : public KeyValueFactory {
 public:
  // With `checksum`, each value is followed by 8 bytes that show whether it is damaged. A file that
  // is open and not used may be flushed and closed for a while (open_files.h).
  explicit GdbmFiles(bool checksum, OpenFiles& files = OpenFiles::of_process())
      : checksum_(checksum), files_(files) {}
  Result<std::unique_ptr<KeyValueStore>> open(const std::string& user, const AccountDir* dir,
                                              const std::string& name, OpenMode mode) override;
  Status remove(const std::string& user, const AccountDir* dir, const std::string& name) override;
  Status set_aside(const std::string& user, const AccountDir* dir, const std::string& name,
                   const std::string& to) override;
  std::vector<std::string> names(const std::string& user, const AccountDir* dir) override;
  std::vector<std::string> kept_aside(const std::string& user, const AccountDir* dir) override;

 private:
  bool checksum_;
  OpenFiles& files_;
};

// The directories in quarantine/ that an index was moved to: "index-0000000042-91c3".
[[nodiscard]] std::vector<std::string> indexes_kept_aside(const AccountDir& dir);

// One file, with or without checksums, as it says itself.
Result<std::unique_ptr<KeyValueStore>> open_gdbm(Fd fd, const std::string& path, bool read_only);

}  // namespace rims::store
