// cli/formats/files.h - files of other programs: read with a limit, and only if they are files
//
// An administrator may act here on a folder that belongs to a user. So no symbolic link on the way
// is followed, wherever it stands: a link that a user planted leads nowhere. real_path() resolves
// the links of what the administrator named.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"

namespace rims::cli {

// Without symbolic links, "." and ".."; what does not exist yet of it stays as it was named.
[[nodiscard]] std::string real_path(const std::string& path);

// What is no regular file is refused. not_found when it is missing.
[[nodiscard]] Result<Fd> open_file(const std::string& path);
// For writing; it must not be there yet. Mode 0600.
[[nodiscard]] Result<Fd> create_file(const std::string& path);
// All bytes. limit: more than `max`.
[[nodiscard]] Result<std::string> read_file(const std::string& path, uint64_t max);
// Names in a directory without "." and "..", sorted. not_found when it is missing.
[[nodiscard]] Result<std::vector<std::string>> list_directory(const std::string& path);
[[nodiscard]] bool is_directory(const std::string& path);
[[nodiscard]] bool is_link(const std::string& path);
// Of the thing itself when it is a link. nullopt when there is none; errno says why.
[[nodiscard]] std::optional<struct stat> look_at(const std::string& path);

Status rename_file(const std::string& from, const std::string& to);
// It need not be there.
void remove_file(const std::string& path);
// Written beside as `temporary`, then renamed: `path` is the whole file or what it was before.
Status write_file(const std::string& path, const std::string& temporary, std::string_view bytes,
                  int64_t mtime = -1);
// The same, after a power loss as well.
Status write_file_durably(const std::string& path, const std::string& temporary,
                          std::string_view bytes);
// All files written so far to the file system of `directory` are on the disk.
Status sync_files(const std::string& directory);
// With missing parents; mode 0700.
Status make_directories(const std::string& path);

// The bytes with LF for CRLF where the rule of deliver/intake.h leads back to them exactly;
// otherwise as they are.
[[nodiscard]] std::string local_lines(std::string bytes);

}  // namespace rims::cli
