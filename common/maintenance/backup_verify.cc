// common/maintenance/backup_verify.cc - is a backup what its manifest says?

#include <algorithm>
#include <cerrno>
#include <fcntl.h>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/journal/account_dir.h"
#include "common/journal/file_segments.h"
#include "common/maintenance/backup.h"
#include "common/maintenance/backup_files.h"

namespace rims::store {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

struct Verifier {
  const AccountDir& dir;
  FileSegments segments{dir};
  const std::function<void(uint64_t, uint64_t)>& progress;
  BackupCheck check;
  uint64_t done = 0, total = 0;
  std::string owner{};  // whom a record names

  void problem(const std::string& file, const std::string& what) {
    check.problems.push_back(fmt::format("{}/{}: {}", dir.path(), file, what));
  }

  Status segment(const BackupSegment& s, BackupEnd& end) {
    const std::string name = "journal/" + segment_name(s.number);
    auto opened = SegmentBytes::open(segments, s.number);
    if (!opened) {
      const int error = opened.error().system();
      if (error == 0 || error == EMFILE || error == ENFILE || error == ENOMEM)
        return std::unexpected(opened.error());
      check.problems.push_back(opened.error().detail());
      return {};
    }
    SegmentBytes& bytes = **opened;
    if (bytes.size() < s.size) {
      problem(name, fmt::format("{} bytes, not {}", bytes.size(), s.size));
      return {};
    }
    Sha256 sum;
    for (uint64_t at = 0; at < s.size;) {
      TRY(const std::string block,
          bytes.read(at, static_cast<size_t>(std::min<uint64_t>(kBlock, s.size - at))));
      if (block.empty()) break;
      sum.add(block);
      at += block.size();
      done += block.size();
      if (progress) progress(done, total);
    }
    if (sum.take() != s.sha256) problem(name, "its SHA-256 is not that of the manifest");
    if (bytes.state() != HeaderState::good) {
      problem(name, "both headers are damaged");
      return {};
    }
    if (bytes.header().segment != s.id || bytes.header().number != s.number ||
        bytes.header().account != check.manifest.account_id) {
      problem(name, "it is another segment than the manifest says");
      return {};
    }
    TRY(const SegmentCheck found, check_segment(bytes.reader(), s.size, bytes.header()));
    for (const auto& d : found.damages) {
      const std::string text =
          fmt::format("at offset {}, {} bytes: {}", d.offset, d.length, d.what);
      if (std::ranges::find(s.damages, d) == s.damages.end())
        problem(name, text);
      else
        check.damages.push_back(fmt::format("{}/{} {}", dir.path(), name, text));
    }
    if (found.from != s.from || found.to != s.to || found.records != s.records ||
        found.sealed != s.sealed)
      problem(name,
              fmt::format("records {} to {}, not {} to {}", found.from, found.to, s.from, s.to));
    // The newest one that names a user counts: accounts can be renamed.
    TRY(auto named, user_named_in(bytes.reader(), bytes.size(), bytes.header()));
    if (named) owner = *std::move(named);
    for (const auto& d : bytes.unreadable()) problem(name, d.what);
    if (found.end.seq >= end.seq) end = found.end;
    check.bytes += s.size;
    return {};
  }
};

}  // namespace

Result<BackupCheck> verify_backup(
    const std::string& path, const std::function<void(uint64_t done, uint64_t total)>& progress) {
  TRY(const AccountDir dir, AccountDir::at(Disk::real(), path));
  Verifier verifier{.dir = dir, .progress = progress, .check = {}};
  auto manifest = read_manifest(dir);
  if (!manifest) {
    if (manifest.error().code() == "VERSION") return std::unexpected(manifest.error());
    verifier.check.problems.push_back(manifest.error().detail());
    return std::move(verifier.check);
  }
  verifier.check.manifest = *std::move(manifest);
  const auto& m = verifier.check.manifest;
  for (const auto& s : m.segments) verifier.total += s.size;
  BackupEnd end;
  uint64_t to = 0;
  for (const auto& s : m.segments) {
    if (s.records != 0 && s.from <= to)
      verifier.problem("journal/" + segment_name(s.number),
                       "it begins before the previous segment ends");
    to = std::max(to, s.to);
    TRY_STATUS(verifier.segment(s, end));
  }
  if (const auto& owner = verifier.owner; !owner.empty() && unique_user_id(owner) != m.account)
    verifier.check.problems.push_back(fmt::format(
        "{0} holds the mail of \"{1}\", not of {2}; \"rims-ctl restore {1} --from {0}\" "
        "restores it to that user",
        dir.path(), owner, m.user.empty() ? "account " + m.account : m.user));
  if (verifier.check.problems.empty() && end != m.end)
    verifier.problem(kManifestName,
                     fmt::format("the last record is {}, not {}", end.seq, m.end.seq));
  TRY(const auto missing, missing_segments(verifier.segments, m.segments));
  for (const auto& text : missing)
    verifier.problem("journal", text +
                                    ", as in the account when it was copied; look for an earlier "
                                    "backup that has them");
  return std::move(verifier.check);
}

Result<BackupManifest> salvage_manifest(const AccountDir& dir, const std::string& account) {
  BackupManifest m;
  m.account = account;
  FileSegments segments(dir);
  TRY(const auto names, segments.names());
  for (const auto& name : names) {
    if (segment_number(name) == 0) continue;
    TRY(const auto opened, SegmentBytes::open(segments, segment_number(name)));
    SegmentBytes& bytes = *opened;
    if (bytes.state() != HeaderState::good) continue;
    BackupSegment s{.number = segment_number(name), .id = bytes.header().segment};
    // Only complete batches are copied, so what does not verify is damage, not a write that was
    // going on.
    s.size = bytes.size();
    TRY(const SegmentCheck found, check_segment(bytes.reader(), s.size, bytes.header()));
    Sha256 sum;
    for (uint64_t at = 0; at < s.size;) {
      TRY(const std::string block, bytes.read(at, kBlock));
      if (block.empty()) break;
      sum.add(block);
      at += block.size();
    }
    s.source_id = s.id;
    s.sha256 = sum.take();
    s.from = found.from;
    s.to = found.to;
    s.records = found.records;
    s.sealed = found.sealed;
    s.damages = found.damages;
    m.account_id = bytes.header().account;
    if (found.end.seq >= m.end.seq) m.end = found.end;
    m.segments.push_back(std::move(s));
  }
  if (m.segments.empty())
    return fail(Fault::not_found, "no backup", dir.path() + " has no segment that can be read");
  return m;
}

Result<std::vector<std::string>> list_backups(const std::string& directory) {
  const Fd dir(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return fail_errno("open " + directory, errno);
  TRY(const auto names, list_directory(Disk::real(), dir.get(), ".", directory));
  if (std::ranges::find(names, "journal") != names.end()) return std::vector<std::string>{""};
  std::vector<std::string> found;
  for (const auto& name : names) {
    const auto account = std::string_view(name).substr(0, 64);
    if (account.size() == 64 && account.find_first_not_of("0123456789abcdef") == account.npos &&
        (name.size() == 64 || name.substr(64).starts_with(".aside-")))
      found.push_back(name);
  }
  return found;
}

}  // namespace rims::store
