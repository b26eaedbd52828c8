// tests/account/damage_fixture.h - an account in small segments, on a disk that can be made
// read-only
#pragma once

#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>

#include <fmt/format.h>

#include "common/index/gdbm_key_value.h"
#include "common/journal/account_dir.h"
#include "common/journal/open_files.h"
#include "common/journal/reader.h"
#include "common/journal/segment.h"
#include "common/maintenance/check.h"
#include "common/maintenance/inspect.h"
#include "tests/account/file_fixture.h"

namespace rims::store {

// Becomes one that can only be read, or has a file that can not be.
class FrozenDisk final : public Disk {
 public:
  bool frozen = false;
  std::string unreadable;  // the name of the file; root reads whatever its mode is
  int open(int dir, const char* path, int flags, unsigned mode) override {
    if (frozen && (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0) return refuse();
    if (!unreadable.empty() && fs::path(path).filename() == unreadable) {
      errno = EACCES;
      return -1;
    }
    return Disk::open(dir, path, flags, mode);
  }
  ssize_t write(int fd, const iovec* pieces, int count, off_t offset) override {
    return frozen ? refuse() : Disk::write(fd, pieces, count, offset);
  }
  int truncate(int fd, off_t size) override { return frozen ? refuse() : Disk::truncate(fd, size); }
  int mkdir(int dir, const char* path, unsigned mode) override {
    if (!frozen) return Disk::mkdir(dir, path, mode);
    errno = faccessat(dir, path, F_OK, 0) == 0 ? EEXIST : EROFS;  // as the kernel
    return -1;
  }
  int rename(int dir, const char* from, const char* to) override {
    return frozen ? refuse() : Disk::rename(dir, from, to);
  }
  int replace(int dir, const char* from, const char* to) override {
    return frozen ? refuse() : Disk::replace(dir, from, to);
  }
  int unlink(int dir, const char* path) override {
    return frozen ? refuse() : Disk::unlink(dir, path);
  }

 private:
  static int refuse() {
    errno = EROFS;
    return -1;
  }
};

class DamageTest : public FileTest {
 protected:
  DamageTest() { segment_bytes_ = 8192; }
  void SetUp() override {
    quick_ = true;
    FileTest::SetUp();
    log::set_sink(&heard_);
  }
  void TearDown() override {
    frozen_.frozen = false;
    FileTest::TearDown();
    log::set_sink(nullptr);
  }
  Options options() override {
    Options o = FileTest::options();
    o.disk = &frozen_;
    o.open_files = &files_;
    return o;
  }
  fs::path segment(int number) const { return dir() / fmt::format("journal/{:08}", number); }
  int last_segment() const {
    int last = 0;
    for (const auto& e : fs::directory_iterator(dir() / "journal"))
      last = std::max(last, std::stoi(e.path().filename().string()));
    return last;
  }
  // `count` messages in INBOX, some in "Work/x"; closed in order.
  AccountState fill(int count = 20) {
    auto account = open();
    must(account->create("Work/x"));
    for (int i = 0; i < count; i++)
      must(account->append(i % 4 == 3 ? account->find("Work/x")->id : inbox(account),
                           messages({fmt::format("mail {} ", i) + std::string(1000, 'x')})));
    auto state = snapshot(account);
    account.reset();
    stop();
    return state;
  }
  std::string found() {
    const auto base = open_base(base_);
    const auto report = check_account(*base, account_path("foo"), "FOO");
    EXPECT_TRUE(report) << (report ? "" : report.error().detail());
    std::string all;
    for (const auto& f : report->findings) {
      if (f.damage) all += to_string(f) + "\n";
    }
    return all;
  }
  // "INBOX 5 messages, uidnext 6, validity 7; ..." of all mailboxes with messages.
  static std::map<std::string, MailboxInfo> infos(const std::shared_ptr<Account>& account) {
    std::map<std::string, MailboxInfo> all;
    for (const auto* info : account->mailboxes()) all[info->name] = *info;
    return all;
  }
  // All that are listed can be read; how many.
  size_t read_all(const std::shared_ptr<Account>& account) {
    size_t count = 0;
    for (const auto* info : account->mailboxes()) {
      if (info->noselect) continue;
      const auto mailbox = must(account->open_mailbox(info->id));
      for (const auto& e : mailbox->messages()) count += must(account->read(e.message)).size() > 0;
    }
    return count;
  }
  void expect_heard(const std::string& text) {
    EXPECT_NE(heard_.text.find(text), std::string::npos) << text << " in\n" << heard_.text;
  }
  // But for the records that tell of closing.
  void expect_same(const std::shared_ptr<Account>& account, AccountState before) {
    const auto now = snapshot(account);
    before.advance(now.seq());
    EXPECT_EQ(now.difference(before), "");
  }
  void remove_index() {
    std::vector<fs::path> files;
    for (const auto& e : fs::directory_iterator(dir()))
      if (e.path().extension() == ".gdbm") files.push_back(e.path());
    for (const auto& file : files) fs::remove(file);
  }
  std::vector<std::string> quarantine() const {
    std::vector<std::string> names;
    if (!fs::exists(dir() / "quarantine")) return names;
    for (const auto& e : fs::directory_iterator(dir() / "quarantine"))
      names.push_back(e.path().filename().string());
    return names;
  }
  // A new message gets a uid that no message had.
  void expect_fresh_numbers(const std::shared_ptr<Account>& account, const AccountState& before) {
    for (const auto& [name, id] : before.names()) {
      const auto* info = account->find(name);
      if (!info || info->noselect) continue;
      const auto& then = before.mailbox(id)->info();
      EXPECT_EQ(info->uidvalidity, then.uidvalidity) << name;
      EXPECT_EQ(info->id, then.id) << name;
      const auto uid = must(account->append(info->id, messages({"new"}))).uids[0];
      EXPECT_GE(uid, then.uidnext) << name;
    }
    EXPECT_GT(account->modseq().value, before.seq());
  }

  Heard heard_;
  FrozenDisk frozen_;
  OpenFiles files_{1000};
};

}  // namespace rims::store
