// common/store/rewrite.cc - record by record from the old file into the new one

#include "common/store/rewrite.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>

#include <fmt/format.h>

namespace rims::store {
namespace {

constexpr uint64_t kPiece = 1 << 20;  // read, written and flushed at a time

}  // namespace

SegmentRewriter::SegmentRewriter(std::shared_ptr<AccountDir> dir, ReadAt read,
                                 const SegmentHeader& header, std::string path,
                                 std::vector<MessageId> drop)
    : dir_(std::move(dir)),
      read_(std::move(read)),
      old_(header),
      made_(header),
      path_(std::move(path)),
      name_(fmt::format("journal/{:08}", header.number)),
      new_name_(name_ + ".new"),
      drop_(std::move(drop)) {
  made_.segment = random_id();
  result_.segment = header.number;
}

std::unexpected<Error> SegmentRewriter::damaged(uint64_t offset, std::string_view what) const {
  return fail(Fault::storage, "temporary failure",
              fmt::format("{} at offset {}: {}; it is not compacted", path_, offset, what));
}

Status SegmentRewriter::write(std::string bytes) {
  std::vector<iovec> pieces{{bytes.data(), bytes.size()}};
  TRY_STATUS(write_all(dir_->disk(), file_.get(), std::move(pieces), offset_, path_ + ".new"));
  offset_ += bytes.size();
  return {};
}

Status SegmentRewriter::begin(uint64_t file_size) {
  TRY(auto found, read_footer(read_, file_size, old_));
  if (!found) return damaged(file_size, "no footer");
  found_ = *std::move(found);
  result_.before = file_size;
  // What an earlier attempt has left.
  if (dir_->disk().unlink(dir_->fd(), new_name_.c_str()) != 0 && errno != ENOENT)
    return fail_errno("unlink " + path_ + ".new", errno);
  TRY(file_, dir_->open_file(new_name_, O_RDWR | O_CREAT | O_EXCL));
  return write(encode(made_));
}

Status SegmentRewriter::copy(const Entry& old, std::string& out) {
  const auto& listed = old.header;
  bool dropped = (listed.flags & kDropped) != 0;
  MessageId message;
  if (listed.type == RecordType::append) {
    const auto append = Append::decode(old.meta);
    if (!append) return damaged(old.offset, "an append record that says nothing");
    message = append->entry.message;
    dropped = dropped || std::ranges::binary_search(drop_, message);
  }
  const bool parts = !dropped;
  const uint64_t size =
      kRecordHeader + uint64_t{listed.meta} + (parts ? listed.aux + listed.body : 0);
  TRY(const std::string bytes, read_(old.offset, static_cast<size_t>(size)));
  if (bytes.size() != size) return damaged(old.offset, "the segment ends inside the record");
  const auto header = decode_record(bytes, old_.segment);
  if (!header || header->type != listed.type || header->seq != listed.seq ||
      header->meta != listed.meta || header->aux != listed.aux || header->body != listed.body)
    return damaged(old.offset, "no such record header");
  const std::string_view all = bytes;
  const auto meta = all.substr(kRecordHeader, listed.meta);
  const auto aux = parts ? all.substr(kRecordHeader + meta.size(), listed.aux) : "";
  const auto body = parts ? all.substr(kRecordHeader + meta.size() + aux.size()) : "";
  const auto sound = [&](std::string_view part, uint64_t sum) {
    return checksum(old_.segment, part) == sum;
  };
  if (meta != old.meta || !sound(meta, header->meta_sum)) return damaged(old.offset, "record meta");
  if (parts && (!sound(aux, header->aux_sum) || !sound(body, header->body_sum)))
    return damaged(old.offset, "the message's bytes");

  RecordHeader h = *header;
  if (dropped) h.flags |= kDropped;
  h.aux = static_cast<uint32_t>(aux.size());
  h.body = body.size();
  h.meta_sum = checksum(made_.segment, meta);
  h.aux_sum = checksum(made_.segment, aux);
  h.body_sum = checksum(made_.segment, body);
  const uint64_t at = offset_ + out.size();
  const size_t start = out.size();
  out.resize(start + kRecordHeader);
  encode(h, made_.segment, out.data() + start);
  out.append(meta).append(aux).append(body);
  out.resize(start + static_cast<size_t>(h.total()));
  entries_.push_back({.offset = at, .header = h, .meta = old.meta});
  if (listed.type == RecordType::append)
    result_.places.push_back({message, {old_.number, at, h.meta, h.aux, h.body}, dropped});
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
  // Piece by piece: one flush of all at the end would hold up everybody else's.
  if (dir_->disk().fdatasync(file_.get()) != 0)
    return fail_errno("fdatasync " + path_ + ".new", errno);
  return 2 * moved;
}

Status SegmentRewriter::finish() {
  TRY_STATUS(write(encode_footer(entries_, offset_, found_.last_seq, made_, random_id())));
  result_.after = offset_;
  if (dir_->disk().fsync(file_.get()) != 0) return fail_errno("fsync " + path_ + ".new", errno);
  return {};
}

Status SegmentRewriter::replace() {
  if (dir_->disk().replace(dir_->fd(), new_name_.c_str(), name_.c_str()) != 0)
    return fail_errno("rename " + path_ + ".new", errno);
  return dir_->sync_directory("journal");
}

void SegmentRewriter::discard() {
  file_ = Fd();
  (void)dir_->disk().unlink(dir_->fd(), new_name_.c_str());  // the next opening tries again
}

}  // namespace rims::store
