// bench/store_bench.cc - durable 4 KiB appends per second: accounts, and sessions of one account;
// opening an account of many messages
//
//   store_bench DIRECTORY [SECONDS]      the directory must be empty and on the disk to measure

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>

#include <fmt/core.h>

#include "common/account/store.h"
#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "common/base/encoding.h"
#include "common/journal/account_dir.h"
#include "common/maintenance/inspect.h"

namespace {

using namespace rims;

struct Run {
  store::Store& store;
  std::chrono::steady_clock::time_point until;
  uint64_t commits = 0;
  size_t left = 0;
};

Task<void> session(Run* run, std::string user) {
  auto account = co_await run->store.open(user);
  if (!account) {
    fmt::print(stderr, "{}\n", account.error().detail());
    std::exit(1);
  }
  const MailboxId inbox = (*account)->find("INBOX")->id;
  while (Loop::now() < run->until) {
    std::vector<store::NewMessage> one(1);
    one[0].bytes = store::MessageBytes(std::string(4096, 'm'));
    one[0].structure = std::string(600, 's');
    auto appended = co_await (*account)->append(inbox, std::move(one));
    if (!appended) {
      fmt::print(stderr, "{}\n", appended.error().detail());
      std::exit(1);
    }
    run->commits++;
  }
  run->left--;
}

Task<void> all(Loop* loop, Run* run) {
  while (run->left > 0) co_await sleep_for(*loop, Milliseconds(1));
}

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

void measure(const std::string& base, size_t accounts, size_t sessions, int seconds) {
  Loop loop;
  IoPool pool(loop, 64);
  auto fd = store::open_base(base);
  if (!fd) {
    fmt::print(stderr, "{}\n", fd.error().detail());
    std::exit(1);
  }
  store::Options options;
  options.base = *std::move(fd);
  store::Store mail(loop, pool, std::move(options));
  const auto name = [&](size_t i) { return fmt::format("{}-{}-{}", accounts, sessions, i); };
  for (size_t i = 0; i < accounts; i++) {
    if (auto account = run(loop, mail.open(name(i))); !account) std::exit(1);
  }
  Run now{.store = mail, .until = Loop::now() + std::chrono::seconds(seconds)};
  now.left = accounts * sessions;
  const double cpu = cpu_seconds();
  Scope scope(loop);
  for (size_t i = 0; i < accounts; i++) {
    for (size_t k = 0; k < sessions; k++) scope.spawn(session(&now, name(i)));
  }
  run(loop, all(&loop, &now));
  const double used = cpu_seconds() - cpu;
  fmt::print("{:4} accounts x {:4} sessions: {:8.0f} durable appends/s, {:6.1f} us CPU each\n",
             accounts, sessions, static_cast<double>(now.commits) / seconds,
             used * 1e6 / static_cast<double>(now.commits));
  std::fflush(stdout);
  run(loop, mail.close_all());
}

double milliseconds(std::chrono::steady_clock::time_point from) {
  return std::chrono::duration<double, std::milli>(Loop::now() - from).count();
}

Task<void> fill(std::shared_ptr<store::Account> account, size_t messages) {
  const MailboxId inbox = account->find("INBOX")->id;
  for (size_t done = 0; done < messages; done += 1000) {
    std::vector<store::NewMessage> many(1000);
    for (auto& m : many) {
      m.bytes = store::MessageBytes(std::string(64, 'm'));
      m.structure = "s";
    }
    if (!co_await account->append(inbox, std::move(many))) std::exit(1);
  }
}

// Opens it and dies, as a killed process does: nothing is written any more. Then all files of the
// index are deleted.
void crash(const std::string& base, const std::string& user) {
  {
    Loop loop;
    IoPool pool(loop, 8);
    store::Options options;
    options.base = *store::open_base(base);
    store::Store mail(loop, pool, std::move(options));
    auto account = run(loop, mail.open(user));
    if (!account) std::exit(1);
    std::vector<store::NewMessage> one(1);
    one[0].bytes = store::MessageBytes("the last one");
    if (!run(loop, (*account)->append((*account)->find("INBOX")->id, std::move(one)))) std::exit(1);
  }
  for (const auto& file :
       std::filesystem::directory_iterator(base + "/" + store::account_path(user))) {
    if (file.path().extension() == ".gdbm") std::filesystem::remove(file.path());
  }
}

void open_account(const std::string& base, const std::string& user, const char* how) {
  Loop loop;
  IoPool pool(loop, 8);
  store::Options options;
  options.base = *store::open_base(base);
  store::Store mail(loop, pool, std::move(options));
  const auto start = Loop::now();
  const auto account = run(loop, mail.open(user));
  if (!account) std::exit(1);
  const double opened = milliseconds(start);
  const auto inbox = run(loop, (*account)->open_mailbox((*account)->find("INBOX")->id));
  if (!inbox) std::exit(1);
  fmt::print("{:8} messages, {}: opened in {:.1f} ms, INBOX loaded in {:.1f} ms\n",
             (*inbox)->messages().size(), how, opened, milliseconds(start));
  std::fflush(stdout);
}

void measure_opening(const std::string& base, size_t messages) {
  const std::string user = fmt::format("large-{}", messages);
  {
    Loop loop;
    IoPool pool(loop, 8);
    store::Options options;
    options.base = *store::open_base(base);
    store::Store mail(loop, pool, std::move(options));
    auto account = run(loop, mail.open(user));
    if (!account) std::exit(1);
    run(loop, fill(*account, messages));
    account = fail(Fault::not_found, "");
    run(loop, mail.close_all());
  }
  open_account(base, user, "after a clean stop");
  crash(base, user);
  open_account(base, user, "after a crash, without any index file");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: store_bench DIRECTORY [SECONDS]\n");
    return 64;
  }
  crypto_init();
  const int seconds = argc > 2 ? std::atoi(argv[2]) : 3;
  for (const size_t accounts : {size_t{1}, size_t{16}, size_t{128}})
    measure(argv[1], accounts, 1, seconds);
  measure(argv[1], 1, 128, seconds);
  for (const size_t messages : {size_t{100'000}, size_t{1'000'000}})
    measure_opening(argv[1], messages);
  return 0;
}
