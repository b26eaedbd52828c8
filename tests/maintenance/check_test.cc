// tests/maintenance/check_test.cc - damage of every kind is found, and named with file and remedy

#include "common/maintenance/check.h"

#include <fcntl.h>

#include <fmt/format.h>

#include "common/index/gdbm_key_value.h"
#include "common/index/index_codec.h"
#include "common/journal/account_dir.h"
#include "common/journal/reader.h"
#include "common/journal/segment.h"
#include "common/maintenance/inspect.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class CheckTest : public FileTest {
 protected:
  Options options() override {
    Options o = FileTest::options();
    o.key_value_checksum = index_checksum_;
    return o;
  }
  CheckReport check() {
    auto base = open_base(base_);
    auto report = check_account(*base, account_path("foo"), "FOO");
    EXPECT_TRUE(report) << (report ? "" : report.error().detail());
    return *std::move(report);
  }
  std::string found() {
    std::string all;
    for (const auto& f : check().findings) all += (f.damage ? "" : "note ") + to_string(f) + "\n";
    return all;
  }
  // Writes the first segment again with sound checksums: what would never be written, by any kill.
  void rewrite(const std::function<bool(Entry& entry, std::string& meta)>& keep) {
    const std::string bytes = slurp(segment(1));
    const ReadAt read = [&](uint64_t offset, size_t size) -> Result<std::string> {
      return offset < bytes.size() ? bytes.substr(offset, size) : std::string();
    };
    SegmentHeader header;
    ASSERT_EQ(decode(bytes, header), HeaderState::good);
    const auto scan = scan_segment(read, bytes.size(), header, true);
    ASSERT_TRUE(scan);
    std::string out = bytes.substr(0, kFirstRecord);
    for (Entry e : scan->entries) {
      const auto parts = e.offset + kRecordHeader + e.meta.size();
      std::string meta(e.meta);
      if (!keep(e, meta)) continue;
      auto& h = e.header;
      h.meta_sum = checksum(header.segment, meta);
      std::string record(kRecordHeader, '\0');
      encode(h, header.segment, record.data());
      record += meta + bytes.substr(parts, h.aux + h.body);
      record.resize(h.total());
      out += record;
    }
    out.resize(bytes.size());
    spew(segment(1), out);
  }
  // Changes one value of an index file, with a sound checksum.
  void alter(const std::string& file, const std::string& key,
             const std::function<void(std::string& value)>& change) {
    Fd fd(::open((dir() / file).c_str(), O_RDWR));
    const auto index = open_gdbm(std::move(fd), file, false);
    ASSERT_TRUE(index);
    auto value = (*index)->get(key);
    ASSERT_TRUE(value && *value);
    change(**value);
    ASSERT_TRUE((*index)->put(key, **value));
  }
  fs::path segment(int number) const { return dir() / fmt::format("journal/{:08}", number); }
  bool index_checksum_ = true;
};

TEST_F(CheckTest, ASoundAccount) {
  segment_bytes_ = 4096;
  make_store();
  const auto state = make_account();
  const auto report = check();
  EXPECT_TRUE(report.sound()) << found();
  EXPECT_TRUE(report.index_checked) << report.index_note;
  EXPECT_EQ(report.last_record, state.seq());
  EXPECT_EQ(report.records, state.seq());
  EXPECT_EQ(report.messages, 22U);
  EXPECT_GT(report.segments, 1U);
  make_store();
  auto account = open();
  must(account->append(inbox(account), messages({"x"})));
  const auto beside = check();
  EXPECT_TRUE(beside.sound());
  EXPECT_FALSE(beside.index_checked);
  EXPECT_NE(beside.index_note.find("open in a server"), std::string::npos);
  account.reset();
  crash();
  const auto after = check();
  EXPECT_TRUE(after.sound());
  EXPECT_NE(after.index_note.find("not closed in order"), std::string::npos);
  make_store();
}

// use_key_value_store_checksum: false
TEST_F(CheckTest, AnIndexWithoutChecksumsIsSound) {
  index_checksum_ = false;
  make_store();
  make_account();
  const auto report = check();
  EXPECT_TRUE(report.sound()) << found();
  EXPECT_TRUE(report.index_checked) << report.index_note;
  make_store();
}

TEST_F(CheckTest, EveryBitOfARecordCounts) {
  auto account = open();
  must(account->append(inbox(account), messages({"hello", "there"})));
  account.reset();
  stop();
  const std::string sound = slurp(segment(1));
  const size_t body = sound.find("structure of hello");
  const size_t end = body + std::string("structure of hellohello").size();
  for (size_t at = body - 96 - 40; at < end; at++) {
    std::string bytes = sound;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    spew(segment(1), bytes);
    fs::permissions(segment(1), fs::perms::owner_read | fs::perms::owner_write);
    const auto report = check();
    // The structure is made again from the message: it is told, and no reason to restore anything.
    ASSERT_FALSE(report.findings.empty()) << at;
    ASSERT_EQ(report.sound(), at >= body && at < end - 5) << at;
  }
  spew(segment(1), sound);
  EXPECT_TRUE(check().sound()) << found();
  make_store();
}

TEST_F(CheckTest, TheIndexMustSayWhatTheJournalSays) {
  make_account();
  for (const auto& name : {"meta.gdbm", "message.gdbm", "mailbox_1.gdbm"}) {
    const std::string sound = slurp(dir() / name);
    fs::remove(dir() / name);
    if (name == std::string_view("meta.gdbm"))
      EXPECT_EQ(found(), "") << "there is no index";
    else
      EXPECT_NE(found().find(std::string("FOO/") + name), std::string::npos) << found();
    spew(dir() / name, sound);
    fs::permissions(dir() / name, fs::perms::owner_read | fs::perms::owner_write);
  }
  EXPECT_TRUE(check().sound()) << found();
  fs::rename(dir() / "journal", dir() / "aside");
  EXPECT_NE(found().find("journal: is missing"), std::string::npos) << found();
  fs::create_directory(dir() / "journal");
  fs::permissions(dir() / "journal", fs::perms::owner_all);
  EXPECT_NE(found().find("ends with record 0, but the index was made of"), std::string::npos)
      << found();
  fs::remove(dir() / "journal");
  fs::rename(dir() / "aside", dir() / "journal");
  make_store();
}

// Every checksum is right, and what they say is not.
TEST_F(CheckTest, AnIndexThatSaysSomethingElse) {
  make_account();
  alter("mailbox_1.gdbm", numbered_key('e', 0), [](std::string& value) {
    const size_t date = value.find(std::string("\x00\xca\x9a\x3b", 4));
    ASSERT_NE(date, value.npos);
    value[date] = 1;
  });
  EXPECT_NE(found().find("meta.gdbm: does not agree with the journal: "), std::string::npos)
      << found();
  alter("mailbox_1.gdbm", numbered_key('e', 0),
        [](std::string& value) { value[value.find("\x01\xca\x9a\x3b")] = 0; });
  EXPECT_TRUE(check().sound()) << found();
  const auto swap_places = [](std::string& value) {
    Locations::Chunk chunk;
    ASSERT_TRUE(IndexCodec::decode_locations(value, chunk));
    std::swap(chunk.at[3], chunk.at[4]);
    value = IndexCodec::encode_locations(chunk);
  };
  alter("message.gdbm", numbered_key('m', 0), swap_places);
  EXPECT_NE(found().find("message.gdbm: names a wrong place for message 3"), std::string::npos)
      << found();
  alter("message.gdbm", numbered_key('m', 0), swap_places);
  make_store();
}

TEST_F(CheckTest, AJournalThatSaysSomethingElse) {
  make_account();
  const std::string sound = slurp(segment(1));
  const auto says = [&](const std::string& what) {
    const std::string all = found();
    EXPECT_NE(all.find(what), std::string::npos) << what << " in\n" << all;
    spew(segment(1), sound);
  };
  rewrite([](Entry& e, std::string& meta) {
    if (e.header.type == RecordType::append) {
      auto append = *Append::decode(meta);
      if (append.entry.uid == Uid(7)) append.entry.size++;
      meta = append.encode();
    }
    return true;
  });
  says("message 7 has 109 bytes, not 110; restore");
  rewrite([](Entry& e, std::string& meta) {
    const auto append = e.header.type == RecordType::append ? Append::decode(meta) : std::nullopt;
    if (append && append->entry.uid == Uid(7)) {
      e.header.flags = kDropped;
      e.header.aux = 0;
      e.header.body = 0;
      e.header.aux_sum = e.header.body_sum = e.header.meta_sum;
    }
    return true;
  });
  says("message 7 in \"INBOX\", uid 7: its bytes are ");
  uint64_t gone = 0;
  rewrite([&](Entry& e, std::string&) {
    if (e.header.type == RecordType::expunge) gone = e.header.seq;
    return e.header.type != RecordType::expunge;
  });
  says(fmt::format("records {0} to {0} are missing", gone));
  rewrite([](Entry& e, std::string& meta) {
    if (e.header.type == RecordType::mailbox_created) {
      auto created = *MailboxCreated::decode(meta);
      if (created.name == "INBOX") created.name = "INBOY";
      meta = created.encode();
    }
    return true;
  });
  says("1 records are about messages or mailboxes that were lost before");
  EXPECT_TRUE(check().sound()) << found();
  make_store();
}

// What a record of a sealed segment was is in the footer, too. The server goes by that.
TEST_F(CheckTest, ADestroyedRecordOfASealedSegmentCountsAsInTheServer) {
  segment_bytes_ = 4096;
  make_store();
  make_account();
  const fs::path kept = base_ + "/kept";
  fs::copy(dir(), kept, fs::copy_options::recursive);
  struct Known {
    int segment;
    uint64_t offset, total;
    RecordType type;
  };
  std::vector<Known> records;
  JournalReader reader = *JournalReader::at((kept / "journal").string());
  bool sealed = false;
  ASSERT_TRUE(reader.visit({.segment = [&](const JournalSegment& s) { sealed = s.sealed; },
                            .record =
                                [&](const JournalRecord& r) {
                                  if (sealed)
                                    records.push_back({static_cast<int>(r.place.location.segment),
                                                       r.place.location.offset, r.header.total(),
                                                       r.header.type});
                                  return true;
                                },
                            .damage = {},
                            .foreign = {}},
                           {.thorough = true}));
  ASSERT_GT(records.size(), 20U);
  const uint64_t all = check().records;
  for (const auto& at : records) {
    for (const uint64_t into : {uint64_t{8}, uint64_t{kRecordHeader + 1}}) {
      SCOPED_TRACE(fmt::format("{} {}+{}, {}", name(at.type), at.segment, at.offset, into));
      fs::remove_all(dir());
      fs::copy(kept, dir(), fs::copy_options::recursive);
      own(dir());
      for (const auto& file : fs::directory_iterator(dir()))
        if (file.path().extension() == ".gdbm") fs::remove(file.path());
      std::string bytes = slurp(segment(at.segment));
      for (int i = 0; i < 3; i++) bytes[at.offset + into + static_cast<size_t>(i)] ^= 0x55;
      spew(segment(at.segment), bytes);
      const auto report = check();
      size_t told = 0;
      for (const auto& f : report.findings)
        told += static_cast<size_t>(f.damage && f.offset >= at.offset &&
                                    f.offset < at.offset + at.total);
      EXPECT_EQ(told, 1U) << found();
      EXPECT_EQ(report.records, all) << found();
      EXPECT_EQ(found().find("are missing"), std::string::npos) << found();
      EXPECT_EQ(found().find("its bytes are damaged") != std::string::npos,
                at.type == RecordType::append)
          << found();
      make_store();
      auto account = open();
      uint64_t messages = 0;
      for (const auto* mailbox : account->mailboxes()) messages += mailbox->messages;
      account.reset();
      EXPECT_EQ(report.messages, messages);
      stop();
    }
  }
  fs::remove_all(dir());
  fs::copy(kept, dir(), fs::copy_options::recursive);
  own(dir());
  make_store();
}

TEST_F(CheckTest, WhatWasPutAsideIsNoted) {
  make_account();
  fs::create_directory(dir() / "quarantine");
  fs::permissions(dir() / "quarantine", fs::perms::owner_all);
  EXPECT_EQ(found(), "");
  spew(dir() / "quarantine/piece", "x");
  EXPECT_EQ(found(),
            "note FOO/quarantine: holds 1 pieces of the journal that were cut off or found "
            "damaged; look for what is missing in a backup, then move them elsewhere\n");
  make_store();
}

TEST_F(CheckTest, ModesAndForeignThings) {
  make_account();
  fs::permissions(dir(), fs::perms::owner_all | fs::perms::others_exec);
  EXPECT_NE(found().find("FOO: has mode 0701: others may enter; chmod 0700 FOO"), std::string::npos)
      << found();
  fs::permissions(dir(), fs::perms::owner_all);
  fs::permissions(segment(1), fs::perms::owner_all | fs::perms::others_read);
  EXPECT_NE(found().find("00000001: has mode 0704; chmod 0600 "), std::string::npos) << found();
  fs::permissions(segment(1), fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("/etc/passwd", segment(9));
  EXPECT_NE(found().find("00000009: "), std::string::npos) << found();
  fs::remove(segment(9));
  EXPECT_TRUE(check().sound()) << found();
  make_store();
}

TEST_F(CheckTest, AQuarantineThatIsAFile) {
  make_account();
  spew(dir() / "quarantine", "x");
  own(dir());
  EXPECT_NE(found().find("FOO/quarantine: can not be used"), std::string::npos) << found();
  EXPECT_FALSE(check().sound());
  fs::remove(dir() / "quarantine");
  make_store();
}

// What "check --repair", or a server, leaves when it is killed before the index is made again.
TEST_F(CheckTest, AnIndexThatIsToBeMadeAgainIsNoDamage) {
  make_account();
  const auto base = open_base(base_);
  ASSERT_TRUE(set_dirty_flag(*base, "foo", true));
  auto report = check();
  EXPECT_TRUE(report.sound()) << found();
  EXPECT_FALSE(report.index_checked);
  EXPECT_NE(report.index_note.find("the next opening rebuilds it"), std::string::npos);
  for (const char* name : {"meta.gdbm", "message.gdbm", "mailbox_1.gdbm"}) {
    fs::remove(dir() / name);
    EXPECT_TRUE(check().sound()) << found();
  }
  make_store();
  open();
  reopen();
  stop();
  report = check();
  EXPECT_TRUE(report.sound()) << found();
  EXPECT_TRUE(report.index_checked) << report.index_note;
  make_store();
}

}  // namespace
}  // namespace rims::store
