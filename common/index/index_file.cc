// common/index/index_file.cc - see index_file.h

#include "common/index/index_file.h"

#include <cerrno>

#include <sodium.h>

#include "common/base/errno_text.h"
#include "common/journal/disk.h"

namespace rims::store {

Status remove_index_file(const AccountDir& dir, const std::string& file) {
  if (dir.disk().unlink(dir.fd(), file.c_str()) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR) return fail_errno("unlink " + dir.path() + "/" + file, errno);
  TRY_STATUS(dir.make_directory("quarantine"));
  const std::string to = "quarantine/" + file + "-" + std::to_string(randombytes_random());
  if (dir.disk().rename(dir.fd(), file.c_str(), to.c_str()) != 0)
    return fail_errno("rename " + dir.path() + "/" + file, errno);
  return {};
}

}  // namespace rims::store
