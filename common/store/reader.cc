// common/store/reader.cc - walking, folding and reading a journal that somebody may be writing

#include "common/store/reader.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>

#include <fmt/format.h>

#include "common/store/inspect.h"

namespace rims::store {
namespace {

constexpr size_t kOpenFiles = 32;
constexpr int kTries = 50;  // before what looks damaged beside a writer is believed to be

bool is_segment(std::string_view name) {
  return name.size() == 8 && name.find_first_not_of("0123456789") == name.npos;
}

bool all_zero(std::string_view bytes) { return bytes.find_first_not_of('\0') == bytes.npos; }

// A file that can not be read, as opposed to a process that can read nothing more.
bool of_this_file(int error) {
  switch (error) {
    case ENOENT:
    case EACCES:
    case EPERM:
    case EIO:
    case ELOOP:   // a symbolic link
    case EISDIR:  // and other things that are no files
    case ESPIPE:
    case ENXIO:
      return true;
    default:
      return false;
  }
}

bool same_places(const std::vector<Damage>& a, const std::vector<Damage>& b) {
  return std::ranges::equal(a, b, [](const Damage& x, const Damage& y) {
    return x.offset == y.offset && x.length == y.length;
  });
}

// Where a footer and the records that it lists differ; nullopt: nowhere.
std::optional<uint64_t> difference(const std::vector<Entry>& listed,
                                   const std::vector<Entry>& found) {
  const auto same = [](const Entry& a, const Entry& b) {
    return a.offset == b.offset && a.header.type == b.header.type && a.header.seq == b.header.seq &&
           a.header.flags == b.header.flags && a.header.aux == b.header.aux &&
           a.header.body == b.header.body && a.meta == b.meta;
  };
  const auto [a, b] = std::ranges::mismatch(listed, found, same);
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

Result<JournalReader> JournalReader::open(const Fd& base, const std::string& user, Disk& disk) {
  const std::string path = account_path(user) + "/journal";
  Fd fd(disk.open(base.get(), path.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!fd && errno == ENOENT)
    return fail(Fault::not_found, "no such account", path + " is missing", "NONEXISTENT");
  if (!fd) return fail_errno("open " + path, errno);
  return JournalReader(std::move(fd), path, disk);
}

Result<JournalReader> JournalReader::at(const std::string& directory, Disk& disk) {
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd && errno == ENOENT)
    return fail(Fault::not_found, "no such journal", directory + " is missing", "NONEXISTENT");
  if (!fd) return fail_errno("open " + directory, errno);
  return JournalReader(std::move(fd), directory, disk);
}

ReadAt JournalReader::read_at(const FileRef& file) {
  return [disk = disk_, file](uint64_t offset, size_t size) {
    return read_up_to(*disk, file->fd.get(), size, offset, file->path);
  };
}

Result<std::vector<uint32_t>> JournalReader::list(const JournalVisitor& visitor) const {
  TRY(const auto names, list_directory(*disk_, directory_.get(), ".", path_));
  std::vector<uint32_t> numbers;
  for (const auto& name : names) {
    if (is_segment(name))
      numbers.push_back(static_cast<uint32_t>(std::stoul(name)));
    else if (visitor.foreign)
      visitor.foreign(path_ + "/" + name);
  }
  return numbers;
}

// `state` of the result says whether its header is good.
Result<JournalReader::FileRef> JournalReader::file(uint32_t number) {
  if (const auto found = files_.find(number); found != files_.end()) return found->second;
  const std::string name = fmt::format("{:08}", number);
  auto file = std::make_shared<File>();
  file->path = path_ + "/" + name;
  file->fd = Fd(disk_->open(directory_.get(), name.c_str(), O_RDONLY | O_NONBLOCK, 0));
  if (!file->fd) {
    const int error = errno;
    auto failed = fail_errno("open " + file->path, error);
    errno = error;
    return failed;
  }
  TRY(const std::string head, read_up_to(*disk_, file->fd.get(), kFirstRecord, 0, file->path));
  uint32_t version = 0;
  file->state = decode(head, file->header, version);
  if (file->state == HeaderState::newer)
    return fail(Fault::storage, "temporary failure",
                fmt::format("{} has format version {}, this program knows {}: use the version of "
                            "rims that wrote it",
                            file->path, version, kJournalVersion),
                "UNAVAILABLE");
  if (files_.size() >= kOpenFiles) files_.erase(files_.begin());
  files_[number] = file;
  return file;
}

// In the last segment a record may be written while we look: what looks damaged is looked at again,
// until it looks the same twice. What is really damaged does not change.
Result<Scan> JournalReader::scan(const FileRef& file, JournalSegment& segment, bool tail,
                                 bool thorough) {
  const ReadAt read = read_at(file);
  std::optional<std::vector<Damage>> before;
  for (int tries = 0;; tries++) {
    TRY(segment.size, file_size(file->fd.get(), file->path));
    TRY(auto footer, read_footer(read, segment.size, file->header));
    if (footer && !thorough) return *std::move(footer);
    TRY(Scan found, scan_segment(read, segment.size, file->header, tail && !footer));
    if (footer) {
      if (const auto at = difference(footer->entries, found.entries); at && found.damages.empty())
        found.damages.push_back({*at, 0, 0, "the footer does not list what is there"});
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

Status JournalReader::visit(const JournalVisitor& visitor, Walk walk) {
  files_.clear();
  const auto damaged = [&](const std::string& path, const Damage& d) {
    if (visitor.damage) visitor.damage({path, d.offset, d.length, d.lost, d.what, d.right});
  };
  std::optional<SegmentHeader> previous;
  uint32_t done = 0;  // the last number that was looked at
  for (int missing = 0;;) {
    TRY(auto numbers, list(visitor));
    std::erase_if(numbers, [&](uint32_t number) { return number <= done; });
    if (numbers.empty()) return {};
    bool again = false, sealed = false;
    for (size_t i = 0; i < numbers.size() && !again; i++) {
      const uint32_t number = numbers[i];
      const bool last = number == numbers.back();
      errno = 0;
      auto opened = file(number);
      const std::string path = path_ + fmt::format("/{:08}", number);
      if (opened && (*opened)->state == HeaderState::damaged) {
        TRY(const std::string bytes, read_at (*opened)(kFirstRecord, size_t{64} << 10));
        if (last && all_zero(bytes)) return {};  // it is being made: the journal ends before it
        files_.erase(number);  // its header is written before any record: now it is there
        errno = 0;
        opened = file(number);
      }
      if (!opened) {
        // Moved to the quarantine by an opening server; or not to be had.
        if (errno == ENOENT && missing++ < kTries) {
          again = true;
          continue;
        }
        if (!of_this_file(errno)) return std::unexpected(opened.error());
        damaged(path, {0, 0, 1'000'000, opened.error().detail()});
        done = number;
        continue;
      }
      const FileRef& segment_file = *opened;
      JournalSegment segment{.number = number, .path = path, .header = segment_file->header};
      if (segment_file->state == HeaderState::damaged) {
        TRY(const uint64_t size, file_size(segment_file->fd.get(), path));
        damaged(path, {0,
                       size,
                       static_cast<uint32_t>(std::min<uint64_t>(size / 39 + 1, 1'000'000)),
                       "both copies of the header are damaged or foreign",
                       {}});
        done = number;
        continue;
      }
      const auto& header = segment_file->header;
      done = number;
      if (header.number != number) {
        damaged(path, {0, 0, 0, fmt::format("says that it is segment {}", header.number)});
        continue;
      }
      if (previous && header.account != previous->account) {
        damaged(path, {0, 0, 0, "belongs to another account"});
        continue;
      }
      if (previous && header.first_seq < previous->first_seq) {
        damaged(path, {0, 0, 0, "begins before the segment before it"});
        continue;
      }
      if (!previous && header.first_seq != 1)
        damaged(path, {0, 0, 1000, fmt::format("records before {} are missing", header.first_seq)});
      if (previous && number != previous->number + 1)
        damaged(path,
                {0, 0, 1'000'000,
                 fmt::format("the segments from {:08} to here are missing", previous->number + 1)});
      previous = header;
      // The next one begins at or before what is wanted: nothing of this one is.
      if (!last && walk.from > 1) {
        errno = 0;
        const auto next = file(numbers[i + 1]);
        if (next && (*next)->state == HeaderState::good && (*next)->header.first_seq <= walk.from &&
            (*next)->header.account == header.account)
          continue;
      }
      auto scanned = scan(segment_file, segment, last, walk.thorough);
      if (!scanned) {
        damaged(path, {0, 0, 1'000'000, scanned.error().detail()});
        continue;
      }
      segment.end = scanned->end;
      segment.sealed = sealed = scanned->sealed;
      segment.unfinished = scanned->cut;
      if (visitor.segment) visitor.segment(segment);
      if (walk.thorough) {
        TRY(const std::string head, read_at(segment_file)(0, kFirstRecord));
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
        if (!visitor.record({e.header, e.meta, place})) return {};
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
    // Clocks jump back: the last one that is not later, wherever it is.
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
    if (before) before(record, folded.state);
    status = folded.state.apply(h.type, h.seq, h.time, record.meta);
    if (!status) {
      status = fail(Fault::storage, "temporary failure",
                    fmt::format("{}/{:08} at offset {}: {}", path_, record.place.location.segment,
                                record.place.location.offset, status.error().detail()),
                    "UNAVAILABLE");
      return false;
    }
    if (h.time != 0) folded.time = h.time;
    if (h.type == RecordType::append && (h.flags & kDropped) == 0) {
      if (const auto append = Append::decode(record.meta))
        folded.places[append->entry.message] = record.place;
    }
    return true;
  };
  TRY_STATUS(visit({.segment = {}, .record = apply, .damage = damage, .foreign = {}}));
  TRY_STATUS(std::move(status));
  return folded;
}

Result<Location> JournalReader::find_again(const FileRef& file, const Place& place) {
  if (found_segment_ != file->header.segment) {
    found_.clear();
    JournalSegment segment;
    TRY(const Scan found, scan(file, segment, false, false));
    for (const auto& e : found.entries)
      found_[e.header.seq] = {file->header.number, e.offset, e.header.meta, e.header.aux,
                              e.header.body};
    found_segment_ = file->header.segment;
  }
  const auto at = found_.find(place.seq);
  if (at == found_.end())
    return fail(Fault::storage, "the message is damaged",
                fmt::format("{}: record {} is missing", file->path, place.seq), "UNAVAILABLE");
  return at->second;
}

Result<std::string> JournalReader::read(const Place& place, MessageId message, Part part) {
  TRY(const FileRef segment, file(place.location.segment));
  if (segment->state != HeaderState::good)
    return fail(Fault::storage, "the message is damaged",
                segment->path + ": both copies of the header are damaged", "UNAVAILABLE");
  Location at = place.location;
  if (segment->header.segment != place.segment) {
    TRY(at, find_again(segment, place));
  }
  const auto damaged = [&](std::string_view what) {
    return fail(Fault::storage, "the message is damaged",
                fmt::format("damaged: {} at offset {}: {} (message {})", segment->path, at.offset,
                            what, message.value),
                "UNAVAILABLE");
  };
  const Id& key = segment->header.segment;
  const ReadAt read = read_at(segment);
  TRY(const std::string head, read(at.offset, kRecordHeader + at.meta));
  const auto known = decode_or_mend(head, key);
  const RecordHeader* header = known ? &known->header : nullptr;
  if (!header || header->type != RecordType::append || header->meta != at.meta ||
      header->aux != at.aux || header->body != at.body)
    return damaged("no such record header");
  const auto meta = std::string_view(head).substr(kRecordHeader);
  if (meta.size() != at.meta || checksum(key, meta) != header->meta_sum)
    return damaged("record meta");
  const auto record = Append::decode(meta);
  if (!record || record->entry.message != message) return damaged("another message is here");
  if ((header->flags & kDropped) != 0)
    return fail(Fault::not_found, "the message is gone",
                fmt::format("message {} was expunged and its space given back", message.value),
                "NONEXISTENT");
  const bool body = part == Part::message;
  const uint64_t size = body ? at.body : at.aux;
  TRY(std::string bytes,
      read(at.offset + head.size() + (body ? at.aux : uint64_t{0}), static_cast<size_t>(size)));
  if (bytes.size() != size || checksum(key, bytes) != (body ? header->body_sum : header->aux_sum))
    return damaged(body ? "message bytes" : "message structure");
  return bytes;
}

Result<std::optional<JournalDamage>> JournalReader::verify(const JournalRecord& record) {
  const auto& at = record.place.location;
  const auto& h = record.header;
  TRY(const FileRef segment, file(at.segment));
  if (segment->header.segment != record.place.segment) return std::nullopt;  // compacted just now
  const ReadAt read = read_at(segment);
  const auto damaged = [&](uint64_t offset, uint64_t length, std::string_view what) {
    return JournalDamage{segment->path, offset, length, 0,
                         fmt::format("record {} ({}): {}", h.seq, name(h.type), what)};
  };
  const Id& key = record.place.segment;
  uint64_t offset = at.offset + kRecordHeader;
  struct Piece {
    uint64_t size, sum;
    const char* what;
  };
  for (const Piece& piece : {Piece{h.meta, h.meta_sum, "the meta's checksum is wrong"},
                             Piece{h.aux, h.aux_sum, "the message structure's checksum is wrong"},
                             Piece{h.body, h.body_sum, "the message's checksum is wrong"}}) {
    TRY(const std::string bytes, read(offset, static_cast<size_t>(piece.size)));
    if (bytes.size() != piece.size || checksum(key, bytes) != piece.sum)
      return damaged(offset, piece.size, piece.what);
    offset += piece.size;
  }
  const uint64_t padding = at.offset + h.total() - offset;
  TRY(const std::string zeros, read(offset, static_cast<size_t>(padding)));
  if (!all_zero(zeros)) return damaged(offset, padding, "the zeros after it are none");
  return std::nullopt;
}

}  // namespace rims::store
