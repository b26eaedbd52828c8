// common/journal/torn.cc - telling an interrupted write from damage

#include "common/journal/torn.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/mail/bytes.h"

namespace rims::store {
namespace {

constexpr size_t kSector = 512;       // what a disk writes as a whole
constexpr size_t kMostTrials = 1024;  // bytes in which a flipped bit is looked for, for each record
constexpr size_t kMostTrialsAtEnd = 8192;  // and in the last batch: half a second
constexpr size_t kMostPieces = 16;         // with a flipped bit each

// The parts of the bytes at `offset` that lie in one sector each.
template <class Each>  // false: stop
bool each_sector(std::string_view bytes, uint64_t offset, const Each& each) {
  for (size_t at = 0; at < bytes.size();) {
    const size_t size = std::min(kSector - (offset + at) % kSector, bytes.size() - at);
    if (!each(at, bytes.substr(at, size))) return false;
    at += size;
  }
  return true;
}

// Changes one bit of bytes[from, to) after the other, until `right` says yes; else it changes none.
template <class Right>
bool flip(std::string& bytes, size_t from, size_t to, const Right& right) {
  for (size_t bit = from * 8; bit < to * 8; bit++) {
    const auto mask = static_cast<char>(1 << bit % 8);
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ mask);
    if (right()) return true;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ mask);
  }
  return false;
}

std::optional<std::string> one_bit_back(std::string_view part, const Id& key, uint64_t sum) {
  std::string trial(part);
  if (!flip(trial, 0, trial.size(), [&] { return checksum(key, trial) == sum; }))
    return std::nullopt;
  return trial;
}

// Without a zero byte, so that an interrupted write of sums can be seen.
Id without_zeros(Id id) {
  std::ranges::replace(id, 0, 0xff);
  return id;
}
uint64_t sum_without_zeros(const Id& key, std::string_view piece) {
  uint64_t sum = checksum(key, piece);
  for (int shift = 0; shift < 64; shift += 8) {
    if ((sum >> shift & 0xff) == 0) sum |= uint64_t{0xff} << shift;
  }
  return sum;
}

// The sums of a part, which has as many pieces.
class Pieces {
 public:
  Pieces(const PieceSums& sums, std::string_view part) : sums_(sums), part_(part) {
    memcpy(key_.data(), sums.key.data(), key_.size());
  }
  [[nodiscard]] bool fit() const { return sums_.sums.size() == count() * sizeof(uint64_t); }
  [[nodiscard]] size_t count() const { return (part_.size() + kSummedPiece - 1) / kSummedPiece; }
  [[nodiscard]] std::string_view piece(size_t n) const {
    return part_.substr(n * kSummedPiece, kSummedPiece);
  }
  [[nodiscard]] bool right(size_t n) const { return is(n, piece(n)); }
  // The piece with one bit changed, if that makes it right.
  [[nodiscard]] std::optional<std::string> mended(size_t n) const {
    std::string trial(piece(n));
    if (!flip(trial, 0, trial.size(), [&] { return is(n, trial); })) return std::nullopt;
    return trial;
  }

 private:
  [[nodiscard]] bool is(size_t n, std::string_view bytes) const {
    return sum_without_zeros(key_, bytes) == get_int<uint64_t>(&sums_.sums[n * sizeof(uint64_t)]);
  }
  const PieceSums& sums_;
  std::string_view part_;
  Id key_{};
};

// Was something written behind these bytes in their sector?
bool goes_on(const Suspect& part, size_t at, std::string_view sector) {
  return at + sector.size() == part.bytes.size() && !all_zero(part.behind);
}

// Whether a sector with some of this piece ends in zeros.
bool may_be_torn(const Suspect& part, size_t piece) {
  const size_t from = piece * kSummedPiece;
  const size_t to = std::min(from + kSummedPiece, part.bytes.size());
  return !each_sector(part.bytes, part.offset, [&](size_t at, std::string_view sector) {
    return at >= to || at + sector.size() <= from || sector.back() != 0 ||
           goes_on(part, at, sector);
  });
}

// Is the last byte of this sector the one that changed?
bool last_byte_changed(std::string_view part, size_t last, const Id& key, uint64_t sum) {
  std::string trial(part);
  return flip(trial, last, last + 1, [&] { return checksum(key, trial) == sum; });
}

std::string_view part_of(const Draft& draft, RecordPart part) {
  if (part == RecordPart::meta) return draft.meta;
  return part == RecordPart::aux ? draft.aux : draft.body;
}

// Other parts are told without sums: see looks_torn().
bool needs_sums(std::string_view part) {
  return part.size() > kMostTrialsAtEnd && part.find('\0') != part.npos;
}

}  // namespace

bool unended(std::string_view found, std::string_view right, uint64_t offset) {
  return each_sector(right, offset, [&](size_t at, std::string_view expected) {
    const auto sector = found.substr(std::min(at, found.size()), expected.size());
    const auto same = std::ranges::mismatch(sector, expected).in1;
    return all_zero({same, sector.end()});
  });
}

size_t left_of_sector(uint64_t offset) {
  return static_cast<size_t>((kSector - offset % kSector) % kSector);
}

bool looks_torn(const Suspect& part, const Id& key) {
  if (part.pieces) {
    const Pieces pieces(*part.pieces, part.bytes);
    for (size_t n = 0; pieces.fit() && n < pieces.count(); n++) {
      if (!pieces.right(n) && may_be_torn(part, n) && !pieces.mended(n)) return true;
    }
    if (pieces.fit()) return false;
  }
  size_t ends = 0, last = 0;  // sectors that end in a zero, and where the last of them does
  const bool all_begun =
      each_sector(part.bytes, part.offset, [&](size_t at, std::string_view sector) {
        if (goes_on(part, at, sector)) return true;
        if (sector.back() == 0) {
          ends++;
          last = at + sector.size() - 1;
        }
        return !all_zero(sector);
      });
  if (!all_begun) return true;
  if (ends == 0) return false;
  // The zeros may belong to the part itself.
  if (std::has_single_bit(checksum(key, part.bytes) ^ part.sum)) return false;
  if (part.bytes.size() <= kMostTrialsAtEnd) return !one_bit_back(part.bytes, key, part.sum);
  // It has no other zeros, or there would be sums of its pieces.
  return ends > 1 || !last_byte_changed(part.bytes, last, key, part.sum);
}

std::optional<std::string> mend(const Suspect& part, const Id& key) {
  if (!part.pieces) {
    if (part.bytes.size() > kMostTrials) return std::nullopt;
    return one_bit_back(part.bytes, key, part.sum);
  }
  const Pieces pieces(*part.pieces, part.bytes);
  if (!pieces.fit()) return std::nullopt;
  std::string right(part.bytes);
  size_t wrong = 0;
  for (size_t n = 0; n < pieces.count(); n++) {
    if (pieces.right(n)) continue;
    if (++wrong > kMostPieces) return std::nullopt;
    const auto piece = pieces.mended(n);
    if (!piece) return std::nullopt;
    right.replace(n * kSummedPiece, piece->size(), *piece);
  }
  if (checksum(key, right) != part.sum) return std::nullopt;
  return right;
}

std::vector<Draft> piece_sums(std::span<const Draft> drafts, size_t behind, uint32_t time) {
  std::vector<Draft> sums;
  for (size_t i = 0; i < drafts.size(); i++) {
    for (const RecordPart part : {RecordPart::meta, RecordPart::aux, RecordPart::body}) {
      const auto bytes = part_of(drafts[i], part);
      if (!needs_sums(bytes)) continue;
      const size_t count = (bytes.size() + kSummedPiece - 1) / kSummedPiece;
      sums.push_back(
          draft(PieceSums{.part = part,
                          .from_last = static_cast<uint32_t>(drafts.size() - 1 - i + behind),
                          .key = std::string(sizeof(Id), '\1'),
                          .sums = std::string(count * sizeof(uint64_t), '\1')},
                time));
    }
  }
  return sums;
}

std::string with_sums(std::span<const Draft> batch, size_t at) {
  PieceSums sums = std::get<PieceSums>(batch[at].record);
  const auto part = part_of(batch[batch.size() - 1 - sums.from_last], sums.part);
  const Id key = without_zeros(random_id());
  memcpy(sums.key.data(), key.data(), key.size());
  for (size_t n = 0; n * kSummedPiece < part.size(); n++)
    put_int(&sums.sums[n * sizeof(uint64_t)],
            sum_without_zeros(key, part.substr(n * kSummedPiece, kSummedPiece)));
  return sums.encode();
}

}  // namespace rims::store
