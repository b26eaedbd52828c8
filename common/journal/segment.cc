// common/journal/segment.cc - finding records in bytes that may be damaged anywhere

#include "common/journal/segment.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include <fmt/format.h>
#include <sodium.h>

#include "common/base/version.h"
#include "common/journal/torn.h"
#include "common/mail/bytes.h"

namespace rims::store {
namespace {

static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == 8);

constexpr size_t kCopyItem = 33;  // bytes of one message in a copy record: bounds uids per byte
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

// Of at least four bytes, the first ones.
uint32_t magic_of(std::string_view bytes) {
  // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): see above
  return get_int<uint32_t>(bytes.data());
}

uint64_t aligned(uint64_t n) { return (n + kRecordAlign - 1) / kRecordAlign * kRecordAlign; }

// How many uids a record can have used.
uint32_t used(const RecordHeader& header) {
  if (header.type == RecordType::append) return 1;
  if (header.type == RecordType::copy) return most_uids(header.meta);
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

uint32_t most_uids(uint64_t bytes) {
  return static_cast<uint32_t>(std::min<uint64_t>(bytes / kCopyItem + 1, kMostLost));
}
uint32_t most_records(uint64_t bytes) {
  return static_cast<uint32_t>(std::min<uint64_t>(bytes / kRecordHeader + 1, kMostLost));
}

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
  out.raw(kSegmentMagic).num(header.version).num(header.number).num(header.first_seq);
  out.raw(view(header.account)).raw(view(header.segment));
  out.raw(std::string_view(header.program).substr(0, kProgramBytes));
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

HeaderState decode(std::string_view bytes, SegmentHeader& header) {
  bool newer = false;
  for (const size_t at : {size_t{0}, kSegmentHeaderCopy}) {
    if (bytes.size() < at + kSegmentHeader) continue;
    const auto one = bytes.substr(at, kSegmentHeader);
    Reader in(one);
    if (in.raw(kSegmentMagic.size()) != kSegmentMagic) continue;
    SegmentHeader read;
    read.version = in.num<uint32_t>();
    read.number = in.num<uint32_t>();
    read.first_seq = in.num<uint64_t>();
    read.account = get_id(in);
    read.segment = get_id(in);
    const auto program = in.raw(kProgramBytes);
    read.program = program.substr(0, program.find('\0'));
    const auto sum = get_int<uint64_t>(one.data() + kSegmentHeader - 8);
    if (checksum(read.segment, one.substr(0, kSegmentHeader - 8)) != sum) continue;
    if (read.version > kJournalVersion) {
      // In another version the other fields may mean something else.
      header.version = read.version;
      header.program = read.program;
      newer = true;
      continue;
    }
    header = read;
    return HeaderState::good;
  }
  return newer ? HeaderState::newer : HeaderState::damaged;
}

std::string newer_format(const SegmentHeader& header) {
  return fmt::format("made by rims {} in format version {}; this program, rims {}, knows {}",
                     header.program.empty() ? "of a later version" : header.program, header.version,
                     program_version(), kJournalVersion);
}

std::optional<HeaderDamage> header_damage(std::string_view bytes, const SegmentHeader& header) {
  const std::string right = encode(header);
  const auto [found, expected] = std::ranges::mismatch(bytes, right);
  if (found == bytes.end() && expected == right.end()) return std::nullopt;
  return HeaderDamage{.offset = static_cast<uint64_t>(expected - right.begin()),
                      .unended = unended(bytes, right, 0)};
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
  if (bytes.size() < kRecordHeader || magic_of(bytes) != kRecordMagic) return std::nullopt;
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

std::optional<KnownHeader> decode_or_mend(std::string_view bytes, const Id& key) {
  if (const auto header = decode_record(bytes, key)) return KnownHeader{.header = *header};
  if (bytes.size() < kRecordHeader || std::popcount(magic_of(bytes) ^ kRecordMagic) > 1)
    return std::nullopt;
  std::string trial(bytes.substr(0, kRecordHeader));
  for (size_t bit = 0; bit < trial.size() * 8; bit++) {
    const auto mask = static_cast<char>(1 << bit % 8);
    trial[bit / 8] = static_cast<char>(trial[bit / 8] ^ mask);
    if (const auto header = decode_record(trial, key))
      return KnownHeader{.header = *header, .mended = true};
    trial[bit / 8] = static_cast<char>(trial[bit / 8] ^ mask);
  }
  return std::nullopt;
}

Damage mended(uint64_t offset, const RecordHeader& header, const Id& key) {
  Damage damage{offset, kRecordHeader, 0,
                fmt::format("record {} ({}): its header has one wrong bit, which is known",
                            header.seq, name(header.type)),
                std::string(kRecordHeader, '\0')};
  encode(header, key, damage.right.data());
  return damage;
}

Damage mended_meta(uint64_t offset, const RecordHeader& header, std::string right) {
  return {offset + kRecordHeader, right.size(), 0,
          fmt::format("record {} ({}): what it says has wrong bits, which are known", header.seq,
                      name(header.type)),
          std::move(right)};
}

namespace {

// Copies `meta` to memory of `scan`; many of them share one piece.
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
    // Search for the first byte: most of what is searched is zeros.
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
    // Compare the whole window first: mostly it is zeros, and there may be a megabyte of them.
    if (bytes[0] != 0 || memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) != 0)
      end = offset + bytes.find_last_not_of('\0') + 1;
    offset += bytes.size();
  }
  return end;
}

// The end of a sealed segment, whose footer stands at `offset`.
std::string encode_trailer(uint64_t offset, const Id& key) {
  Writer trailer;
  trailer.raw(kSealMagic).num(offset).num(uint64_t{0});
  std::string out = trailer.take();
  const uint64_t sum = checksum(key, out);
  return out + Writer().num(sum).take();
}

// What the records of the last batch that was seen say of its pieces.
class BatchSums {
 public:
  void note(const RecordHeader& header, std::string_view meta) {
    if (header.batch_first != batch_) sums_.clear();
    batch_ = header.batch_first;
    auto sums = PieceSums::decode(meta, header.version);
    if (!sums || sums->from_last >= header.batch_count) return;
    const uint64_t seq = batch_ + header.batch_count - 1 - sums->from_last;
    sums_[{seq, sums->part}] = *std::move(sums);
  }
  [[nodiscard]] const PieceSums* of(const RecordHeader& header, RecordPart part) const {
    const auto found = sums_.find({header.seq, part});
    return found == sums_.end() || header.batch_first != batch_ ? nullptr : &found->second;
  }

 private:
  uint64_t batch_ = 0;
  std::map<std::pair<uint64_t, RecordPart>, PieceSums> sums_;
};

// Which parts of an entry, whose meta verifies, do not.
struct Parts {
  bool torn = false;
  const char* damaged = nullptr;
};
Result<Parts> look_at(const ReadAt& read, const Entry& entry, const BatchSums& sums,
                      const Id& key) {
  const auto& h = entry.header;
  const uint64_t start = entry.offset + kRecordHeader + h.meta;
  const uint64_t size = h.aux + h.body;
  // With the rest of the last sector, if the file has it.
  TRY(const std::string parts,
      read(start, static_cast<size_t>(size) + left_of_sector(start + size)));
  if (parts.size() < size) return Parts{.torn = true};
  const auto aux = std::string_view(parts).substr(0, h.aux);
  const auto body = std::string_view(parts).substr(h.aux, h.body);
  const auto behind = [&](size_t at) {
    return std::string_view(parts).substr(at, left_of_sector(start + at));
  };
  Parts found;
  if (checksum(key, aux) != h.aux_sum) {
    found.torn =
        looks_torn({aux, start, h.aux_sum, sums.of(h, RecordPart::aux), behind(h.aux)}, key);
    found.damaged = "the structure of its message";
  }
  if (checksum(key, body) != h.body_sum) {
    found.torn =
        found.torn || looks_torn({body, start + h.aux, h.body_sum, sums.of(h, RecordPart::body),
                                  behind(static_cast<size_t>(size))},
                                 key);
    found.damaged = "its message";
  }
  return found;
}

// One look through a segment.
class Scanner {
 public:
  Scanner(const ReadAt& read, uint64_t file_size, const SegmentHeader& segment)
      : read_(read),
        size_(file_size),
        key_(segment.segment),
        first_seq_(segment.first_seq),
        window_(read, file_size) {}

  Result<Scan> run(bool tail) {
    TRY_STATUS(find_records());
    if (!scan_.sealed) {
      TRY_STATUS(tail ? find_end() : find_rest(end_, 0, "bytes that are no record", false));
    }
    scan_.last_seq = first_seq_ - 1;
    if (!scan_.entries.empty()) scan_.last_seq = scan_.entries.back().header.seq;
    for (const auto& h : hurt_) scan_.last_seq = std::max(scan_.last_seq, h.header.seq);
    scan_.last_batch =
        scan_.entries.empty() ? scan_.end : scan_.entries[first_of_last_batch()].offset;
    return std::move(scan_);
  }

 private:
  // A record that is known to be there, and does not verify.
  struct Hurt {
    uint64_t offset = 0;
    RecordHeader header;
  };

  Status find_records();
  Status look_at_seal(const Entry& footer, bool damaged);
  Status find_end();
  Status find_rest(uint64_t from, uint32_t lost, std::string why, bool tail);
  Result<bool> torn(const Hurt& hurt);
  // If a damage ends at `from`, moves `from` to its beginning, but not before records that were
  // complete once.
  Status take_damages(uint64_t& from, uint32_t& lost, std::string& why);
  [[nodiscard]] size_t first_of_last_batch() const {
    size_t first = scan_.entries.size();
    while (first > 0 &&
           scan_.entries[first - 1].header.batch_first == scan_.entries.back().header.batch_first)
      first--;
    return first;
  }

  const ReadAt& read_;
  uint64_t size_;
  Id key_;
  uint64_t first_seq_;
  Window window_;
  Scan scan_;
  std::vector<Hurt> hurt_;
  BatchSums sums_;
  uint64_t end_ = kFirstRecord;  // of the last record that is known
};

Status Scanner::find_records() {
  uint64_t offset = kFirstRecord;
  uint64_t seq_before = first_seq_ - 1;
  while (true) {
    TRY(const std::string_view head, window_.at(offset, kRecordHeader));
    const auto known = decode_or_mend(head, key_);
    if (!known || offset + known->header.total() > size_) {
      // A record that was cut in the middle, or damage, or the zeros after the last record.
      const bool torn = known.has_value();
      TRY(const uint64_t next,
          find_header(window_, offset + (torn ? kRecordAlign : 0), size_, key_));
      if (next == size_) break;
      scan_.damages.push_back(
          {offset, next - offset, most_uids(next - offset), "no record header", {}});
      offset = next;
      continue;
    }
    const RecordHeader& header = known->header;
    Entry entry{.offset = offset, .header = header, .meta = {}};
    offset += header.total();
    const uint64_t meta_at = entry.offset + kRecordHeader;
    TRY(const std::string_view meta, window_.at(meta_at, header.meta));
    const bool whole = meta.size() == header.meta && checksum(key_, meta) == header.meta_sum;
    if (header.type == RecordType::footer) {
      // Everything before the footer was durable when it was written, so the footer can be made
      // again.
      scan_.sealed = true;
      scan_.end = entry.offset;
      const bool torn = !whole && looks_torn({meta, meta_at, header.meta_sum}, key_);
      return look_at_seal(entry, known->mended || (!whole && !torn));
    }
    end_ = offset;
    std::optional<std::string> right;
    if (!whole && meta.size() == header.meta)
      right = mend({meta, meta_at, header.meta_sum, sums_.of(header, RecordPart::meta)}, key_);
    if (!whole && !right) {
      hurt_.push_back({entry.offset, header});
      scan_.damages.push_back({entry.offset,
                               header.total(),
                               used(header),
                               fmt::format("record {} ({})", header.seq, name(header.type)),
                               {}});
      continue;
    }
    if (header.seq <= seq_before) {
      scan_.damages.push_back({entry.offset,
                               header.total(),
                               used(header),
                               fmt::format("record {} after {}", header.seq, seq_before),
                               {}});
      continue;
    }
    if (known->mended) scan_.damages.push_back(mended(entry.offset, header, key_));
    seq_before = header.seq;
    entry.meta = keep(scan_, right ? std::string_view(*right) : meta);
    if (header.type == PieceSums::kType) sums_.note(header, entry.meta);
    if (right) scan_.damages.push_back(mended_meta(entry.offset, header, *std::move(right)));
    scan_.entries.push_back(entry);
  }
  return {};
}

// The footer, the zeros after it and the trailer, which a crash may have left unwritten.
Status Scanner::look_at_seal(const Entry& footer, bool damaged) {
  const uint64_t total = footer.header.total();
  if (damaged) scan_.damages.push_back({footer.offset, total, 0, "the footer", {}});
  const uint64_t at = footer.offset + kRecordHeader + footer.header.meta;
  std::string right(static_cast<size_t>(footer.offset + total - at), '\0');
  right += encode_trailer(footer.offset, key_);
  TRY(const std::string rest, read_(at, right.size()));
  if (!unended(rest, right, at)) scan_.damages.push_back({at, rest.size(), 0, "the trailer", {}});
  return {};
}

Result<bool> Scanner::torn(const Hurt& hurt) {
  const uint64_t at = hurt.offset + kRecordHeader;
  const size_t size = hurt.header.meta;
  TRY(const std::string_view bytes, window_.at(at, size + left_of_sector(at + size)));
  const auto* sums = sums_.of(hurt.header, RecordPart::meta);
  return looks_torn({bytes.substr(0, size), at, hurt.header.meta_sum, sums,
                     bytes.substr(std::min(size, bytes.size()))},
                    key_);
}

Status Scanner::take_damages(uint64_t& from, uint32_t& lost, std::string& why) {
  while (!scan_.damages.empty()) {
    const auto& last = scan_.damages.back();
    if (last.offset + last.length != from || !last.right.empty()) break;
    if (!hurt_.empty() && hurt_.back().offset == last.offset) {
      TRY(const bool never_ended, torn(hurt_.back()));
      if (!never_ended) break;
      hurt_.pop_back();
    }
    from = last.offset;
    lost += last.lost;
    why = last.what;
    scan_.damages.pop_back();
  }
  return {};
}

// The last batch is used completely, or not at all when its write was interrupted. A batch that was
// complete once was acknowledged: damage in it is reported as everywhere, and the rest is served.
Status Scanner::find_end() {
  uint32_t lost = 0;
  std::string why = "bytes that are no record";
  uint64_t from = end_;
  TRY_STATUS(take_damages(from, lost, why));
  auto& entries = scan_.entries;
  const bool hurt_is_last =
      !hurt_.empty() && (entries.empty() || hurt_.back().offset > entries.back().offset);
  if (entries.empty() && !hurt_is_last) return find_rest(from, lost, std::move(why), true);

  const RecordHeader last = hurt_is_last ? hurt_.back().header : entries.back().header;
  const auto in_batch = [&](const RecordHeader& h) { return h.batch_first == last.batch_first; };
  size_t first = entries.size(), first_hurt = hurt_.size();
  while (first > 0 && in_batch(entries[first - 1].header)) first--;
  while (first_hurt > 0 && in_batch(hurt_[first_hurt - 1].header)) first_hurt--;
  bool ended = entries.size() - first + hurt_.size() - first_hurt == last.batch_count;
  for (size_t i = first_hurt; ended && i < hurt_.size(); i++) {
    TRY(const bool never_ended, torn(hurt_[i]));
    ended = !never_ended;
  }
  std::vector<Damage> damaged;
  for (size_t i = first; ended && i < entries.size(); i++) {
    TRY(const Parts parts, look_at(read_, entries[i], sums_, key_));
    ended = !parts.torn;
    const auto& h = entries[i].header;
    if (parts.damaged)
      damaged.push_back({entries[i].offset,
                         h.total(),
                         0,
                         fmt::format("record {} ({}): {}", h.seq, name(h.type), parts.damaged),
                         {}});
  }
  if (ended) {
    scan_.damages.insert(scan_.damages.end(), damaged.begin(), damaged.end());
    std::ranges::stable_sort(scan_.damages, {}, &Damage::offset);
    return find_rest(from, lost, std::move(why), true);
  }
  bool begins = false;  // is the first record of the batch among those that are known?
  const auto drop = [&](uint64_t offset, const RecordHeader& h) {
    begins = begins || h.seq == last.batch_first;
    from = std::min(from, offset);
  };
  for (size_t i = first; i < entries.size(); i++) {
    drop(entries[i].offset, entries[i].header);
    lost += used(entries[i].header);
  }
  for (size_t i = first_hurt; i < hurt_.size(); i++) drop(hurt_[i].offset, hurt_[i].header);
  entries.resize(first);
  hurt_.resize(first_hurt);
  while (!scan_.damages.empty() && scan_.damages.back().offset >= from) {
    lost += scan_.damages.back().lost;
    scan_.damages.pop_back();
  }
  if (!begins) {
    TRY_STATUS(take_damages(from, lost, why));
  }
  why = fmt::format("batch of {} records from {} on", last.batch_count, last.batch_first);
  return find_rest(from, lost, std::move(why), true);
}

// Bytes from `from` on that are not zero are not a record, or not one of this journal.
Status Scanner::find_rest(uint64_t from, uint32_t lost, std::string why, bool tail) {
  TRY(const uint64_t bytes_end, end_of_bytes(window_, from, size_));
  if (bytes_end > from) {
    if (bytes_end > end_) lost += most_uids(bytes_end - end_);
    Damage rest{from, bytes_end - from, lost, std::move(why), {}};
    if (tail) {
      std::erase_if(scan_.damages, [&](const Damage& d) { return d.offset >= from; });
      scan_.cut = std::move(rest);
    } else {
      scan_.damages.push_back(std::move(rest));
    }
  }
  scan_.end = tail ? from : end_;
  return {};
}

}  // namespace

Result<Scan> scan_segment(const ReadAt& read, uint64_t file_size, const SegmentHeader& segment,
                          bool tail) {
  return Scanner(read, file_size, segment).run(tail);
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
  // It may be as large as the segment: it is not copied.
  std::string out = list.take();
  RecordHeader h;
  h.type = RecordType::footer;
  h.version = kFooterVersion;
  h.meta = static_cast<uint32_t>(out.size());
  h.seq = seq;
  h.id = unique;
  h.batch_first = seq;
  h.batch_count = 1;
  h.meta_sum = checksum(segment.segment, out);
  h.aux_sum = h.body_sum = checksum(segment.segment, {});
  out.insert(0, kRecordHeader, '\0');
  encode(h, segment.segment, out.data());
  out.resize(aligned(out.size()));
  out += encode_trailer(offset, segment.segment);
  return out;
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
  scan.last_seq = header->seq;
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
