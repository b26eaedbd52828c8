// tests/account/format_test.cc - doc/storage-format.md and the code say the same
//
// Reads the page: its tables must add up to the constants, its examples must be what the encoders
// write, and every record type must have one.

#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/index/index_codec.h"
#include "common/index/structure_files.h"
#include "common/journal/segment.h"
#include "common/mail/bytes.h"

namespace rims::store {
namespace {

std::vector<std::string> page() {
  std::ifstream in(RIMS_SOURCE_ROOT "/doc/storage-format.md");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> list;
  std::istringstream in(line);
  std::string cell;
  std::getline(in, cell, '|');
  while (std::getline(in, cell, '|')) {
    const auto from = cell.find_first_not_of(' ');
    list.push_back(
        from == std::string::npos ? "" : cell.substr(from, cell.find_last_not_of(' ') - from + 1));
  }
  return list;
}

// The bytes of each "example: name" block.
std::map<std::string, std::string> examples() {
  std::map<std::string, std::string> found;
  std::string* now = nullptr;
  for (const auto& line : page()) {
    if (line.starts_with("example: ")) {
      now = &found[line.substr(9)];
    } else if (!line.starts_with("    ")) {
      now = nullptr;
    } else if (now) {
      std::string hex;
      for (const char c : line.substr(0, line.find(';'))) {
        if (c != ' ') hex += c;
      }
      const auto bytes = from_hex(hex);
      if (!bytes) {
        ADD_FAILURE() << "not hex: " << line;
        continue;
      }
      *now += *bytes;
    }
  }
  return found;
}

std::string counted(size_t from) {
  std::string bytes;
  for (size_t i = 0; i < 16; i++) bytes += static_cast<char>(from + i);
  return bytes;
}
Id id(size_t from) {
  Id made{};
  memcpy(made.data(), counted(from).data(), made.size());
  return made;
}

MessageEntry entry(uint32_t uid) {
  MessageEntry e;
  e.uid = Uid(uid);
  e.message = MessageId(1);
  e.date = 1'700'000'000;
  e.size = 5;
  e.zone = 540;
  e.flags = kSeen;
  return e;
}

Append append() {
  return {.mailbox = MailboxId(1),
          .entry = entry(1),
          .keywords = {0},
          .delivery_id = "4F2A",
          .delivery_key = {}};
}

TEST(Format, TheExamplesAreWhatIsWritten) {
  crypto_init();
  auto given = examples();
  std::map<std::string, std::string> made;
  made["mailbox-created"] =
      MailboxCreated{MailboxId(1), UidValidity(1'694'498'816), SpecialUse::none, false, "INBOX"}
          .encode();
  made["mailbox-removed"] = MailboxRemoved{MailboxId(8)}.encode();
  made["mailbox-renamed"] = MailboxRenamed{MailboxId(8), "Work/2026"}.encode();
  made["subscription"] = Subscription{true, "INBOX"}.encode();
  made["keyword"] = Keyword{MailboxId(1), 0, "$Junk"}.encode();
  Append delivered = append();
  std::ranges::copy(counted(0x30), delivered.delivery_key.begin());
  made["append"] = delivered.encode();
  made["copy"] = Copy{MailboxId(1), MailboxId(2), {{Uid(1), entry(7), {0}}}}.encode();
  made["flags"] = Flags{MailboxId(1), FlagOp::add, kDeleted, {}, {{1, 3}, {5, 5}}}.encode();
  made["expunge"] = Expunge{MailboxId(1), {{2, 2}}}.encode();
  made["recent"] = Recent{MailboxId(1), Uid(8)}.encode();
  made["clean"] = Clean{42, counted(0)}.encode();
  made["gap"] = Gap{12, 0}.encode();
  made["compacted"] = Compacted{3, 41'943'040}.encode();
  made["uidnext"] = UidNext{MailboxId(1), Uid(90)}.encode();
  made["special-use"] = SpecialUseSet{MailboxId(3), SpecialUse::sent}.encode();
  made["account"] = AccountNamed{"alice", counted(0)}.encode();
  Snapshot snapshot{.whole = true,
                    .next_mailbox = MailboxId(3),
                    .next_message = MessageId(9),
                    .last_uidvalidity = UidValidity(1'694'498'817),
                    .mailboxes = {},
                    .removed = {{2, 2}},
                    .subscribed = {"INBOX"}};
  snapshot.mailboxes.push_back({.id = MailboxId(1),
                                .uidvalidity = UidValidity(1'694'498'816),
                                .uidnext = Uid(8),
                                .first_recent = Uid(6),
                                .highest_modseq = ModSeq(40),
                                .changed = ModSeq(41),
                                .special_use = SpecialUse::none,
                                .noselect = false,
                                .name = "INBOX",
                                .keywords = {{0, "$Junk"}}});
  made["snapshot"] = snapshot.encode();
  made["piece-sums"] = PieceSums{.part = RecordPart::meta,
                                 .from_last = 2,
                                 .key =
                                     "\x01\x02\x03\x04\x05\x06\x07\x08"
                                     "\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10",
                                 .sums =
                                     "\x11\x12\x13\x14\x15\x16\x17\x18"
                                     "\x21\x22\x23\x24\x25\x26\x27\x28"}
                           .encode();

  made["annotations"] = Annotated{
      .whole = false,
      .items = {{MailboxId(), "/private/devicetoken", std::nullopt},
                {MailboxId(1), "/private/comment",
                 "hello"}}}.encode();
  made["restored"] = Restored{.lost = {{7, 9}}}.encode();

  const std::string meta = append().encode();
  RecordHeader h;
  h.type = RecordType::append;
  h.version = Append::kVersion;
  h.meta = static_cast<uint32_t>(meta.size());
  h.aux = 3;
  h.body = 5;
  h.seq = h.batch_first = 9;
  h.id = id(0x20);
  h.batch_count = 1;
  h.time = 1'700'000'000;
  const Id key = id(0x10);
  h.meta_sum = checksum(key, meta);
  h.aux_sum = checksum(key, "(x)");
  h.body_sum = checksum(key, "hello");
  std::string record(kRecordHeader, '\0');
  encode(h, key, record.data());
  record += meta + "(x)hello";
  record.resize(h.total());
  made["record"] = record;
  const SegmentHeader segment{
      .number = 1, .first_seq = 1, .account = id(0), .segment = key, .program = "0.3.0"};
  made["segment"] = encode(segment).substr(0, kSegmentHeader);
  const std::vector<Entry> one{{.offset = kFirstRecord, .header = h, .meta = meta}};
  const std::string footer = encode_footer(one, 0, 9, segment, id(0));
  const auto length = decode_record(footer, key)->meta;
  made["footer"] = footer.substr(kRecordHeader, length);

  for (const auto& [name, bytes] : made)
    EXPECT_EQ(to_hex(given[name]), to_hex(bytes)) << "example: " << name;
  EXPECT_EQ(given.size(), made.size());
  for (uint16_t type = 1; type <= static_cast<uint16_t>(RecordType::last); type++)
    EXPECT_TRUE(made.contains(name(static_cast<RecordType>(type)))) << type;

  // And what a reader makes of them.
  SegmentHeader read;
  EXPECT_EQ(decode(given["segment"], read), HeaderState::good);
  EXPECT_EQ(read.version, kJournalVersion);
  EXPECT_EQ(read.program, "0.3.0");
  const auto back = decode_record(given["record"], key);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->seq, 9U);
  const auto read_append = Append::decode(given["append"]);
  ASSERT_TRUE(read_append);
  EXPECT_EQ(read_append->entry, entry(1));
  EXPECT_EQ(read_append->delivery_key, delivered.delivery_key);
  // Without a key, as version 1 began; with one that says nothing, or cut off: not understood.
  const auto without = Append::decode(meta);
  ASSERT_TRUE(without);
  EXPECT_EQ(without->delivery_key, DeliveryKey{});
  EXPECT_FALSE(Append::decode(meta + std::string(16, '\0')));
  EXPECT_FALSE(Append::decode(delivered.encode().substr(0, meta.size() + 15)));
}

TEST(Format, TheTablesAddUp) {
  // Heading or key above a table -> its size in the code.
  const std::map<std::string, size_t> sizes{
      {"### Segment header", kSegmentHeader},
      {"### Record header", kRecordHeader},
      {"### Trailer", kTrailer},
      {"`meta`:", kIndexHead},
      {"Delivery slot:", kDeliverySlot},
      {"Expunged slot:", kExpungedSlot},
      {"`c` mailbox id:", 64},
      {"Message slot:", kEntrySlot},
      {"Location slot:", kLocationSlot},
      {"Head:", kStructuresHead},
      {"Slot:", kStructuresSlot},
  };
  std::string title;
  size_t at = 0, tables = 0;
  bool inside = false;
  for (const auto& line : page()) {
    if (line.starts_with("### ") || line.ends_with(":")) title = line;
    const auto row = cells(line);
    if (line.starts_with("| offset")) {
      inside = true;
      at = 0;
      continue;
    }
    if (!inside || line.starts_with("| ---")) continue;
    if (!line.starts_with("|")) {
      inside = false;
      tables++;
      ASSERT_TRUE(sizes.contains(title)) << title;
      EXPECT_EQ(at, sizes.at(title)) << title;
      continue;
    }
    EXPECT_EQ(std::stoul(row[0]), at) << title << ": " << line;
    at += std::stoul(row[1]);
  }
  EXPECT_EQ(tables, sizes.size());
  EXPECT_EQ(IndexCodec::encode(IndexHead{}).size(), kIndexHead);
  EXPECT_EQ(IndexCodec::encode_counters(Mailbox(), 1).size(), 64U);
  EXPECT_EQ(IndexCodec::encode_deliveries(Deliveries(), 0).size(),
            kDeliveriesPerChunk * kDeliverySlot);
  EXPECT_EQ(IndexCodec::encode_locations(Locations::Chunk()).size(),
            kSlotsPerChunk * kLocationSlot);
}

TEST(Format, TheConstantsAreThoseOfTheCode) {
  const std::map<std::string, size_t> code{
      {"kJournalVersion", kJournalVersion},
      {"kRecordVersion", kRecordVersion},
      {"kFooterVersion", kFooterVersion},
      {"kSegmentHeader", kSegmentHeader},
      {"kSegmentHeaderCopy", kSegmentHeaderCopy},
      {"kFirstRecord", kFirstRecord},
      {"kRecordHeader", kRecordHeader},
      {"kRecordAlign", kRecordAlign},
      {"kTrailer", kTrailer},
      {"kIndexVersion", kIndexVersion},
      {"kSlotsPerChunk", kSlotsPerChunk},
      {"kEntrySlot", kEntrySlot},
      {"kLocationSlot", kLocationSlot},
      {"kListChunk", kListChunk},
      {"kMaxKeywordsOfMessage", kMaxKeywordsOfMessage},
      {"kIndexHead", kIndexHead},
      {"kDeliverySlot", kDeliverySlot},
      {"kDeliveriesPerChunk", kDeliveriesPerChunk},
      {"kExpungedSlot", kExpungedSlot},
      {"kExpungedPerChunk", kExpungedPerChunk},
      {"kDeliveriesKept", Deliveries::kKept},
      {"kMaxKeywords", kMaxKeywords},
  };
  std::map<std::string, size_t> written;
  for (const auto& line : page()) {
    const auto row = cells(line);
    if (line.starts_with("| k") && row.size() >= 2) written[row[0]] = std::stoul(row[1]);
  }
  EXPECT_EQ(written, code);
}

}  // namespace
}  // namespace rims::store
