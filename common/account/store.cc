// common/account/store.cc - opening, sharing and closing accounts

#include "common/account/store.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <vector>

#include "common/account/account.h"
#include "common/base/log.h"
#include "common/index/gdbm_key_value.h"
#include "common/journal/account_dir.h"
#include "common/journal/disk.h"
#include "common/journal/file_journal.h"
#include "common/journal/open_files.h"
#include "common/journal/takeover.h"

namespace rims::store {
namespace {

constexpr Milliseconds kReleaseCheck{500};  // how often the server looks whether a tool asks
constexpr int64_t kDay = 86'400;

}  // namespace

struct Store::Impl {
  // One account's place; lives as long as somebody opens, holds or closes it.
  struct Entry {
    explicit Entry(Loop& loop) : mutex(loop) {}
    Mutex mutex;                       // held while it is opened or closed
    std::shared_ptr<Account> account;  // shared with its sessions
    std::chrono::steady_clock::time_point used{};
  };

  [[nodiscard]] Limits limits_of(const std::string& user) const {
    Limits limits = options.limits;
    const auto own = quotas.find(user);
    if (own == quotas.end()) return limits;
    limits.quota.bytes = own->second.bytes.value_or(limits.quota.bytes);
    limits.quota.messages = own->second.messages.value_or(limits.quota.messages);
    return limits;
  }

  Impl(Loop& l, IoPool& p, Options o)
      : loop(l),
        pool(p),
        options(std::move(o)),
        files(l, p, options.segment_bytes, open_files()),
        gdbm(options.key_value_checksum, open_files()),
        space(l, p, options.disk ? *options.disk : Disk::real(), options.base.get(), Loop::now),
        scope(l) {
    if (!options.journals) options.journals = &files;
    if (!options.key_values) options.key_values = &gdbm;
    if (!options.clock)
      options.clock = [] {
        // Not time(): it lags behind for some milliseconds at the turn of a second.
        return int64_t{std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())};
      };
    if (!options.uptime) {
      options.uptime = [] {
        timespec t{};
        clock_gettime(CLOCK_BOOTTIME, &t);
        return int64_t{t.tv_sec};
      };
    }
    started_clock = options.clock();
    started_uptime = options.uptime();
  }
  Task<Result<AccountDir>> open_dir(const std::string& user, bool create);

  Task<Result<std::shared_ptr<Account>>> open(std::string user, bool create);
  Task<Result<std::shared_ptr<Account>>> open_new(const std::string& user, bool create);
  enum class Why : uint8_t { idle, stopping, asked };
  Task<void> close(std::string user, std::shared_ptr<Entry> entry, Why why);
  Task<void> watch();
  Task<void> watch_release();
  OpenFiles& open_files() const {
    return options.open_files ? *options.open_files : OpenFiles::of_process();
  }
  Disk& disk() const { return options.disk ? *options.disk : Disk::real(); }
  // What the clock says, but never more than has passed since the start: a clock that jumps
  // ahead makes nothing old.
  int64_t careful_now() const {
    return std::min(options.clock(), started_clock + options.uptime() - started_uptime);
  }
  bool compaction_due(const std::string& user, const Account& account) const;
  Task<void> compact(std::string user, std::shared_ptr<Account> account);

  Loop& loop;
  std::unordered_map<std::string, OwnQuota> quotas;
  IoPool& pool;
  Options options;
  FileJournals files;
  GdbmFiles gdbm;
  FreeSpace space;
  bool closing = false;
  int64_t started_clock = 0, started_uptime = 0;
  bool compacting = false;  // one at a time
  // When (by uptime) an account was last looked through for what can be freed.
  std::unordered_map<std::string, int64_t> looked_through;
  // Shared with the coroutines that work on an entry while it leaves the map.
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries;
  Scope scope;  // last: its tasks use all of the above
};

// A worker that was replaced may need a moment to let go of its accounts, and a tool to do what
// it has taken one for.
Task<Result<AccountDir>> Store::Impl::open_dir(const std::string& user, bool create) {
  Result<AccountDir> opened = fail(Fault::bug, "internal error");
  if (options.take_over > Milliseconds(0)) {
    co_await pool.run(
        [&] { opened = take_account(options.base, user, options.take_over, create, disk()); });
    co_return opened;
  }
  for (int tries = 0;; tries++) {
    co_await pool.run([&] {
      opened = AccountDir::open(disk(), options.base.get(), user, create);
      if (!opened) return;
      switch (release_state(disk(), opened->fd(), ".")) {
        case Release::none:
          break;
        case Release::wanted:
          opened = fail(Fault::storage, "the mailboxes are being maintained, try again later",
                        opened->path() + " is being changed by a tool", "INUSE");
          break;
        case Release::stale:
          (void)disk().unlink(opened->fd(), kRelease);
          break;
      }
    });
    if (opened || opened.error().code() != "INUSE" || tries >= 40) co_return opened;
    co_await sleep_for(loop, Milliseconds(50));
  }
}

Task<Result<std::shared_ptr<Account>>> Store::Impl::open_new(const std::string& user, bool create) {
  std::shared_ptr<AccountDir> dir;  // shared by journal and index: both live in it
  if (options.base.valid()) {
    CO_TRY(AccountDir opened, co_await open_dir(user, create));
    dir = std::make_shared<AccountDir>(std::move(opened));
  }
  CO_TRY(auto journal, co_await options.journals->open(user, dir));
  if (dir) {
    Status marked;
    co_await pool.run([&] { marked = mark_importing(*dir, options.importing); });
    if (!marked) {
      co_await journal->close();
      co_return std::unexpected(marked.error());
    }
  }
  auto index = std::make_unique<Index>(loop, pool, *options.key_values, user, dir);
  auto structures =
      std::make_unique<StructureFiles>(loop, pool, user, std::move(dir), journal->account());
  auto account = std::make_shared<Account>(loop, pool, user, limits_of(user), options.clock,
                                           std::move(journal), std::move(index),
                                           std::move(structures), options.structure);
  if (auto started = co_await account->start(); !started) {
    co_await account->shut();
    co_return std::unexpected(started.error());
  }
  account->set_limits(limits_of(user));  // they may have changed meanwhile
  co_return account;
}

Task<Result<std::shared_ptr<Account>>> Store::Impl::open(std::string user, bool create) {
  if (closing) co_return fail(Fault::storage, "temporary failure", "the store is closing");
  auto& place = entries[user];
  if (!place) place = std::make_shared<Entry>(loop);
  const auto entry = place;
  const auto lock = co_await entry->mutex.lock();
  entry->used = Loop::now();
  if (entry->account && entry->account->failed()) {
    co_await entry->account->shut();
    entry->account.reset();
  }
  if (!entry->account) {
    CO_TRY(entry->account, co_await open_new(user, create && options.create));
    entries[user] = entry;  // it may have left while we waited
  }
  co_return std::shared_ptr<Account>(entry->account);
}

Task<void> Store::Impl::close(std::string user, std::shared_ptr<Entry> entry, Why why) {
  const auto lock = co_await entry->mutex.lock();
  if (entry->account && (why != Why::idle || entry->account.use_count() == 1)) {
    const auto account = entry->account;
    if (why == Why::asked) account->give_away();
    co_await account->shut();
    entry->account.reset();  // only now: an account that is being closed is still open
    if (why == Why::asked) account->tell_closed();
  }
  const auto found = entries.find(user);
  // Two holders: the map and this coroutine. More: somebody waits to open it.
  if (!entry->account && found != entries.end() && found->second == entry && entry.use_count() == 2)
    entries.erase(found);
}

bool Store::Impl::compaction_due(const std::string& user, const Account& account) const {
  if (!options.expunge_retention || compacting || closing || account.failed()) return false;
  const auto found = looked_through.find(user);
  if (found == looked_through.end() || options.uptime() - found->second >= kDay) return true;
  return account.expunged_enough({*options.expunge_retention, options.compact_small},
                                 careful_now());
}

Task<void> Store::Impl::compact(std::string user, std::shared_ptr<Account> account) {
  compacting = true;
  const int64_t now = options.uptime();
  std::erase_if(looked_through, [&](const auto& item) { return now - item.second >= kDay; });
  looked_through[user] = now;
  co_await account->compact({*options.expunge_retention, options.compact_small}, careful_now());
  compacting = false;
}

// Writes indexes behind, frees what is dead and closes what nobody holds.
Task<void> Store::Impl::watch() {
  const auto step = std::clamp(options.idle_close / 4, Milliseconds(20), Milliseconds(5000));
  while (true) {
    co_await sleep_for(loop, step);
    std::vector<std::pair<std::string, std::shared_ptr<Entry>>> list(entries.begin(),
                                                                     entries.end());
    std::ranges::sort(list, {}, [](const auto& item) { return item.second->used; });
    size_t open = list.size();
    for (auto& [user, entry] : list) {
      if (entry->mutex.locked()) continue;
      const auto now = Loop::now();
      if (entry->account && entry->account.use_count() > 1) entry->used = now;
      if (entry->account && compaction_due(user, *entry->account))
        scope.spawn(compact(user, entry->account));
      if (!entry->account ||
          (entry->account.use_count() == 1 &&
           (now - entry->used >= options.idle_close || open > options.max_open))) {
        open--;
        co_await close(std::move(user), std::move(entry), Why::idle);
        continue;
      }
      const auto account = entry->account;
      co_await account->tidy();
    }
  }
}

// Gives accounts to the tools that ask for them.
Task<void> Store::Impl::watch_release() {
  while (true) {
    co_await sleep_for(loop, kReleaseCheck);
    std::vector<std::string> users, wanted;
    for (const auto& [user, entry] : entries) {
      if (entry->account && !entry->mutex.locked()) users.push_back(user);
    }
    if (users.empty()) continue;
    co_await pool.run([&] {
      for (const auto& user : users) {
        if (release_state(disk(), options.base.get(), account_path(user)) == Release::wanted)
          wanted.push_back(user);
      }
    });
    for (const auto& user : wanted) {
      const auto found = entries.find(user);
      if (found == entries.end()) continue;
      log::info("", "account {}: a tool asks for it; it is closed for now", log::quoted(user));
      co_await close(user, found->second, Why::asked);
    }
  }
}

Store::Store(Loop& loop, IoPool& pool, Options options)
    : impl_(std::make_unique<Impl>(loop, pool, std::move(options))) {
  impl_->scope.spawn(impl_->watch());
  if (impl_->options.base.valid() && impl_->options.take_over == Milliseconds(0))
    impl_->scope.spawn(impl_->watch_release());
}

Store::~Store() = default;

Task<Result<std::shared_ptr<Account>>> Store::open(std::string user, bool create) {
  return impl_->open(std::move(user), create);
}

Task<void> Store::close_all() {
  impl_->closing = true;
  const auto all = impl_->entries;
  for (const auto& [user, entry] : all) co_await impl_->close(user, entry, Impl::Why::stopping);
}

Task<Status> Store::room_for(uint64_t bytes, Floor floor) {
  // In memory there is no file system.
  if (!impl_->options.base.valid() && !impl_->options.disk) co_return Status();
  co_return co_await impl_->space.room_for(bytes, floor);
}

void Store::set_limits(const Limits& limits) {
  impl_->options.limits = limits;
  for (const auto& [user, entry] : impl_->entries)
    if (entry->account) entry->account->set_limits(impl_->limits_of(user));
}

void Store::set_quota(const std::string& user, const OwnQuota& quota) {
  if (quota == OwnQuota())
    impl_->quotas.erase(user);
  else
    impl_->quotas[user] = quota;
  const auto found = impl_->entries.find(user);
  if (found != impl_->entries.end() && found->second->account)
    found->second->account->set_limits(impl_->limits_of(user));
}

size_t Store::open_accounts() const {
  return static_cast<size_t>(std::ranges::count_if(
      impl_->entries, [](const auto& item) { return item.second->account != nullptr; }));
}

Result<Fd> open_base(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + path, errno);
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return fail_errno("fstat " + path, errno);
  if ((st.st_mode & S_IWOTH) != 0)
    return fail(Fault::storage, "temporary failure", path + " is writable by others");
  return fd;
}

}  // namespace rims::store
