// common/store/file_journal_read.cc - records and messages out of segments; segments made smaller

#include <algorithm>
#include <fcntl.h>
#include <sys/uio.h>

#include <fmt/format.h>

#include "common/store/file_journal_impl.h"

namespace rims::store {
namespace {

constexpr size_t kReadOnLoop = 256 << 10;  // larger reads and their checksums go to the pool

}  // namespace

Task<Result<SegmentRef>> FileJournal::segment(uint32_t number) {
  if (const auto found = open_.find(number); found != open_.end()) co_return found->second;
  const auto dir = dir_;  // close() may come meanwhile
  if (!dir) co_return fail(Fault::storage, "temporary failure", "the journal is closed");
  Result<SegmentRef> opened = SegmentRef();
  for (uint64_t before = replaced_ + 1; before != replaced_;) {
    before = replaced_;
    co_await pool_.run([&] { opened = open_segment(*dir, number, O_RDONLY); });
  }
  if (!opened) co_return opened;
  if ((*opened)->header.number == 0)
    co_return fail(Fault::storage, "temporary failure", (*opened)->path + ": both headers are bad");
  // The oldest go first; the one that is written stays.
  while (open_.size() >= kOpenSegments) {
    auto oldest = open_.begin();
    if (oldest->first == tail_number_) break;
    open_.erase(oldest);
  }
  open_[number] = *opened;
  co_return opened;
}

Task<Result<Records>> FileJournal::read_from(uint64_t seq) {
  const auto lock = co_await writing_.lock();
  Records out;
  if (!dir_) co_return fail(Fault::storage, "temporary failure", "the journal is closed");
  // The segment that has `seq`: the last one that begins at or before it.
  auto it = first_seqs_.begin();
  for (auto next = first_seqs_.begin(); next != first_seqs_.end() && next->second <= seq; ++next)
    it = next;
  for (; it != first_seqs_.end() && out.list.empty(); it = first_seqs_.upper_bound(it->first)) {
    const uint32_t number = it->first;
    CO_TRY(const SegmentRef file, co_await segment(number));
    Result<Scan> found = Scan();
    co_await pool_.run([&] {
      found = scan(file, false);
      if (found) note(file, found->damages);
    });
    report();
    if (!found) co_return std::unexpected(found.error());
    for (const auto& e : found->entries) {
      if (e.header.seq < seq) continue;
      out.list.push_back({e.header.type,
                          e.header.seq,
                          e.header.time,
                          e.meta,
                          {number, e.offset, e.header.meta, e.header.aux, e.header.body},
                          (e.header.flags & kDropped) != 0});
    }
    out.bytes = std::move(found->bytes);
    it = first_seqs_.find(number);
    if (it == first_seqs_.end()) break;
  }
  co_return out;
}

Result<std::string> FileJournal::read_record(const SegmentRef& file, const Location& at,
                                             MessageId message, Part part, uint64_t offset,
                                             uint64_t length, Seen& seen, bool on_loop,
                                             bool* blocked) {
  const auto pread = [&](uint64_t from, size_t size) -> Result<std::string> {
    if (!on_loop) return read_up_to(disk(), file->fd.get(), size, from, file->path);
    std::string bytes(size, '\0');
    const iovec to{bytes.data(), size};
    const ssize_t n = preadv2(file->fd.get(), &to, 1, static_cast<off_t>(from), RWF_NOWAIT);
    // Not in memory, or a file system that can not say: the pool waits for it.
    if (n != static_cast<ssize_t>(size)) *blocked = true;
    return bytes;
  };
  const auto damaged = [&](std::string_view what) {
    seen.verified = false;
    return fail(Fault::storage, "the message is damaged",
                fmt::format("damaged: {} at offset {}: {} (message {})", file->path, at.offset,
                            what, message.value),
                "UNAVAILABLE");
  };
  const uint64_t size = part == Part::message ? at.body : at.aux;
  const uint64_t start =
      at.offset + kRecordHeader + at.meta + (part == Part::message ? at.aux : uint64_t{0});
  if (offset >= size) length = 0;
  length = std::min(length, size - std::min(offset, size));
  const auto piece = [&]() -> Result<std::string> {
    TRY(std::string bytes, pread(start + offset, static_cast<size_t>(length)));
    if (!*blocked && bytes.size() != length) return damaged("the segment ends inside the record");
    return bytes;
  };
  if (seen.verified) return piece();

  const bool all = part == Part::message && (length == size || size <= kReadOnLoop);
  const uint64_t upto = kRecordHeader + uint64_t{at.meta} + at.aux + (all ? at.body : 0);
  TRY(std::string bytes, pread(at.offset, static_cast<size_t>(upto)));
  if (*blocked) return std::string();
  if (bytes.size() != upto) return damaged("the segment ends inside the record");
  const Id& key = file->header.segment;
  const auto known = decode_or_mend(bytes, key);
  const RecordHeader* header = known ? &known->header : nullptr;
  if (!header || header->type != RecordType::append || header->meta != at.meta ||
      header->aux != at.aux || header->body != at.body)
    return damaged("no such record header");
  if (known->mended) seen.mended = mended(at.offset, *header, key);
  if ((header->flags & kDropped) != 0)
    return fail(Fault::not_found, "no such message", "expunged, and its bytes are given back",
                "EXPUNGEISSUED");
  const std::string_view rest = std::string_view(bytes).substr(kRecordHeader);
  const auto meta = rest.substr(0, at.meta);
  if (checksum(key, meta) != header->meta_sum) return damaged("record meta");
  const auto record = Append::decode(meta);
  if (!record || record->entry.message != message) return damaged("another message is here");
  const auto aux = rest.substr(at.meta, at.aux);
  const bool aux_good = checksum(key, aux) == header->aux_sum;
  if (part == Part::structure) {
    if (!aux_good) return damaged("message structure");
    return std::string(
        aux.substr(static_cast<size_t>(std::min(offset, size)), static_cast<size_t>(length)));
  }
  if (!all) return piece();
  const auto body = rest.substr(size_t{at.meta} + at.aux);
  if (checksum(key, body) != header->body_sum) return damaged("message bytes");
  seen.verified = aux_good;
  if (offset == 0 && length == size) {
    bytes.erase(0, static_cast<size_t>(upto - size));
    return bytes;
  }
  return std::string(
      body.substr(static_cast<size_t>(std::min(offset, size)), static_cast<size_t>(length)));
}

Task<Result<std::string>> FileJournal::read(Location at, MessageId message, Part part,
                                            uint64_t offset, uint64_t length, bool* verified) {
  const uint64_t before = replaced_;
  CO_TRY(const SegmentRef file, co_await segment(at.segment));
  if (before != replaced_) *verified = false;  // it may be another file than the place is of
  bool blocked = std::min(length, at.body) > kReadOnLoop;
  Result<std::string> bytes = std::string();
  // The pool must not see a pointer into somebody else's frame: what it writes is ours.
  Seen seen{.verified = *verified, .mended = {}};
  if (!blocked) bytes = read_record(file, at, message, part, offset, length, seen, true, &blocked);
  if (blocked) {
    bool never = false;
    co_await pool_.run(
        [&] { bytes = read_record(file, at, message, part, offset, length, seen, false, &never); });
  }
  *verified = seen.verified;
  if (seen.mended) {
    const auto lock = co_await writing_.lock();
    co_await pool_.run([&] { note(file, {*seen.mended}); });
    report();
  }
  co_return bytes;
}

Task<Result<std::vector<Journal::Segment>>> FileJournal::segments() {
  const auto lock = co_await writing_.lock();
  if (!dir_) co_return fail(Fault::storage, "temporary failure", "the journal is closed");
  std::vector<Segment> list;
  for (const auto& [number, seq] : first_seqs_) {
    if (tail_ && number == tail_number_) {
      list.push_back({number, end_, false});
      continue;
    }
    CO_TRY(const SegmentRef file, co_await segment(number));
    CO_TRY(const uint64_t size, file_size(file->fd.get(), file->path));
    list.push_back({number, size, true});
  }
  co_return list;
}

Task<Result<Journal::Rewritten>> FileJournal::rewrite(uint32_t number, std::vector<MessageId> drop,
                                                      Pace pace) {
  CO_TRY(const SegmentRef file, co_await segment(number));
  if (failed_ || (tail_ && number == tail_number_))
    co_return fail(Fault::storage, "temporary failure", file->path + " is being written");
  rewriter_ = std::make_unique<SegmentRewriter>(dir_, reader(file), file->header, file->path,
                                                std::move(drop));
  Status status;
  co_await pool_.run([&] {
    auto size = file_size(file->fd.get(), file->path);
    status = size ? rewriter_->begin(*size) : std::unexpected(size.error());
  });
  bool go_on = true;
  while (status && go_on) {
    Result<uint64_t> moved = 0;
    co_await pool_.run([&] { moved = rewriter_->step(); });
    if (!moved) status = std::unexpected(moved.error());
    if (!moved || *moved == 0) break;
    go_on = co_await pace(*moved);
  }
  if (status && go_on) co_await pool_.run([&] { status = rewriter_->finish(); });
  if (status && go_on) co_return rewriter_->result();
  co_await discard();
  if (!status) co_return std::unexpected(status.error());
  co_return Rewritten{.segment = number, .whole = false, .places = {}};
}

Task<Status> FileJournal::replace() {
  const auto lock = co_await writing_.lock();
  if (failed_ || !rewriter_)
    co_return fail(Fault::storage, "temporary failure", "the journal has failed before");
  Status status;
  co_await pool_.run([&] { status = rewriter_->replace(); });
  failed_ = !status;
  if (status) {
    const auto made = std::make_shared<SegmentFile>();
    made->fd = rewriter_->take_file();
    made->header = rewriter_->header();
    made->path = rewriter_->path();
    open_[made->header.number] = made;
    replaced_++;
    rewriter_.reset();
  }
  co_return status;
}

Task<void> FileJournal::discard() {
  const auto rewriter = std::exchange(rewriter_, {});
  if (rewriter) co_await pool_.run([&] { rewriter->discard(); });
}

}  // namespace rims::store
