// common/journal/segments.cc - names, headers, and messages of segments, whatever they are stored
// in

#include "common/journal/segments.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <ranges>
#include <utility>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/journal/torn.h"

namespace rims::store {
namespace {

constexpr size_t kNameSize = 8;
constexpr std::string_view kReplacement = ".new";

}  // namespace

std::string segment_name(uint32_t number) { return fmt::format("{:08}", number); }

uint32_t segment_number(std::string_view name) {
  if (name.size() != kNameSize || name.find_first_not_of("0123456789") != name.npos) return 0;
  uint32_t number = 0;
  for (const char c : name) number = number * 10 + static_cast<uint32_t>(c - '0');
  return number;
}

std::string replacement_name(uint32_t number) { return segment_name(number).append(kReplacement); }

bool is_replacement(std::string_view name) {
  return name.size() == kNameSize + kReplacement.size() && name.ends_with(kReplacement) &&
         name.find_first_not_of("0123456789") == kNameSize;
}

Result<KnownSegment> open_segment(Segments& segments, uint32_t number, Access access) {
  KnownSegment known;
  TRY(known.file, segments.open(number, access));
  TRY(const std::string head, known.file->read(0, kFirstRecord));
  known.state = decode(head, known.header);
  if (known.state == HeaderState::newer)
    return fail(Fault::storage, "temporary failure",
                fmt::format("{} was {}: not touched", known.path(), newer_format(known.header)),
                "UNAVAILABLE");
  return known;
}

std::optional<Misfit> misfit(const Error& error, const std::string& path, bool tolerant) {
  switch (error.system()) {
    case ELOOP:
      return Misfit{
          "is a symbolic link, which is not followed",
          "put the file itself there; all in it is served again when the account is opened "
          "the next time (rims-ctl restart)"};
    case EACCES:
    case EPERM:
      return Misfit{"can not be read: " + error.detail(),
                    fmt::format("chmod 0600 {0}, and chown it to the owner of its directory; all "
                                "in it is served again when the account is opened the next time "
                                "(rims-ctl restart)",
                                path)};
    case EISDIR:
    case ESPIPE:
    case ENXIO:
      return Misfit{"is not a regular file", "move it out of the account", false};
    case ENOENT:
    case EIO:
      if (!tolerant) return std::nullopt;
      return Misfit{"can not be read: " + error.detail(),
                    "when the disk can read it again, all in it is served; else restore what is "
                    "missing from a backup (rims-ctl restore)"};
    default:
      return std::nullopt;
  }
}

Result<std::optional<std::string>> user_named_in(const ReadAt& read, uint64_t size,
                                                 const SegmentHeader& header) {
  TRY(auto scan, read_footer(read, size, header));
  if (!scan) {
    TRY(scan, scan_segment(read, size, header, true));
  }
  for (const Entry& e : std::views::reverse(scan->entries)) {
    if (e.header.type != RecordType::account) continue;
    if (const auto named = AccountNamed::decode(e.meta, e.header.version)) return named->user;
  }
  return std::nullopt;
}

Result<Census> Census::take(Segments& segments, const std::vector<uint32_t>& numbers, bool tolerant,
                            const Owner& owner) {
  Census census;
  std::map<Id, size_t> accounts;
  for (const uint32_t number : numbers) {
    const auto known = open_segment(segments, number);
    if (!known && !store::misfit(known.error(), {}, tolerant))
      return std::unexpected(known.error());
    if (!known) census.unreadable_.insert(number);
    if (known && known->state != HeaderState::good) census.headless_.insert(number);
    if (!known || known->state != HeaderState::good) continue;
    census.headers_[number] = known->header;
    accounts[known->header.account]++;
  }
  std::map<Id, std::string> users;
  if (accounts.size() > 1 && owner) {
    // An account that was renamed has its new name in the newest ones.
    for (const auto& [number, header] : std::views::reverse(census.headers_)) {
      if (users.contains(header.account)) continue;
      const auto known = open_segment(segments, number);
      if (!known) continue;
      const auto named =
          user_named_in(known->reader(), known->file->size().value_or(0), known->header);
      if (named && *named) users[header.account] = **named;
    }
  }
  // Better: it names the owner; it names nobody; it has more segments; it has the first of them.
  const auto rank = [&](const Id& account) {
    const auto named = users.find(account);
    const int trust = named == users.end() ? 1 : owner(named->second) ? 2 : 0;
    return std::pair(trust, accounts[account]);
  };
  for (const auto& [number, header] : census.headers_) {
    if (census.account_ == Id{} || rank(header.account) > rank(census.account_))
      census.account_ = header.account;
  }
  return census;
}

namespace {

// Does a segment that ends in CLEAN begin with the record of this user? More of such records in it
// are not looked for: who is given an account gets a segment of his own.
Result<bool> begins_with_user(const KnownSegment& known, const std::string& user) {
  constexpr int kFront = 4;  // a snapshot, and sums of it, stand before
  const ReadAt read = known.reader();
  TRY(const uint64_t size, known.file->size());
  Clean clean;
  TRY(const auto end, read_clean_end(read, size, known.header, clean));
  uint64_t at = kFirstRecord;
  for (int i = 0; end && i < kFront && at < end->offset; i++) {
    TRY(const std::string head, read(at, kRecordHeader));
    const auto header = decode_record(head, known.header.segment);
    if (!header) return false;
    if (header->type == RecordType::account) {
      TRY(const std::string meta, read(at + kRecordHeader, header->meta));
      const auto named = AccountNamed::decode(meta, header->version);
      return named && named->user == user &&
             checksum(known.header.segment, meta) == header->meta_sum;
    }
    at += header->total();
  }
  return false;
}

}  // namespace

Result<std::string> owner_of(Segments& segments, const Census& census,
                             const std::string& expected) {
  bool last = true;
  for (const uint32_t name : census.newest_first()) {
    const auto known = open_segment(segments, name);
    if (!known || known->state != HeaderState::good) continue;
    if (std::exchange(last, false) && !expected.empty()) {
      TRY(const bool his, begins_with_user(*known, expected));
      if (his) return expected;
    }
    TRY(const uint64_t size, known->file->size());
    TRY(const auto named, user_named_in(known->reader(), size, known->header));
    if (named) return *named;
  }
  return std::string();
}

std::vector<uint32_t> Census::newest_first() const {
  std::vector<std::pair<uint32_t, uint32_t>> numbers;
  for (const auto& [name, header] : headers_)
    if (header.account == account_ && (header.number == name || !by_right(header.number)))
      numbers.emplace_back(header.number, name);
  std::ranges::sort(numbers, std::greater());
  std::vector<uint32_t> names;
  for (const auto& [number, name] : numbers) names.push_back(name);
  return names;
}

bool Census::by_right(uint32_t name) const {
  const auto known = headers_.find(name);
  return known == headers_.end()
             ? headless_.contains(name)
             : known->second.number == name && known->second.account == account_;
}

std::optional<Census::Misnamed> Census::misnamed() const {
  for (const auto& [name, header] : headers_) {
    if (header.account != account_ || header.number == name || by_right(header.number) ||
        unreadable_.contains(header.number))
      continue;
    return Misnamed{name, header.number, headers_.contains(header.number)};
  }
  return std::nullopt;
}

bool Census::counts(uint32_t name) const {
  const auto known = headers_.find(name);
  return known == headers_.end() ? headless_.contains(name) : !misfit(name, known->second);
}

std::optional<Misfit> Census::misfit(uint32_t name, const SegmentHeader& header) const {
  if (account_ != Id{} && header.account != account_)
    return Misfit{
        "belongs to another account",
        "move it out of the account; \"rims-ctl check --all\" says which account lacks it", false};
  if (header.number == name) return std::nullopt;
  const std::string right = segment_name(header.number);
  if (unreadable_.contains(header.number))
    return Misfit{fmt::format("says that it is segment {}", header.number),
                  fmt::format("the file with the name {} can not be read: do first what is said "
                              "about it, or move it out of the account; then all in this one is "
                              "served",
                              right)};
  if (!by_right(header.number))
    return Misfit{fmt::format("says that it is segment {}", header.number),
                  fmt::format("the next opening of the account names it {}, if it can write to the "
                              "directory; all in it is served then",
                              right)};
  const auto twin = headers_.find(header.number);
  if (twin != headers_.end() && twin->second.segment == header.segment)
    return Misfit{"is a second copy of " + right, "move it out of the account", false};
  return Misfit{fmt::format("says that it is segment {}, and there is another one", header.number),
                "move it out of the account", false};
}

std::string made_of(const std::map<uint32_t, uint64_t>& first_seqs, uint64_t seq) {
  std::string all;
  for (const auto& [number, first] : first_seqs)
    if (first <= seq) all += fmt::format("{}:{} ", number, first);
  return all.empty() ? all : sha256(all);
}

Result<uint64_t> last_record(const KnownSegment& segment) {
  TRY(const uint64_t size, segment.file->size());
  TRY(const auto footer, read_footer(segment.reader(), size, segment.header));
  if (footer) return footer->last_seq;
  TRY(const Scan found, scan_segment(segment.reader(), size, segment.header, false));
  return found.last_seq;
}

Result<std::string> read_part(const ReadAt& read, const Id& key, const std::string& path,
                              const Location& at, MessageId message, Part part, uint64_t offset,
                              uint64_t length, uint64_t large, Seen& seen) {
  const auto damaged = [&](std::string_view what) {
    seen.verified = false;
    return fail(Fault::storage, "the message is damaged",
                fmt::format("damaged: {} at offset {}: {} (message {})", path, at.offset, what,
                            message.value),
                "UNAVAILABLE");
  };
  const bool whole_part = part == Part::message;
  const uint64_t size = whole_part ? at.body : at.aux;
  const uint64_t start = at.offset + kRecordHeader + at.meta + (whole_part ? at.aux : uint64_t{0});
  if (offset >= size) length = 0;
  offset = std::min(offset, size);
  length = std::min(length, size - offset);
  const auto piece = [&]() -> Result<std::string> {
    TRY(std::string bytes, read(start + offset, static_cast<size_t>(length)));
    if (bytes.size() != length) return damaged("the segment ends inside the record");
    return bytes;
  };
  if (seen.verified) return piece();

  const bool all = whole_part && (length == size || size <= large);
  const uint64_t upto = kRecordHeader + uint64_t{at.meta} + at.aux + (all ? at.body : 0);
  TRY(std::string bytes, read(at.offset, static_cast<size_t>(upto)));
  if (bytes.size() != upto) return damaged("the segment ends inside the record");
  const auto known = decode_or_mend(bytes, key);
  const RecordHeader* header = known ? &known->header : nullptr;
  if (!header || header->type != RecordType::append || header->meta != at.meta ||
      header->aux != at.aux || header->body != at.body)
    return damaged("no such record header");
  if (known->mended) seen.mended = mended(at.offset, *header, key);
  const std::string_view rest = std::string_view(bytes).substr(kRecordHeader);
  auto meta = rest.substr(0, at.meta);
  std::string right;
  if (checksum(key, meta) != header->meta_sum) {
    auto known_meta = mend({.bytes = meta, .sum = header->meta_sum}, key);
    if (!known_meta) return damaged("record meta");
    right = *std::move(known_meta);
    meta = right;
    if (!seen.mended) seen.mended = mended_meta(at.offset, *header, right);
  }
  const auto record = Append::decode(meta, header->version);
  if (!record || record->entry.message != message) return damaged("another message is here");
  if ((header->flags & kDropped) != 0)
    return fail(Fault::not_found, "no such message",
                fmt::format("message {} was expunged and its space given back", message.value),
                "EXPUNGEISSUED");
  const auto aux = rest.substr(at.meta, at.aux);
  const bool aux_good = checksum(key, aux) == header->aux_sum;
  if (!whole_part) {
    if (!aux_good) return damaged("message structure");
    return std::string(aux.substr(static_cast<size_t>(offset), static_cast<size_t>(length)));
  }
  if (!all) return piece();
  const auto body = rest.substr(size_t{at.meta} + at.aux);
  if (checksum(key, body) != header->body_sum) return damaged("message bytes");
  seen.verified = aux_good;
  if (length == size) {
    bytes.erase(0, static_cast<size_t>(upto - size));
    return bytes;
  }
  return std::string(body.substr(static_cast<size_t>(offset), static_cast<size_t>(length)));
}

}  // namespace rims::store
