// cli/formats/files.h - files of other programs: size is limited, symbolic links are not followed
//
// An administrator may work here, as root, in a directory that belongs to a user. So no symbolic
// link is followed, in no component of a path: with a link, the user could choose which file root
// reads or writes. real_path() resolves the links in the path that the administrator gave.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"

namespace rims::cli {

// Without symbolic links, "." and ".."; components that do not exist yet are kept as they are.
[[nodiscard]] std::string real_path(const std::string& path);

// Errors: not_found when it is missing, storage when it is not a regular file.
[[nodiscard]] Result<Fd> open_file(const std::string& path);
// For writing; it must not be there yet. Mode 0600.
[[nodiscard]] Result<Fd> create_file(const std::string& path);
// All bytes. limit: more than `max`.
[[nodiscard]] Result<std::string> read_file(const std::string& path, uint64_t max);
// Names in a directory without "." and "..", sorted. not_found when it is missing.
[[nodiscard]] Result<std::vector<std::string>> list_directory(const std::string& path);
[[nodiscard]] bool is_directory(const std::string& path);
[[nodiscard]] bool is_link(const std::string& path);
// As lstat(): of a link itself, not of its target. nullopt when there is none; errno says why.
[[nodiscard]] std::optional<struct stat> look_at(const std::string& path);

Status rename_file(const std::string& from, const std::string& to);
// No error when it does not exist.
void remove_file(const std::string& path);
// Writes `temporary`, then renames it: `path` is the complete new file, or what it was before.
Status write_file(const std::string& path, const std::string& temporary, std::string_view bytes,
                  std::optional<int64_t> mtime = {});
// The same; this is true after a power loss, too.
Status write_file_durably(const std::string& path, const std::string& temporary,
                          std::string_view bytes);
// syncfs(): afterwards all files written so far to the file system of `directory` are on the disk.
Status sync_files(const std::string& directory);
// With missing parents; mode 0700.
Status make_directories(const std::string& path);

// The bytes with LF for CRLF, if wire_lines() of deliver/intake.h turns them back into exactly the
// same bytes; otherwise unchanged.
[[nodiscard]] std::string local_lines(std::string bytes);

}  // namespace rims::cli
