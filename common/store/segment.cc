// common/store/segment.cc - finding records in bytes that may be damaged anywhere

#include "common/store/segment.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <sodium.h>

#include "common/store/bytes.h"

namespace rims::store {
namespace {

static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == 8);

constexpr size_t kCopyItem = 39;  // bytes of one message in a copy record: bounds uids per byte
constexpr uint32_t kMostLost = 1'000'000;
constexpr size_t kWindow = size_t{256} << 10;

Id get_id(Reader& in) {
  Id id{};
  const auto bytes = in.raw(id.size());
  if (bytes.size() == id.size()) memcpy(id.data(), bytes.data(), id.size());
  return id;
}

std::string_view view(const Id& id) {
  return {reinterpret_cast<const char*>(id.data()), id.size()};
}

uint64_t aligned(uint64_t n) { return (n + kRecordAlign - 1) / kRecordAlign * kRecordAlign; }

uint32_t bound(uint64_t bytes) {
  return static_cast<uint32_t>(std::min<uint64_t>(bytes / kCopyItem + 1, kMostLost));
}

// How many uids a record can have used.
uint32_t used(const RecordHeader& header) {
  if (header.type == RecordType::append) return 1;
  if (header.type == RecordType::copy) return bound(header.meta);
  return 0;
}

// Reads a file through one window, so that many small records cost few reads.
class Window {
 public:
  Window(const ReadAt& read, uint64_t size) : read_(read), size_(size) {}
  // Fewer than `count` bytes at the end of the file. The view lives until the next call.
  Result<std::string_view> at(uint64_t offset, size_t count) {
    if (offset >= size_) return std::string_view();
    count = static_cast<size_t>(std::min<uint64_t>(count, size_ - offset));
    if (offset < start_ || offset + count > start_ + bytes_.size()) {
      // After a jump over a large body little is read at first.
      const size_t ahead = offset == start_ + bytes_.size() || offset < start_ + 2 * kWindow
                               ? kWindow
                               : size_t{4096};
      TRY(bytes_, read_(offset, static_cast<size_t>(
                                    std::min<uint64_t>(std::max(count, ahead), size_ - offset))));
      start_ = offset;
    }
    const size_t skip = static_cast<size_t>(offset - start_);
    if (skip >= bytes_.size()) return std::string_view();
    return std::string_view(bytes_).substr(skip, count);
  }

 private:
  const ReadAt& read_;
  uint64_t size_;
  uint64_t start_ = 0;
  std::string bytes_;
};

}  // namespace

Id random_id() {
  Id id{};
  randombytes_buf(id.data(), id.size());
  return id;
}

uint64_t checksum(const Id& key, std::string_view bytes) {
  unsigned char sum[crypto_shorthash_BYTES];
  crypto_shorthash(sum, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                   key.data());
  return get_int<uint64_t>(reinterpret_cast<const char*>(sum));
}

std::string encode(const SegmentHeader& header) {
  Writer out;
  out.raw(kSegmentMagic).num(kJournalVersion).num(header.number).num(header.first_seq);
  out.raw(view(header.account)).raw(view(header.segment));
  std::string one = out.take();
  one.resize(kSegmentHeader - 8);
  const uint64_t sum = checksum(header.segment, one);
  one.resize(kSegmentHeader);
  put_int(one.data() + kSegmentHeader - 8, sum);
  std::string both = one;
  both.resize(kSegmentHeaderCopy);
  both += one;
  both.resize(kFirstRecord);
  return both;
}

HeaderState decode(std::string_view bytes, SegmentHeader& header, uint32_t& version) {
  bool newer = false;
  for (const size_t at : {size_t{0}, kSegmentHeaderCopy}) {
    if (bytes.size() < at + kSegmentHeader) continue;
    const auto one = bytes.substr(at, kSegmentHeader);
    Reader in(one);
    if (in.raw(kSegmentMagic.size()) != kSegmentMagic) continue;
    version = in.num<uint32_t>();
    SegmentHeader read;
    read.number = in.num<uint32_t>();
    read.first_seq = in.num<uint64_t>();
    read.account = get_id(in);
    read.segment = get_id(in);
    const auto sum = get_int<uint64_t>(one.data() + kSegmentHeader - 8);
    if (checksum(read.segment, one.substr(0, kSegmentHeader - 8)) != sum) continue;
    if (version > kJournalVersion) {
      newer = true;
      continue;
    }
    header = read;
    return HeaderState::good;
  }
  return newer ? HeaderState::newer : HeaderState::damaged;
}

uint64_t RecordHeader::total() const {
  return aligned(kRecordHeader + uint64_t{meta} + aux + body);
}

void encode(const RecordHeader& h, const Id& key, char* to) {
  put_int(to, kRecordMagic);
  put_int(to + 4, static_cast<uint16_t>(h.type));
  put_int(to + 6, h.version);
  put_int(to + 7, h.flags);
  put_int(to + 8, h.meta);
  put_int(to + 12, h.aux);
  put_int(to + 16, h.body);
  put_int(to + 24, h.seq);
  memcpy(to + 32, h.id.data(), 16);
  put_int(to + 48, h.batch_first);
  put_int(to + 56, h.batch_count);
  put_int(to + 60, h.time);
  put_int(to + 64, h.meta_sum);
  put_int(to + 72, h.aux_sum);
  put_int(to + 80, h.body_sum);
  put_int(to + 88, checksum(key, {to, 88}));
}

std::optional<RecordHeader> decode_record(std::string_view bytes, const Id& key) {
  if (bytes.size() < kRecordHeader || get_int<uint32_t>(bytes.data()) != kRecordMagic)
    return std::nullopt;
  if (checksum(key, bytes.substr(0, 88)) != get_int<uint64_t>(bytes.data() + 88))
    return std::nullopt;
  Reader in(bytes.substr(4));
  RecordHeader h;
  h.type = static_cast<RecordType>(in.num<uint16_t>());
  h.version = in.num<uint8_t>();
  h.flags = in.num<uint8_t>();
  h.meta = in.num<uint32_t>();
  h.aux = in.num<uint32_t>();
  h.body = in.num<uint64_t>();
  h.seq = in.num<uint64_t>();
  h.id = get_id(in);
  h.batch_first = in.num<uint64_t>();
  h.batch_count = in.num<uint32_t>();
  h.time = in.num<uint32_t>();
  h.meta_sum = in.num<uint64_t>();
  h.aux_sum = in.num<uint64_t>();
  h.body_sum = in.num<uint64_t>();
  if (h.body > (uint64_t{1} << 40) || h.seq == 0) return std::nullopt;
  return h;
}

namespace {

// Copies `meta` to where it stays, many to one piece of memory.
std::string_view keep(Scan& scan, std::string_view meta) {
  constexpr size_t kPiece = size_t{32} << 10;
  if (scan.bytes.empty() ||
      scan.bytes.back()->capacity() - scan.bytes.back()->size() < meta.size()) {
    scan.bytes.push_back(std::make_unique<std::string>());
    scan.bytes.back()->reserve(std::max(meta.size(), kPiece));
  }
  std::string& piece = *scan.bytes.back();
  const size_t at = piece.size();
  piece.append(meta);  // within its capacity: nothing moves
  return std::string_view(piece).substr(at);
}

// Looks for the next header of this segment from `offset` on; file_size when there is none.
Result<uint64_t> find_header(Window& window, uint64_t offset, uint64_t file_size, const Id& key) {
  while (offset + kRecordHeader <= file_size) {
    TRY(const std::string_view bytes, window.at(offset, kWindow));
    if (bytes.size() < kRecordHeader) break;
    const size_t last = bytes.size() - kRecordHeader;
    // By its first byte: what is searched is zeros, mostly.
    for (size_t i = 0; (i = bytes.find(static_cast<char>(kRecordMagic & 0xff), i)) <= last; i++) {
      if (i % kRecordAlign != 0 || get_int<uint32_t>(bytes.data() + i) != kRecordMagic) continue;
      if (decode_record(bytes.substr(i, kRecordHeader), key)) return offset + i;
    }
    offset += last / kRecordAlign * kRecordAlign + kRecordAlign;
  }
  return file_size;
}

// The end of the last byte that is not zero, from `offset` on.
Result<uint64_t> end_of_bytes(Window& window, uint64_t offset, uint64_t file_size) {
  uint64_t end = offset;
  while (offset < file_size) {
    TRY(const std::string_view bytes, window.at(offset, kWindow));
    if (bytes.empty()) break;
    // As a whole at first: it is zeros, mostly, and there may be a megabyte of them.
    if (bytes[0] != 0 || memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) != 0)
      end = offset + bytes.find_last_not_of('\0') + 1;
    offset += bytes.size();
  }
  return end;
}

// Are meta, aux and body of this entry what its header says?
Result<bool> whole(const ReadAt& read, const Entry& entry, const Id& key) {
  const auto& h = entry.header;
  const uint64_t size = uint64_t{h.meta} + h.aux + h.body;
  TRY(const std::string parts, read(entry.offset + kRecordHeader, static_cast<size_t>(size)));
  if (parts.size() != size) return false;
  const std::string_view all = parts;
  return checksum(key, all.substr(0, h.meta)) == h.meta_sum &&
         checksum(key, all.substr(h.meta, h.aux)) == h.aux_sum &&
         checksum(key, all.substr(size_t{h.meta} + h.aux)) == h.body_sum;
}

}  // namespace

Result<Scan> scan_segment(const ReadAt& read, uint64_t file_size, const SegmentHeader& segment,
                          bool tail) {
  const Id& key = segment.segment;
  Window window(read, file_size);
  Scan scan;
  uint64_t offset = kFirstRecord;
  uint64_t seq_before = segment.first_seq - 1;
  uint64_t end = kFirstRecord;  // of the last whole record
  while (true) {
    TRY(const std::string_view head, window.at(offset, kRecordHeader));
    auto header = decode_record(head, key);
    if (!header || offset + header->total() > file_size) {
      // A record that was cut in the middle, or damage, or the zeros after the last record.
      const bool torn = header.has_value();
      TRY(const uint64_t next,
          find_header(window, offset + (torn ? kRecordAlign : 0), file_size, key));
      if (next == file_size) break;
      scan.damages.push_back({offset, next - offset, bound(next - offset), "no record header"});
      offset = next;
      continue;
    }
    Entry entry{.offset = offset, .header = *header, .meta = {}};
    offset += header->total();
    TRY(const std::string_view meta, window.at(entry.offset + kRecordHeader, header->meta));
    if (meta.size() != header->meta || checksum(key, meta) != header->meta_sum) {
      scan.damages.push_back({entry.offset, header->total(), used(*header),
                              fmt::format("record {} ({})", header->seq, name(header->type))});
      end = offset;
      continue;
    }
    if (header->type == RecordType::footer) {
      scan.sealed = true;
      scan.end = entry.offset;
      return scan;
    }
    if (header->seq <= seq_before) {
      scan.damages.push_back({entry.offset, header->total(), used(*header),
                              fmt::format("record {} after {}", header->seq, seq_before)});
      end = offset;
      continue;
    }
    seq_before = header->seq;
    entry.meta = keep(scan, meta);
    scan.entries.push_back(entry);
    end = offset;
  }
  scan.end = end;

  // The last batch: whole, or nothing of it. What is damaged at the very end is part of it.
  uint64_t from = end;  // what is cut begins here
  uint32_t lost = 0;
  std::string why = "bytes that are no record";
  const auto take_damages = [&] {
    while (!scan.damages.empty() &&
           scan.damages.back().offset + scan.damages.back().length == from) {
      from = scan.damages.back().offset;
      lost += scan.damages.back().lost;
      why = scan.damages.back().what;
      scan.damages.pop_back();
    }
  };
  const auto last_batch = [&] {
    size_t first = scan.entries.size();
    while (first > 0 &&
           scan.entries[first - 1].header.batch_first == scan.entries.back().header.batch_first)
      first--;
    return first;
  };
  if (tail) take_damages();
  if (tail && !scan.entries.empty()) {
    const size_t first = last_batch();
    const auto last = scan.entries.back().header;
    bool good = scan.entries.size() - first == last.batch_count;
    for (size_t i = first; good && i < scan.entries.size(); i++) {
      TRY(good, whole(read, scan.entries[i], key));
    }
    if (!good) {
      for (size_t i = first; i < scan.entries.size(); i++) lost += used(scan.entries[i].header);
      from = scan.entries[first].offset;
      while (!scan.damages.empty() && scan.damages.back().offset > from) {
        lost += scan.damages.back().lost;
        scan.damages.pop_back();
      }
      // Its first records may be among what was not recognised just before.
      if (scan.entries[first].header.seq != last.batch_first) take_damages();
      why = fmt::format("batch of {} records from {} on", last.batch_count, last.batch_first);
      scan.entries.resize(first);
    }
  }
  TRY(const uint64_t bytes_end, end_of_bytes(window, from, file_size));
  if (bytes_end > from) {
    if (bytes_end > end) lost += bound(bytes_end - end);
    Damage rest{from, bytes_end - from, lost, why};
    if (tail)
      scan.cut = std::move(rest);
    else
      scan.damages.push_back(std::move(rest));
  }
  if (tail) scan.end = from;
  scan.last_batch = scan.entries.empty() ? scan.end : scan.entries[last_batch()].offset;
  return scan;
}

std::string encode_footer(const std::vector<Entry>& entries, uint64_t offset, uint64_t seq,
                          const SegmentHeader& segment, const Id& unique) {
  Writer list;
  list.num(static_cast<uint32_t>(entries.size()));
  for (const auto& e : entries) {
    list.num(e.offset).num(static_cast<uint16_t>(e.header.type)).num(e.header.version);
    list.num(e.header.flags).num(e.header.meta).num(e.header.aux).num(e.header.body);
    list.num(e.header.seq).num(e.header.time).raw(e.meta);
  }
  const std::string meta = list.take();
  RecordHeader h;
  h.type = RecordType::footer;
  h.version = kFooterVersion;
  h.meta = static_cast<uint32_t>(meta.size());
  h.seq = seq;
  h.id = unique;
  h.batch_first = seq;
  h.batch_count = 1;
  h.meta_sum = checksum(segment.segment, meta);
  h.aux_sum = h.body_sum = checksum(segment.segment, {});
  std::string out(kRecordHeader, '\0');
  encode(h, segment.segment, out.data());
  out += meta;
  out.resize(aligned(out.size()));
  Writer trailer;
  trailer.raw(kSealMagic).num(offset).num(uint64_t{0});
  std::string end = trailer.take();
  const uint64_t sum = checksum(segment.segment, end);
  return out + end + Writer().num(sum).take();
}

bool decode_footer(std::string_view meta, uint8_t version, uint64_t limit,
                   std::vector<Entry>& entries) {
  if (version > kFooterVersion) return false;  // scanning finds the same
  Reader in(meta);
  const auto count = in.num<uint32_t>();
  uint64_t least = kFirstRecord;
  uint64_t seq = 0;
  for (uint32_t i = 0; i < count && in.ok(); i++) {
    Entry e;
    e.offset = in.num<uint64_t>();
    e.header.type = static_cast<RecordType>(in.num<uint16_t>());
    e.header.version = in.num<uint8_t>();
    e.header.flags = in.num<uint8_t>();
    e.header.meta = in.num<uint32_t>();
    e.header.aux = in.num<uint32_t>();
    e.header.body = in.num<uint64_t>();
    e.header.seq = in.num<uint64_t>();
    if (version > 1) e.header.time = in.num<uint32_t>();
    e.meta = in.raw(e.header.meta);
    if (!in.ok() || e.offset < least || e.header.body > limit ||
        e.offset + e.header.total() > limit || e.header.seq <= seq)
      return false;
    least = e.offset + e.header.total();
    seq = e.header.seq;
    entries.push_back(e);
  }
  return in.done();
}

Result<std::optional<Scan>> read_footer(const ReadAt& read, uint64_t file_size,
                                        const SegmentHeader& segment) {
  const Id& key = segment.segment;
  if (file_size < kFirstRecord + kTrailer) return std::nullopt;
  TRY(const std::string trailer, read(file_size - kTrailer, kTrailer));
  if (trailer.size() != kTrailer || !trailer.starts_with(kSealMagic) ||
      checksum(key, std::string_view(trailer).substr(0, 24)) !=
          get_int<uint64_t>(trailer.data() + 24))
    return std::nullopt;
  const auto offset = get_int<uint64_t>(trailer.data() + 8);
  if (offset < kFirstRecord || offset > file_size - kTrailer) return std::nullopt;
  Scan scan;
  TRY(std::string bytes, read(offset, static_cast<size_t>(file_size - kTrailer - offset)));
  const auto header = decode_record(bytes, key);
  if (!header || header->type != RecordType::footer ||
      kRecordHeader + uint64_t{header->meta} > bytes.size())
    return std::nullopt;
  scan.bytes.push_back(std::make_unique<std::string>(std::move(bytes)));
  const auto meta = std::string_view(*scan.bytes.back()).substr(kRecordHeader, header->meta);
  if (checksum(key, meta) != header->meta_sum ||
      !decode_footer(meta, header->version, offset, scan.entries))
    return std::nullopt;
  scan.end = offset;
  scan.sealed = true;
  return scan;
}

Result<std::optional<Entry>> read_clean_end(const ReadAt& read, uint64_t file_size,
                                            const SegmentHeader& segment, Clean& clean) {
  constexpr uint64_t kSize = kRecordHeader + 24;  // seq and checkpoint
  if (file_size < kFirstRecord + kSize || file_size % kRecordAlign != 0) return std::nullopt;
  TRY(const std::string bytes, read(file_size - kSize, kSize));
  const auto header = decode_record(bytes, segment.segment);
  if (!header || header->type != RecordType::clean || header->total() != kSize ||
      header->batch_count != 1)
    return std::nullopt;
  const auto meta = std::string_view(bytes).substr(kRecordHeader, header->meta);
  if (checksum(segment.segment, meta) != header->meta_sum) return std::nullopt;
  const auto mark = Clean::decode(meta);
  if (!mark) return std::nullopt;
  clean = *mark;
  return Entry{.offset = file_size - kSize, .header = *header, .meta = {}};
}

}  // namespace rims::store
