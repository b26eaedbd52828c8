// common/journal/rewrite.cc - record by record from the old file into the new one

#include "common/journal/rewrite.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace rims::store {
namespace {

constexpr uint64_t kPiece = 1 << 20;  // read, written and flushed at a time

}  // namespace

SegmentRewriter::SegmentRewriter(std::shared_ptr<Segments> segments, KnownSegment old,
                                 std::vector<MessageId> drop)
    : segments_(std::move(segments)),
      old_(std::move(old)),
      read_(old_.reader()),
      drop_(std::move(drop)) {
  made_.header = old_.header;
  made_.header.segment = random_id();
  made_.state = HeaderState::good;
  result_.segment = old_.header.number;
}

std::unexpected<Error> SegmentRewriter::damaged(uint64_t offset, std::string_view what) const {
  return fail(Fault::storage, "temporary failure",
              fmt::format("{} at offset {}: {}; it is not compacted", old_.path(), offset, what));
}

Status SegmentRewriter::write(std::string bytes) {
  TRY_STATUS(made_.file->write({{bytes.data(), bytes.size()}}, offset_));
  offset_ += bytes.size();
  return {};
}

Status SegmentRewriter::begin() {
  TRY(const uint64_t size, old_.file->size());
  TRY(auto found, read_footer(read_, size, old_.header));
  if (!found) return damaged(size, "no footer");
  found_ = *std::move(found);
  result_.before = size;
  TRY(made_.file, segments_->create_replacement(old_.header.number));
  return write(encode(made_.header));
}

Status SegmentRewriter::copy(const Entry& old, std::string& out) {
  const auto& listed = old.header;
  bool dropped = (listed.flags & kDropped) != 0;
  MessageId message;
  if (listed.type == RecordType::append) {
    const auto append = Append::decode(old.meta, listed.version);
    if (!append) return damaged(old.offset, "an append record that is not understood");
    message = append->entry.message;
    dropped = dropped || std::ranges::binary_search(drop_, message);
  }
  const bool parts = !dropped;
  const uint64_t size =
      kRecordHeader + uint64_t{listed.meta} + (parts ? listed.aux + listed.body : 0);
  TRY(const std::string bytes, read_(old.offset, static_cast<size_t>(size)));
  if (bytes.size() != size) return damaged(old.offset, "the segment ends inside the record");
  const auto header = decode_record(bytes, old_.header.segment);
  if (!header || header->type != listed.type || header->seq != listed.seq ||
      header->meta != listed.meta || header->aux != listed.aux || header->body != listed.body)
    return damaged(old.offset, "no such record header");
  const std::string_view all = bytes;
  const auto meta = all.substr(kRecordHeader, listed.meta);
  const auto aux = parts ? all.substr(kRecordHeader + meta.size(), listed.aux) : "";
  const auto body = parts ? all.substr(kRecordHeader + meta.size() + aux.size()) : "";
  const auto sound = [&](std::string_view part, uint64_t sum) {
    return checksum(old_.header.segment, part) == sum;
  };
  if (meta != old.meta || !sound(meta, header->meta_sum)) return damaged(old.offset, "record meta");
  if (parts && (!sound(aux, header->aux_sum) || !sound(body, header->body_sum)))
    return damaged(old.offset, "the message's bytes");

  RecordHeader h = *header;
  if (dropped) h.flags |= kDropped;
  h.aux = static_cast<uint32_t>(aux.size());
  h.body = body.size();
  h.meta_sum = checksum(made_.header.segment, meta);
  h.aux_sum = checksum(made_.header.segment, aux);
  h.body_sum = checksum(made_.header.segment, body);
  const uint64_t at = offset_ + out.size();
  const size_t start = out.size();
  out.resize(start + kRecordHeader);
  encode(h, made_.header.segment, out.data() + start);
  out.append(meta).append(aux).append(body);
  out.resize(start + static_cast<size_t>(h.total()));
  entries_.push_back({.offset = at, .header = h, .meta = old.meta});
  if (listed.type == RecordType::append)
    result_.places.push_back({message, {old_.header.number, at, h.meta, h.aux, h.body}, dropped});
  return {};
}

Result<uint64_t> SegmentRewriter::step() {
  std::string out;
  const size_t first = next_;
  for (; next_ < found_.entries.size() && out.size() < kPiece; next_++) {
    TRY_STATUS(copy(found_.entries[next_], out));
  }
  if (next_ == first) return 0;
  const uint64_t moved = out.size();
  TRY_STATUS(write(std::move(out)));
  // Flush each piece: one large flush at the end would delay those of all other accounts.
  TRY_STATUS(made_.file->flush(SegmentFile::Flush::data));
  return 2 * moved;
}

Status SegmentRewriter::finish() {
  TRY_STATUS(write(encode_footer(entries_, offset_, found_.last_seq, made_.header, random_id())));
  result_.after = offset_;
  return made_.file->flush(SegmentFile::Flush::all);
}

Status SegmentRewriter::replace() { return segments_->replace(old_.header.number, *made_.file); }

void SegmentRewriter::discard() {
  made_.file.reset();
  // The next opening tries again.
  (void)segments_->remove(replacement_name(old_.header.number));
}

}  // namespace rims::store
