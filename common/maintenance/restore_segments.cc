// common/maintenance/restore_segments.cc - segments of a backup back in the journal

#include "common/maintenance/restore_segments.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <sodium.h>

#include "common/base/encoding.h"
#include "common/maintenance/backup_files.h"

namespace rims::store {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

class Mend {
 public:
  Mend(Segments& live, Segments& copies, const BackupManifest& manifest,
       std::function<Status()> first)
      : live_(live),
        copies_(copies),
        manifest_(manifest),
        dry_run_(!first),
        first_(std::move(first)) {}

  Result<MendedSegments> run() {
    TRY_STATUS(look());
    // Other names than these are taken by what came after the loss.
    for (const auto& copy : manifest_.segments) {
      if (copy.records == 0) continue;
      TRY_STATUS(one(copy));
    }
    return std::move(done_);
  }

 private:
  struct Known {
    std::unique_ptr<SegmentBytes> bytes;  // none: it can not be opened
    std::optional<SegmentCheck> check;
  };

  Status look();
  Status one(const BackupSegment& copy);
  [[nodiscard]] bool usable(const Known& known) const;
  // No segment of this journal comes after the one of this number.
  [[nodiscard]] bool ends_journal(uint32_t number) const;
  // That the records of the copy are between those of the segments beside its number. A last one
  // that is missing does not fit: nobody knows how many numbers were given out after the backup.
  Result<bool> fits(const BackupSegment& copy);
  Result<SegmentCheck*> checked(Known& known);
  Result<bool> is_sound(SegmentBytes& bytes, const BackupSegment& copy) const;
  Result<bool> same_records(SegmentBytes& copy, uint64_t size, SegmentBytes& live) const;
  Status put_back(const BackupSegment& copy, SegmentBytes& bytes);
  Status merge(const BackupSegment& copy, SegmentBytes& bytes, Known& known);
  Status keep_what_is_left_out(uint32_t number, Known& known, const SegmentCheck& made);
  static bool lacks_nothing(const Known& known, const SegmentCheck& made) {
    return made.to != 0 && made.to >= known.check->to &&
           made.records == made.to - known.bytes->header().first_seq + 1;
  }
  Status begin() { return first_ ? std::exchange(first_, {})() : Status(); }
  std::string path_of(uint32_t number) const { return live_.path() + "/" + segment_name(number); }
  void tell(uint32_t number, std::string_view done) {
    done_.lines.push_back(fmt::format("{} {} from the backup", path_of(number), done));
  }

  Segments& live_;
  Segments& copies_;
  const BackupManifest& manifest_;
  const bool dry_run_;
  std::function<Status()> first_;  // empty: it was called
  std::map<uint32_t, Known> known_;
  MendedSegments done_;
};

Status Mend::look() {
  TRY(const auto names, live_.names());
  for (const auto& name : names) {
    const uint32_t number = segment_number(name);
    if (number == 0) continue;
    auto opened = SegmentBytes::open(live_, number);
    if (!opened && opened.error().system() == 0) return std::unexpected(opened.error());
    known_[number] = {opened ? *std::move(opened) : nullptr, std::nullopt};
  }
  return {};
}

Result<SegmentCheck*> Mend::checked(Known& known) {
  if (!known.check) {
    SegmentBytes& bytes = *known.bytes;
    TRY(known.check, check_segment(bytes.reader(), bytes.size(), bytes.header()));
  }
  return &*known.check;
}

bool Mend::usable(const Known& known) const {
  return known.bytes && known.bytes->state() == HeaderState::good &&
         known.bytes->header().account == manifest_.account_id;
}

bool Mend::ends_journal(uint32_t number) const {
  return std::none_of(known_.upper_bound(number), known_.end(),
                      [this](const auto& later) { return usable(later.second); });
}

Result<bool> Mend::fits(const BackupSegment& copy) {
  const auto there = known_.lower_bound(copy.number);
  const auto after = std::find_if(there, known_.end(), [&](const auto& known) {
    return known.first != copy.number && usable(known.second);
  });
  if (after == known_.end() || after->second.bytes->header().first_seq <= copy.to) return false;
  // It was the last one then, and got more records, which would be missing without a trace.
  if (!copy.sealed && after->second.bytes->header().first_seq != copy.to + 1) return false;
  for (auto it = there; it != known_.begin();) {
    --it;
    if (!usable(it->second)) continue;
    TRY(const auto* before, checked(it->second));
    return before->to < copy.from;
  }
  return true;
}

Result<bool> Mend::is_sound(SegmentBytes& bytes, const BackupSegment& copy) const {
  Sha256 sum;
  for (uint64_t at = 0; at < copy.size;) {
    TRY(const std::string block,
        bytes.read(at, static_cast<size_t>(std::min<uint64_t>(kBlock, copy.size - at))));
    if (block.empty()) return false;
    sum.add(block);
    at += block.size();
  }
  return sum.take() == copy.sha256 && bytes.unreadable().empty();
}

// One may lack records that the other has; none is another one.
Result<bool> Mend::same_records(SegmentBytes& copy, uint64_t size, SegmentBytes& live) const {
  TRY(const Scan ours, scan_segment(copy.reader(), size, copy.header(), false));
  TRY(const Scan theirs, scan_segment(live.reader(), live.size(), live.header(), false));
  std::map<uint64_t, Id> ids;
  for (const auto& e : ours.entries) ids[e.header.seq] = e.header.id;
  return std::ranges::all_of(theirs.entries, [&](const Entry& e) {
    const auto found = ids.find(e.header.seq);
    return found == ids.end() || found->second == e.header.id;
  });
}

Status Mend::one(const BackupSegment& copy) {
  const auto there = known_.find(copy.number);
  Known* const known = there == known_.end() ? nullptr : &there->second;
  // What can not be opened needs another remedy, which is told elsewhere.
  if (known && !known->bytes) return {};
  const bool headless = known && known->bytes->state() == HeaderState::damaged;
  if (known && !headless) {
    const SegmentHeader& header = known->bytes->header();
    if (header.account != manifest_.account_id || header.number != copy.number) return {};
    TRY(const auto* check, checked(*known));
    // One that was cut between two records has nothing in it that is damaged.
    const bool cut = copy.sealed && !check->sealed && check->records < copy.records;
    if (check->damages.empty() && !cut) return {};
    // As a last one that is missing: after what the backup has, more may have been given out.
    if (ends_journal(copy.number) && check->to < copy.to) return {};
  } else {
    TRY(const bool in_order, fits(copy));
    if (!in_order) return {};
  }
  auto opened = SegmentBytes::open(copies_, copy.number);
  if (!opened) return {};  // said by whoever reads the backup
  SegmentBytes& bytes = **opened;
  if (bytes.state() != HeaderState::good || bytes.header().segment != copy.id ||
      bytes.header().account != manifest_.account_id || bytes.header().number != copy.number)
    return {};
  TRY(const bool sound, is_sound(bytes, copy));
  if (!sound) return {};
  if (known && !headless) {
    TRY(const bool same, same_records(bytes, copy.size, *known->bytes));
    return same ? merge(copy, bytes, *known) : Status();
  }
  return put_back(copy, bytes);
}

Status Mend::put_back(const BackupSegment& copy, SegmentBytes& bytes) {
  const bool headless = known_.contains(copy.number);
  tell(copy.number, dry_run_ ? "would be put back" : "was put back");
  if (dry_run_) return {};
  TRY(NewSegment file, NewSegment::create(live_, copy.number));
  while (file.size() < copy.size) {
    TRY(const std::string block, bytes.read(file.size(), static_cast<size_t>(std::min<uint64_t>(
                                                             kBlock, copy.size - file.size()))));
    TRY_STATUS(file.write(block));
  }
  TRY_STATUS(file.flush());
  TRY_STATUS(begin());
  if (headless) {
    Id unique{};
    randombytes_buf(unique.data(), unique.size());
    const std::string name = segment_name(copy.number);
    TRY_STATUS(live_.move_aside(
        name, name + "-headless-" +
                  to_hex(std::string_view(reinterpret_cast<const char*>(unique.data()), 4))));
  }
  TRY_STATUS(file.put_in_place());
  done_.bytes += file.size();
  // The next one is compared with it.
  TRY(known_[copy.number].bytes, SegmentBytes::open(live_, copy.number));
  known_[copy.number].check.reset();
  return {};
}

// Bytes of the old segment that no record of the new one stands for.
Status Mend::keep_what_is_left_out(uint32_t number, Known& known, const SegmentCheck& made) {
  if (lacks_nothing(known, made)) return {};
  for (const auto& d : known.check->damages) {
    TRY(const std::string bytes, known.bytes->read(d.offset, static_cast<size_t>(d.length)));
    TRY_STATUS(live_.keep_copy(fmt::format("{}-{}-mended", segment_name(number), d.offset), bytes));
  }
  return {};
}

Status Mend::merge(const BackupSegment& copy, SegmentBytes& bytes, Known& known) {
  if (dry_run_) {
    tell(copy.number, "would be mended, as far as it can be,");
    return {};
  }
  TRY(NewSegment file, NewSegment::create(live_, copy.number));
  SegmentHeader header = known.bytes->header();
  std::vector<std::string> left_out;
  TRY_STATUS(merge_segments(bytes, copy.size, *known.bytes, file, header.segment, left_out));
  TRY(const SegmentCheck made, check_segment(file.reader(), file.size(), header));
  // What is damaged may not be in the backup, or as damaged there. But the damage may be of the
  // footer alone.
  const bool whole = made.damages.empty() && lacks_nothing(known, made);
  if (!whole && made.records <= known.check->records - known.check->broken) return {};
  TRY_STATUS(file.flush());
  TRY_STATUS(begin());
  TRY_STATUS(keep_what_is_left_out(copy.number, known, made));
  TRY_STATUS(file.put_in_place());
  tell(copy.number, "was mended");
  for (const auto& text : left_out) done_.problems.push_back(text);
  done_.bytes += file.size();
  TRY(known.bytes, SegmentBytes::open(live_, copy.number));
  known.check.reset();
  return {};
}

}  // namespace

Result<MendedSegments> mend_segments(Segments& live, Segments& copies,
                                     const BackupManifest& manifest,
                                     std::function<Status()> first) {
  return Mend(live, copies, manifest, std::move(first)).run();
}

}  // namespace rims::store
