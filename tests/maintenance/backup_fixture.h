// tests/maintenance/backup_fixture.h - an account with a backup beside it, for tests of both
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <unistd.h>

#include <fmt/format.h>

#include "common/journal/reader.h"
#include "common/maintenance/backup.h"
#include "common/maintenance/backup_files.h"
#include "tests/account/file_fixture.h"

namespace rims::store {

// "": there is none.
inline std::string first(const std::vector<std::string>& list) {
  return list.empty() ? "" : list.front();
}

class BackupTest : public StoreTest {
 protected:
  void SetUp() override {
    // In memory where there is room: very many flushes, and none is tested.
    std::string name = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    name += "/rims-backup-XXXXXX";
    top_ = mkdtemp(name.data());
    fs::create_directory(top_ / "mail");
    StoreTest::SetUp();
  }
  void TearDown() override {
    StoreTest::TearDown();
    fs::remove_all(top_);
  }
  Options options() override {
    Options o;
    o.base = *open_base(base_or((top_ / "mail").string()));
    o.idle_close = Milliseconds(600'000);
    o.segment_bytes = segment_bytes_;
    o.clock = [this] { return now_; };
    return o;
  }
  std::string base_or(const std::string& path) const { return base_.empty() ? path : base_; }
  static std::string account_id() { return unique_user_id("foo"); }
  static fs::path account_in(const fs::path& base) {
    const std::string id = account_id();
    return base / "mailbox.3" / id.substr(0, 2) / id.substr(2);
  }
  fs::path source() const { return account_in(top_ / "mail"); }
  fs::path target() const { return top_ / "backup" / account_id(); }
  Result<BackupReport> try_backup() {
    const auto base = open_base((top_ / "mail").string());
    return back_up(*base, {.directory = (top_ / "backup").string(),
                           .account = account_id(),
                           .user = "foo",
                           .progress = {},
                           .clock = [this] { return now_; }});
  }
  BackupReport backup() {
    auto done = try_backup();
    EXPECT_TRUE(done) << done.error().detail();
    return done ? *std::move(done) : BackupReport();
  }
  std::vector<std::string> problems() {
    auto checked = verify_backup(target().string(), {});
    EXPECT_TRUE(checked) << checked.error().detail();
    return checked ? checked->problems : std::vector<std::string>{"can not be read"};
  }
  void add(const std::shared_ptr<Account>& account, int from, int count, size_t size = 300) {
    for (int i = from; i < from + count; i++)
      must(account->append(inbox(account),
                           messages({"message " + std::to_string(i) + std::string(size, 'x')})));
  }
  // What the backup is as an account, in a base directory of its own.
  AccountState state_of_backup() {
    const fs::path copy = account_in(top_ / "copy");
    fs::remove_all(top_ / "copy");
    fs::create_directories(copy);
    fs::copy(target() / "journal", copy / "journal");
    Options o = options();
    o.base = *open_base((top_ / "copy").string());
    Store store(loop_, pool_, std::move(o));
    auto account = must(store.open("foo"));
    EXPECT_EQ(must(account->check()), std::vector<std::string>());
    AccountState state = *must(account->whole_state());
    account.reset();
    run(loop_, store.close_all());
    return state;
  }
  // Rewrites a sealed segment as a compaction does: another key, bodies of some uids dropped. With
  // `others` its records are not what they were.
  void compact(uint32_t number, const std::set<uint32_t>& drop, bool others = false) {
    const fs::path path = source() / ("journal/" + segment_name(number));
    const std::string bytes = slurp(path);
    const ReadAt read = [&](uint64_t offset, size_t size) -> Result<std::string> {
      return offset < bytes.size() ? bytes.substr(offset, size) : std::string();
    };
    SegmentHeader header;
    ASSERT_EQ(decode(bytes, header), HeaderState::good);
    const auto scan = scan_segment(read, bytes.size(), header, false);
    ASSERT_TRUE(scan && scan->sealed);
    header.segment[0] ^= 0xff;
    std::string out = encode(header);
    std::vector<Entry> entries;
    for (Entry e : scan->entries) {
      const auto append =
          e.header.type == RecordType::append ? Append::decode(e.meta) : std::nullopt;
      std::string parts =
          bytes.substr(e.offset + kRecordHeader + e.header.meta, e.header.aux + e.header.body);
      if (append && drop.contains(append->entry.uid.value)) {
        e.header.aux = 0;
        e.header.body = 0;
        e.header.flags = 1;
        parts.clear();
      }
      const std::string_view all = parts;
      if (others) e.header.id[0] ^= 1;
      e.header.meta_sum = checksum(header.segment, e.meta);
      e.header.aux_sum = checksum(header.segment, all.substr(0, e.header.aux));
      e.header.body_sum = checksum(header.segment, all.substr(e.header.aux));
      e.offset = out.size();
      out.resize(out.size() + kRecordHeader);
      encode(e.header, header.segment, out.data() + e.offset);
      out += e.meta;
      out += parts;
      out.resize(e.offset + e.header.total());
      entries.push_back(e);
    }
    const Id unique{};
    out += encode_footer(entries, out.size(), entries.back().header.seq, header, unique);
    spew(path, out);
  }

  fs::path top_;
  std::string base_;
  uint64_t segment_bytes_ = 64 << 20;
  int64_t now_ = 1'700'000'000;
};

}  // namespace rims::store
