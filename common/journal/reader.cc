// common/journal/reader.cc - walking, folding and reading a journal that somebody may be writing

#include "common/journal/reader.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>

#include <fmt/format.h>

#include "common/journal/account_dir.h"
#include "common/journal/file_segments.h"
#include "common/mail/bytes.h"

namespace rims::store {
namespace {

constexpr size_t kOpenSegments = 32;
constexpr int kTries = 50;  // reads of what looks damaged, as it may be being written

bool same_places(const std::vector<Damage>& a, const std::vector<Damage>& b) {
  return std::ranges::equal(a, b, [](const Damage& x, const Damage& y) {
    return x.offset == y.offset && x.length == y.length;
  });
}

bool same_record(const Entry& a, const Entry& b) {
  return a.offset == b.offset && a.header.type == b.header.type && a.header.seq == b.header.seq &&
         a.header.flags == b.header.flags && a.header.aux == b.header.aux &&
         a.header.body == b.header.body && a.meta == b.meta;
}

// The records that count are those of the footer, as for the server. What the walk has found in the
// same place adds what a footer does not say.
void take_listed(Scan& found, Scan listed) {
  for (auto& e : listed.entries) {
    const auto walked = std::ranges::lower_bound(found.entries, e.offset, {}, &Entry::offset);
    if (walked != found.entries.end() && same_record(e, *walked)) e = *walked;
  }
  found.entries = std::move(listed.entries);
  std::ranges::move(listed.bytes, std::back_inserter(found.bytes));
  // What is damaged can not be read; but no record, and no number, is lost.
  for (auto& d : found.damages) d.lost = 0;
}

// The first offset where a footer and the records in the segment differ; nullopt: they agree.
std::optional<uint64_t> difference(const std::vector<Entry>& listed,
                                   const std::vector<Entry>& found) {
  const auto [a, b] = std::ranges::mismatch(listed, found, same_record);
  if (a == listed.end() && b == found.end()) return std::nullopt;
  return b == found.end() ? a->offset : b->offset;
}

}  // namespace

std::string to_string(const JournalDamage& damage) {
  if (damage.length == 0 && damage.offset == 0)
    return fmt::format("{}: {}", damage.path, damage.what);
  return fmt::format("{} at offset {}, {} bytes: {}", damage.path, damage.offset, damage.length,
                     damage.what);
}

Result<JournalReader> JournalReader::open(const Fd& base, const std::string& user, Disk& disk,
                                          Owner wanted) {
  TRY(JournalReader reader, beneath(base, account_path(user), disk));
  reader.expect([user](const std::string& named) { return named == user; });
  if (wanted == Owner::user) {
    TRY(const std::string owner, reader.owner());
    if (!owner.empty() && owner != user) return fail_owner(account_path(user), owner, user);
  }
  return reader;
}

Result<JournalReader> JournalReader::beneath(const Fd& base, const std::string& account,
                                             Disk& disk) {
  const std::string path = account + "/journal";
  Fd fd(disk.open(base.get(), path.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!fd && errno == ENOENT)
    return fail(Fault::not_found, "no such account", path + " is missing", "NONEXISTENT");
  if (!fd) return fail_to_open(path, errno);
  return JournalReader(std::move(fd), path, disk);
}

Result<JournalReader> JournalReader::at(const std::string& directory, Disk& disk) {
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd && errno == ENOENT)
    return fail(Fault::not_found, "no such journal", directory + " is missing", "NONEXISTENT");
  if (!fd) return fail_errno("open " + directory, errno);
  return JournalReader(std::move(fd), directory, disk);
}

JournalReader::JournalReader(Fd directory, std::string path, Disk& disk)
    : segments_(std::make_unique<FileSegments>(std::move(directory), std::move(path), disk)) {}

Result<std::vector<uint32_t>> JournalReader::list(const JournalVisitor& visitor) const {
  TRY(const auto names, segments_->names());
  std::vector<uint32_t> numbers;
  for (const auto& name : names) {
    if (const uint32_t number = segment_number(name); number != 0)
      numbers.push_back(number);
    else if (visitor.foreign)
      visitor.foreign(segments_->path() + "/" + name);
  }
  return numbers;
}

// `state` of the result says whether its header is good.
Result<JournalReader::SegmentRef> JournalReader::segment(uint32_t number) {
  if (const auto found = open_.find(number); found != open_.end()) return found->second;
  TRY(KnownSegment known, open_segment(*segments_, number));
  if (open_.size() >= kOpenSegments) open_.erase(open_.begin());
  return open_[number] = std::make_shared<KnownSegment>(std::move(known));
}

// A record may be being written to the last segment while it is scanned. So what looks damaged is
// read again, until two reads give the same: real damage does not change.
Result<Scan> JournalReader::scan(const KnownSegment& known, JournalSegment& segment, bool tail,
                                 bool thorough) {
  const ReadAt read = known.reader();
  std::optional<std::vector<Damage>> before;
  for (int tries = 0;; tries++) {
    TRY(segment.size, known.file->size());
    TRY(auto footer, read_footer(read, segment.size, known.header));
    if (footer && !thorough) return *std::move(footer);
    TRY(Scan found, scan_segment(read, segment.size, known.header, tail && !footer));
    if (footer) {
      if (const auto at = difference(footer->entries, found.entries); at && found.damages.empty())
        found.damages.push_back({*at, 0, 0, "the footer does not list what is there"});
      take_listed(found, *std::move(footer));
      return found;
    }
    if (!tail) {
      found.damages.push_back({found.end, 0, 0, "the footer is missing or damaged"});
      return found;
    }
    if (found.damages.empty() || (before && same_places(*before, found.damages)) || tries >= kTries)
      return found;
    before = found.damages;
  }
}

Result<std::string> JournalReader::owner() {
  TRY(const auto numbers, list({}));
  TRY(const Census census, Census::take(*segments_, numbers, true, owner_));
  return owner_of(*segments_, census);
}

Status JournalReader::visit(const JournalVisitor& visitor, Walk walk) {
  open_.clear();
  const auto damaged = [&](const std::string& path, const Damage& d) {
    if (visitor.damage) visitor.damage({path, d.offset, d.length, d.lost, d.what, d.right, {}});
  };
  const auto left_out = [&](const std::string& path, const Misfit& why) {
    if (visitor.damage) visitor.damage({path, 0, 0, kMostLost, why.what, {}, why.remedy});
  };
  std::optional<SegmentHeader> previous;
  SegmentRef before;     // that of `previous`
  uint32_t done = 0;     // the last number that was looked at
  uint32_t counted = 0;  // the last one of this journal, used or not
  uint64_t end_seq = 0;  // the last record of `previous`, if it was looked at
  for (int missing = 0;;) {
    TRY(auto numbers, list(visitor));
    TRY(const Census census, Census::take(*segments_, numbers, true, owner_));
    std::erase_if(numbers, [&](uint32_t number) { return number <= done; });
    if (numbers.empty()) return {};
    bool again = false, sealed = false;
    for (size_t i = 0; i < numbers.size() && !again; i++) {
      const uint32_t number = numbers[i];
      // No other segment of this journal comes after it.
      const bool last = std::none_of(numbers.begin() + static_cast<ptrdiff_t>(i) + 1, numbers.end(),
                                     [&](uint32_t later) { return census.counts(later); });
      auto opened = segment(number);
      const std::string path = segments_->path() + "/" + segment_name(number);
      if (opened && (*opened)->state == HeaderState::damaged) {
        TRY(const std::string bytes, (*opened)->file->read(kFirstRecord, size_t{64} << 10));
        if (last && all_zero(bytes)) return {};  // it is being made: the journal ends before it
        open_.erase(number);  // its header is written before any record: now it is there
        opened = segment(number);
      }
      if (!opened) {
        // A server that opens the account has moved it to quarantine/, or it can not be opened.
        const int error = opened.error().system();
        if (error == ENOENT && missing++ < kTries) {
          again = true;
          continue;
        }
        const auto why = misfit(opened.error(), path, true);
        if (!why) return std::unexpected(opened.error());
        left_out(path, *why);
        if (why->missed) counted = number;
        done = number;
        continue;
      }
      const SegmentRef known = *opened;
      JournalSegment segment{.number = number, .path = path, .header = known->header};
      if (known->state == HeaderState::damaged) {
        TRY(const uint64_t size, known->file->size());
        damaged(path,
                {0, size, most_uids(size), "both copies of the header are damaged or foreign", {}});
        done = counted = number;
        continue;
      }
      const auto& header = known->header;
      done = number;
      auto why = census.misfit(number, header);
      if (!why && previous &&
          (header.first_seq < previous->first_seq || header.first_seq <= end_seq))
        why = kOutOfOrder;
      if (why) {
        left_out(path, *why);
        if (why->missed) counted = std::max(counted, header.number);
        continue;
      }
      if (!previous && header.first_seq != 1)
        damaged(
            path,
            {0, 0, kMostLost, fmt::format("records before {} are missing", header.first_seq), {}});
      if (previous && number != counted + 1) {
        // A missing name means no loss if its number was skipped, because another file had that
        // name.
        const auto ended = last_record(*before);
        if (!ended || header.first_seq != *ended + 1)
          damaged(path, {0,
                         0,
                         kMostLost,
                         fmt::format("the segments from {:08} to here are missing", counted + 1),
                         {}});
      }
      previous = header;
      before = known;
      end_seq = 0;
      counted = std::max(counted, number);
      // The next one begins at or before the first wanted record, so none is in this one.
      if (!last && walk.from > 1) {
        const auto next = this->segment(numbers[i + 1]);
        if (next && (*next)->state == HeaderState::good && (*next)->header.first_seq <= walk.from &&
            (*next)->header.account == header.account)
          continue;
      }
      auto scanned = scan(*known, segment, last, walk.thorough);
      if (!scanned) {
        damaged(path, {0, 0, kMostLost, scanned.error().detail(), {}});
        continue;
      }
      end_seq = scanned->last_seq;
      segment.end = scanned->end;
      segment.sealed = sealed = scanned->sealed;
      segment.unfinished = scanned->cut;
      if (visitor.segment) visitor.segment(segment);
      if (walk.thorough) {
        TRY(const std::string head, known->file->read(0, kFirstRecord));
        if (const auto hurt = header_damage(head, header); hurt && !hurt->unended)
          damaged(path, {hurt->offset, kFirstRecord - hurt->offset, 0,
                         "one of the two headers; the next opening writes it again"});
      }
      for (const auto& d : scanned->damages) damaged(path, d);
      if (!visitor.record) continue;
      for (const auto& e : scanned->entries) {
        if (e.header.seq < walk.from) continue;
        const Place place{{number, e.offset, e.header.meta, e.header.aux, e.header.body},
                          header.segment,
                          e.header.seq};
        if (!visitor.record({e.header, e.meta, place, header.program})) return {};
      }
    }
    // A segment that was sealed meanwhile has a successor.
    if (!again && !sealed) return {};
  }
}

Result<Folded> JournalReader::fold(FoldUntil until,
                                   const std::function<void(const JournalDamage&)>& damage,
                                   const Before& before) {
  if (until.time != UINT32_MAX) {
    // Clocks may be set back: take the last record that is not later, even if a later one is before
    // it.
    uint64_t last = 0;
    TRY_STATUS(visit({.segment = {},
                      .record =
                          [&](const JournalRecord& record) {
                            if (record.header.time <= until.time) last = record.header.seq;
                            return true;
                          },
                      .damage = {},
                      .foreign = {}}));
    until.seq = std::min(until.seq, last);
  }
  Folded folded;
  Status status;
  const auto apply = [&](const JournalRecord& record) {
    const auto& h = record.header;
    if (h.seq > until.seq) return false;
    auto decoded = decode(h.type, h.version, h.seq, record.meta, record.program);
    if (!decoded) {
      status = fail(
          Fault::storage, "temporary failure",
          fmt::format("{}/{:08} at offset {}: {}", segments_->path(), record.place.location.segment,
                      record.place.location.offset, decoded.error().detail()),
          "UNAVAILABLE");
      return false;
    }
    const JournalEvent event{.seq = h.seq,
                             .time = h.time,
                             .location = record.place.location,
                             .dropped = (h.flags & kDropped) != 0,
                             .record = *std::move(decoded)};
    if (before) before(event, folded.state);
    folded.state.apply(event);
    if (h.time != 0) folded.time = h.time;
    if (const auto* append = std::get_if<Append>(&event.record); append && !event.dropped)
      folded.places[append->entry.message] = record.place;
    return true;
  };
  TRY_STATUS(visit({.segment = {}, .record = apply, .damage = damage, .foreign = {}}));
  TRY_STATUS(std::move(status));
  return folded;
}

Result<Location> JournalReader::find_again(const KnownSegment& known, const Place& place) {
  if (found_segment_ != known.header.segment) {
    found_.clear();
    JournalSegment segment;
    TRY(const Scan found, scan(known, segment, false, false));
    for (const auto& e : found.entries)
      found_[e.header.seq] = {known.header.number, e.offset, e.header.meta, e.header.aux,
                              e.header.body};
    found_segment_ = known.header.segment;
  }
  const auto at = found_.find(place.seq);
  if (at == found_.end())
    return fail(Fault::storage, "the message is damaged",
                fmt::format("{}: record {} is missing", known.path(), place.seq), "UNAVAILABLE");
  return at->second;
}

Result<std::string> JournalReader::read(const Place& place, MessageId message, Part part) {
  TRY(const SegmentRef known, segment(place.location.segment));
  if (known->state != HeaderState::good)
    return fail(Fault::storage, "the message is damaged",
                known->path() + ": both copies of the header are damaged", "UNAVAILABLE");
  Location at = place.location;
  if (known->header.segment != place.segment) {
    TRY(at, find_again(*known, place));
  }
  Seen seen;
  return read_part(known->reader(), known->header.segment, known->path(), at, message, part, 0,
                   UINT64_MAX, 0, seen);
}

Result<std::optional<JournalDamage>> JournalReader::verify(const JournalRecord& record) {
  const auto& at = record.place.location;
  const auto& h = record.header;
  if (record.only_listed()) return std::nullopt;  // the visit has reported it
  TRY(const SegmentRef known, segment(at.segment));
  if (known->header.segment != record.place.segment) return std::nullopt;  // compacted just now
  const ReadAt read = known->reader();
  const auto damaged = [&](uint64_t offset, uint64_t length, std::string_view what) {
    return JournalDamage{.path = known->path(),
                         .offset = offset,
                         .length = length,
                         .what = fmt::format("record {} ({}): {}", h.seq, name(h.type), what)};
  };
  const Id& key = record.place.segment;
  uint64_t offset = at.offset + kRecordHeader;
  // The visit has reported a single wrong bit in it already.
  if (checksum(key, record.meta) != h.meta_sum)
    return damaged(offset, h.meta, "the meta's checksum is wrong");
  offset += h.meta;
  std::optional<JournalDamage> structure;
  TRY(const std::string aux, read(offset, static_cast<size_t>(h.aux)));
  if (aux.size() != h.aux || checksum(key, aux) != h.aux_sum) {
    structure = damaged(offset, h.aux, "the message structure's checksum is wrong");
    structure->spare = true;
  }
  offset += h.aux;
  TRY(const std::string body, read(offset, static_cast<size_t>(h.body)));
  if (body.size() != h.body || checksum(key, body) != h.body_sum)
    return damaged(offset, h.body, "the message's checksum is wrong");
  offset += h.body;
  if (structure) return structure;
  const uint64_t padding = at.offset + h.total() - offset;
  TRY(const std::string zeros, read(offset, static_cast<size_t>(padding)));
  if (!all_zero(zeros)) return damaged(offset, padding, "the padding after it is not all zeros");
  return std::nullopt;
}

}  // namespace rims::store
