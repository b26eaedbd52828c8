// tests/maintenance/live_backup_test.cc - backups while the account goes on

#include "tests/maintenance/backup_fixture.h"

namespace rims::store {
namespace {

// Between any two system calls with which an account is read, something may happen to it.
class RestlessDisk final : public Disk {
 public:
  // Before the file of this name is opened; "": before something is read.
  std::function<void(std::string_view opened)> between;
  int open(int dir, const char* path, int flags, unsigned mode) override {
    happen(path);
    return Disk::open(dir, path, flags, mode);
  }
  ssize_t read(int fd, void* to, size_t size, off_t offset) override {
    happen("");
    return Disk::read(fd, to, size, offset);
  }

 private:
  void happen(std::string_view opened) {
    if (!between || std::exchange(inside_, true)) return;
    between(opened);
    inside_ = false;
  }
  bool inside_ = false;
};

class LiveBackupTest : public BackupTest {
 protected:
  void SetUp() override {
    segment_bytes_ = 4096;  // several rolls in each backup
    BackupTest::SetUp();
    account_ = open();
  }
  void TearDown() override {
    disk_.between = nullptr;
    account_.reset();
    BackupTest::TearDown();
  }
  // With what disk_.between does in the middle of it.
  auto back_up_live() {
    const auto base = open_base((top_ / "mail").string());
    return back_up(*base, {.directory = (top_ / "backup").string(),
                           .account = account_id(),
                           .user = "foo",
                           .progress = {},
                           .clock = [this] { return now_; },
                           .disk = &disk_});
  }
  size_t pick(size_t n) { return static_cast<size_t>(random_() % n); }
  // Appends, flags, expunges, compactions. Bytes of expunged messages are given back at once.
  void change() {
    switch (pick(8)) {
      default: {
        const std::string number = std::to_string(random_());
        append("message " + number + std::string(pick(900), 'x'));
        break;
      }
      case 0: {
        std::vector<Uid> some;
        for (const auto& e : must(account_->open_mailbox(inbox(account_)))->messages())
          if (pick(2) == 0) some.push_back(e.uid);
        must(account_->change_flags(inbox(account_), {.uids = some, .flags = kSeen}));
        break;
      }
      case 1: {
        std::vector<Uid> some;
        for (const auto& e : must(account_->open_mailbox(inbox(account_)))->messages())
          if (pick(4) != 0) some.push_back(e.uid);
        must(account_->expunge(inbox(account_), some));
        // Those that tell of it begin a segment of their own, and then the bytes go.
        if (pick(2) == 0) break;
        append(std::string(4096, 'y'));
        [[fallthrough]];
      }
      case 2:
        compact_now();
    }
  }
  void append(const std::string& bytes) {
    must(account_->append(inbox(account_), messages({bytes})));
    bytes_[must(account_->open_mailbox(inbox(account_)))->messages().back().message] = bytes;
  }
  void compact_now() {
    run(loop_, account_->compact({0, 0}, now_));
    compactions_++;
  }
  // The worst for a copy: all there was goes, its bytes too, and only a segment that begins now
  // tells of it.
  void strike() {
    append(std::string(4096, 'y'));
    std::vector<Uid> all;
    for (const auto& e : must(account_->open_mailbox(inbox(account_)))->messages())
      all.push_back(e.uid);
    must(account_->expunge(inbox(account_), all));
    append("the last of " + std::to_string(all.size()));
    compact_now();
  }
  // What is wrong with a journal that shall be one that the account had; "" when nothing is.
  std::string wrong(const fs::path& journal_above) {
    auto copy = JournalReader::at((journal_above / "journal").string());
    if (!copy) return copy.error().detail();
    std::string damages;
    const auto told = [&](const JournalDamage& d) { damages += to_string(d) + "; "; };
    const auto is = copy->fold({}, told);
    if (!is) return is.error().detail();
    if (!damages.empty()) return damages;
    const auto base = open_base((top_ / "mail").string());
    const auto was = JournalReader::open(*base, "foo")->fold({.seq = is->state.seq()});
    if (const auto differs = is->state.difference(was->state); !differs.empty()) return differs;
    for (const auto& [id, mailbox] : is->state.mailboxes()) {
      for (const auto& e : mailbox->messages()) {
        const auto place = is->places.find(e.message);
        if (place == is->places.end()) return "a message without its bytes";
        const auto bytes = copy->read(place->second, e.message, Part::message);
        if (!bytes) return bytes.error().detail();
        if (*bytes != bytes_[e.message]) return "a message with other bytes";
      }
    }
    return {};
  }

  RestlessDisk disk_;
  std::shared_ptr<Account> account_;
  std::mt19937 random_;
  std::map<MessageId, std::string> bytes_;
  size_t compactions_ = 0;
};

class SeededLiveBackupTest : public LiveBackupTest, public testing::WithParamInterface<unsigned> {};

TEST_P(SeededLiveBackupTest, IsAStateThatTheAccountHadWithEveryByte) {
  random_.seed(GetParam());
  // Some that nothing has expunged yet when the first copy is struck.
  for (int i = 0; i < 15; i++) change();
  for (int i = 0; i < 6; i++) append("unharmed " + std::to_string(i) + std::string(900, 'x'));
  size_t changes = 0;
  // The first copies all, the next ones what is new, also of segments that were compacted.
  for (int round = 0; round < 3; round++) {
    size_t left = 12, opened = 0;
    disk_.between = [&](std::string_view name) {
      // Once in the middle, always: after the directory was read and one segment was opened.
      if (segment_number(name) != 0 && ++opened == 2) strike();
      if (left == 0 || pick(6) != 0) return;
      left--;
      change();
      changes++;
    };
    const auto done = back_up_live();
    disk_.between = nullptr;
    ASSERT_TRUE(done) << done.error().detail();
    EXPECT_GT(opened, 2U);
    EXPECT_EQ(done->damages, std::vector<std::string>());
    EXPECT_EQ(done->notes, std::vector<std::string>());
    EXPECT_EQ(problems(), std::vector<std::string>());
    ASSERT_EQ(wrong(target()), "");
  }
  ASSERT_EQ(wrong(source()), "");
  std::printf("seed %u: 3 backups, %zu changes under them, %zu compactions\n", GetParam(), changes,
              compactions_);
}

// A copy that looks at the newest segment first, as no backup may: the above finds it out.
TEST_P(SeededLiveBackupTest, ACopyInTheWrongOrderIsNoticed) {
  random_.seed(GetParam());
  for (int i = 0; i < 15; i++) change();
  for (int i = 0; i < 6; i++) append("unharmed " + std::to_string(i) + std::string(900, 'x'));
  const fs::path copy = top_ / "naive";
  fs::create_directories(copy / "journal");
  std::set<fs::path, std::greater<>> segments;
  for (const auto& file : fs::directory_iterator(source() / "journal"))
    segments.insert(file.path());
  for (size_t copied = 0; const auto& segment : segments) {
    const std::string bytes = slurp(segment);
    spew(copy / "journal" / segment.filename(), bytes);
    if (++copied == 1) strike();
    for (int i = 0; i < 6; i++) change();
  }
  EXPECT_NE(wrong(copy), "");
}

INSTANTIATE_TEST_SUITE_P(Seeds, SeededLiveBackupTest, testing::Values(1U, 2U, 3U, 4U, 7U));

// Bytes go that a segment still has when the directory is listed, and one that was not there tells
// why.
TEST_F(LiveBackupTest, ASegmentThatBeginsAfterTheListingIsCopiedToo) {
  add(account_, 0, 8);
  bool struck = false;
  disk_.between = [&](std::string_view opened) {
    if (opened == "00000001" && !std::exchange(struck, true)) strike();
  };
  const auto done = back_up_live();
  ASSERT_TRUE(done) << done.error().detail();
  EXPECT_TRUE(struck);
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(wrong(target()), "");
}

}  // namespace
}  // namespace rims::store
