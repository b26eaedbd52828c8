// tests/fuzz/journal_fuzz.cc - segments and records from a disk that anybody may have written
//
// First byte 0: the input is a segment, checksums and all. Else it is a list of records (type,
// length, meta), put into a segment with right checksums of which the last bytes may be cut.
// Properties: a scan ends, names only what lies inside the file, and finds the same again; a meta
// that decodes encodes to the same bytes; the fold keeps the invariants that need no INBOX.

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <sodium.h>

#include "common/account/compaction.h"
#include "common/base/result.h"
#include "common/journal/segment.h"
#include "common/mail/bytes.h"
#include "common/mail/state.h"

namespace {

using namespace rims::store;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "journal_fuzz: not so: %s\n", what);
  std::abort();  // libFuzzer keeps the input
}

template <class R>
void round_trip(std::string_view meta) {
  if (const auto r = R::decode(meta)) require(r->encode() == meta, "encode(decode(x)) is x");
  for (uint8_t version = 1; version < R::kVersion; version++) (void)R::decode(meta, version);
}

void all_decoders(RecordType type, std::string_view meta) {
  switch (type) {
    case RecordType::mailbox_created:
      return round_trip<MailboxCreated>(meta);
    case RecordType::mailbox_removed:
      return round_trip<MailboxRemoved>(meta);
    case RecordType::mailbox_renamed:
      return round_trip<MailboxRenamed>(meta);
    case RecordType::subscription:
      return round_trip<Subscription>(meta);
    case RecordType::keyword:
      return round_trip<Keyword>(meta);
    case RecordType::append:
      return round_trip<Append>(meta);
    case RecordType::copy:
      return round_trip<Copy>(meta);
    case RecordType::flags:
      return round_trip<Flags>(meta);
    case RecordType::expunge:
      return round_trip<Expunge>(meta);
    case RecordType::recent:
      return round_trip<Recent>(meta);
    case RecordType::clean:
      return round_trip<Clean>(meta);
    case RecordType::gap:
      return round_trip<Gap>(meta);
    case RecordType::compacted:
      return round_trip<Compacted>(meta);
    case RecordType::uidnext:
      return round_trip<UidNext>(meta);
    case RecordType::special_use:
      return round_trip<SpecialUseSet>(meta);
    case RecordType::snapshot:
      return round_trip<Snapshot>(meta);
    case RecordType::piece_sums:
      return round_trip<PieceSums>(meta);
    case RecordType::account:
      return round_trip<AccountNamed>(meta);
    case RecordType::user_directory:
      return round_trip<OfUserDirectory>(meta);
    case RecordType::restored:
      return round_trip<Restored>(meta);
    case RecordType::annotations:
      return round_trip<Annotated>(meta);
    case RecordType::footer: {
      std::vector<Entry> entries;
      (void)decode_footer(meta, kFooterVersion, uint64_t{1} << 30, entries);
      (void)decode_footer(meta, 1, uint64_t{1} << 30, entries);
      return;
    }
  }
}

void read_segment(const std::string& bytes) {
  SegmentHeader header;
  if (decode(bytes, header) != HeaderState::good) return;
  const ReadAt read = [&](uint64_t offset, size_t size) -> rims::Result<std::string> {
    if (offset >= bytes.size()) return std::string();
    return bytes.substr(offset, size);
  };
  const auto footer = read_footer(read, bytes.size(), header);
  require(footer.has_value(), "reading from memory does not fail");
  Clean clean;
  require(read_clean_end(read, bytes.size(), header, clean).has_value(), "nor does this");
  for (const bool tail : {false, true}) {
    const auto scan = scan_segment(read, bytes.size(), header, tail);
    require(scan.has_value(), "nor a scan");
    require(scan->end <= std::max<uint64_t>(bytes.size(), kFirstRecord), "the end is inside");
    AccountState state;
    Survey survey(1'700'000'000);
    uint64_t seq = 0;
    for (const auto& e : scan->entries) {
      require(e.offset + e.header.total() <= bytes.size(), "a record is inside");
      require(e.header.seq > seq, "numbers grow");
      seq = e.header.seq;
      all_decoders(e.header.type, e.meta);
      const auto& h = e.header;
      auto record = decode(h.type, h.version, h.seq, e.meta, {});
      if (!record) continue;
      const JournalEvent event{.seq = h.seq,
                               .time = h.time,
                               .location = {1, e.offset, h.meta, h.aux, h.body},
                               .dropped = (h.flags & kDropped) != 0,
                               .record = *std::move(record)};
      state.apply(event);
      survey.add(event);
    }
    for (const auto& broken : state.broken_invariants())
      require(broken.starts_with("invariant 3:") || broken.starts_with("invariant 8:") ||
                  broken.starts_with("invariant 9:") || broken.starts_with("invariant 10:"),
              broken.c_str());
    const auto dead = survey.waste(0)[1];
    require(dead.bytes <= bytes.size(), "no more is dead than was there");
    for (const auto& [id, mailbox] : state.mailboxes()) {
      for (const auto& entry : mailbox->messages())
        require(!std::ranges::binary_search(dead.messages, entry.message), "what is named lives");
    }
    for (const auto& d : scan->damages)
      require(d.offset + d.length <= bytes.size(), "damage is inside");
    if (!tail || scan->sealed) continue;
    // What is left after the cut reads the same. What now stands last may go in a second cut:
    // damage that was named before, and a batch whose bodies were not looked at; nothing before
    // them does.
    const std::string rest = bytes.substr(0, scan->end);
    const ReadAt again = [&](uint64_t offset, size_t size) -> rims::Result<std::string> {
      if (offset >= rest.size()) return std::string();
      return rest.substr(offset, size);
    };
    const auto second = scan_segment(again, rest.size(), header, true);
    require(second.has_value(), "nor does a scan of what was cut");
    if (second->cut) {
      const bool named = std::ranges::any_of(
          scan->damages, [&](const auto& d) { return d.offset == second->cut->offset; });
      const bool last_batch =
          second->entries.size() < scan->entries.size() && second->cut->offset <= scan->last_batch;
      require(named || last_batch, "a second cut takes what stands last");
    } else {
      require(second->entries.size() == scan->entries.size(), "a cut journal is whole");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int ready = sodium_init();
  if (ready < 0 || size < 2 || size > (1 << 20)) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input[0] == 0) {
    read_segment(std::string(input.substr(1)));
    return 0;
  }
  const SegmentHeader header{.number = 1, .first_seq = 1, .account = {1}, .segment = {2}};
  std::string bytes = encode(header);
  Reader in(input.substr(2));
  uint64_t seq = 0, batch = 1;
  while (in.left() > 2) {
    RecordHeader h;
    const auto type = in.num<uint8_t>() % 21;
    h.type = type == 19   ? RecordType::annotations
             : type == 20 ? RecordType::restored
                          : static_cast<RecordType>(type);
    const auto length = in.num<uint16_t>();
    const auto meta = in.raw(std::min<size_t>(length, in.left()));
    all_decoders(h.type, meta);
    if (h.type == RecordType::footer) continue;
    h.meta = static_cast<uint32_t>(meta.size());
    if (h.type == RecordType::append && seq % 2 == 0) h.flags = kDropped;
    h.seq = ++seq;
    if (seq % 3 == 1) batch = seq;
    h.batch_first = batch;
    h.batch_count = 3;
    h.meta_sum = checksum(header.segment, meta);
    h.aux_sum = h.body_sum = checksum(header.segment, {});
    const size_t at = bytes.size();
    bytes.resize(at + kRecordHeader);
    encode(h, header.segment, bytes.data() + at);
    bytes += meta;
    bytes.resize(at + h.total());
  }
  bytes.resize(bytes.size() -
               std::min<size_t>(static_cast<unsigned char>(input[1]), bytes.size() - kFirstRecord));
  read_segment(bytes);
  return 0;
}
