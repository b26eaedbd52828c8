// cli/formats/gdbm_file.h - reading a GDBM file of another program, which may be damaged
//
// The file itself is never changed. When GDBM can not walk through it, a private copy is recovered
// (gdbm_recover) and read instead; Remarks are told. The copy lies in a directory of mode 0700
// below $TMPDIR or /tmp, and has lost its name by the time that it is read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/formats/mail_source.h"
#include "common/base/result.h"

struct gdbm_file_info;

namespace rims::cli {

class GdbmFile {
 public:
  // not_found when it is missing. `remarks` must outlive what is returned.
  static Result<GdbmFile> open(const std::string& path, const Remarks& remarks);
  // nullopt: no such key.
  Result<std::optional<std::string>> get(const std::string& key);
  Result<std::vector<std::string>> keys();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(gdbm_file_info* file) const;
  };
  using Handle = std::unique_ptr<gdbm_file_info, Close>;

  explicit GdbmFile(std::string path, const Remarks& remarks)
      : path_(std::move(path)), remarks_(&remarks) {}
  Result<std::optional<std::string>> fetch(std::string key);
  Result<std::vector<std::string>> walk();
  // Reads a recovered copy from now on. `error`: what the file itself gave.
  Status recover(const Error& error);

  Handle file_;
  std::string path_;
  const Remarks* remarks_;
  bool recovered_ = false;
};

}  // namespace rims::cli
