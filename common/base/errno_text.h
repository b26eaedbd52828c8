// common/base/errno_text.h - what an error number of the system means; for any thread
#pragma once

#include <cerrno>
#include <cstring>

namespace rims {

// "Permission denied". In English, and valid for ever.
[[nodiscard]] inline const char* errno_text(int error_number) {
  const char* text = strerrordesc_np(error_number);
  return text ? text : "unknown error";
}

// What the administrator may do about it: "make room on the file system"; "" when that is not to
// be said in general.
[[nodiscard]] inline const char* errno_remedy(int error_number) {
  switch (error_number) {
    case ENOSPC:
      return "make room on the file system, in bytes or in inodes";
    case EDQUOT:
      return "raise the disk quota of the server's user or make room";
    case EIO:
      return "look for errors of the disk in the kernel's log and replace it";
    case EROFS:
      return "look in the kernel's log for why it is mounted read-only, then mount it read-write";
    case EMFILE:
      return "raise the process's limit of open files";
    case ENFILE:
      return "raise fs.file-max of the system";
    case EACCES:
    case EPERM:
      return "look at owner and mode, also of the directories above";
    case ELOOP:
      return "it is a symbolic link, or beneath one, which is not followed; put the file or "
             "directory itself there";
    case ENOMEM:
      return "give the process more memory";
    default:
      return "";
  }
}

}  // namespace rims
