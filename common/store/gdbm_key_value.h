// common/store/gdbm_key_value.h - index files by GDBM
//
// Opened NOLOCK (the account directory is locked) and NOMMAP (a file that is cut by somebody else
// must not become a SIGBUS). Whatever GDBM reports, or would end the process for, becomes an
// error, and the index is rebuilt.
#pragma once

#include "common/base/fd.h"
#include "common/store/key_value.h"

namespace rims::store {

class GdbmFiles final : public KeyValueFactory {
 public:
  // With `checksum`, 8 bytes after every value tell a damaged one.
  explicit GdbmFiles(bool checksum) : checksum_(checksum) {}
  Result<std::unique_ptr<KeyValueStore>> open(const std::string& user, const AccountDir* dir,
                                              const std::string& name, OpenMode mode) override;
  Status remove(const std::string& user, const AccountDir* dir, const std::string& name) override;

 private:
  bool checksum_;
};

// One file, with or without checksums, as it says itself.
Result<std::unique_ptr<KeyValueStore>> open_gdbm(Fd fd, const std::string& path, bool read_only);

}  // namespace rims::store
