// tests/crash/reopen/reopen.cc - opens accounts as a server does after a crash, and tells what is
// there
//
//   stdin     one line a time: DIRECTORY USER...
//   stdout    per user      user NAME
//             per mailbox   mailbox UIDVALIDITY NAME
//             per message   message UID FLAGS SHA-256     (or "unreadable" and why)
//             what is wrong wrong SENTENCE
//             at the end    end
//
// "Wrong" is an account that does not open, breaks an invariant, takes no new message, or is
// another one when it is closed and opened again. Nothing below DIRECTORY stays open after "end".

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "common/account/store.h"
#include "common/async/io_pool.h"
#include "common/async/loop.h"
#include "common/base/encoding.h"

namespace {

using namespace rims;

void wrong(const std::string& what) { fmt::print("wrong {}\n", what); }

// A message comes and goes: the account must go on.
void append_and_expunge(Loop& loop, store::Account& account) {
  const auto* inbox = account.find("INBOX");
  if (!inbox) return wrong("there is no INBOX");
  const MailboxId id = inbox->id;
  std::vector<store::NewMessage> one(1);
  one[0].bytes = store::MessageBytes("Subject: after the crash\r\n\r\n");
  const auto appended = run(loop, account.append(id, std::move(one)));
  if (!appended) return wrong("takes no message: " + appended.error().detail());
  const auto gone = run(loop, account.expunge(id, appended->uids));
  if (!gone) return wrong("does not expunge: " + gone.error().detail());
}

// All there is, as lines. `change`: afterwards a message comes and goes.
std::string look(Loop& loop, store::Store& store, const std::string& user, bool change) {
  const auto opened = run(loop, store.open(user));
  if (!opened) {
    wrong("does not open: " + opened.error().detail());
    return {};
  }
  const std::shared_ptr<store::Account>& account = *opened;
  std::string lines;
  std::vector<MailboxId> ids;
  for (const auto* info : account->mailboxes()) ids.push_back(info->id);
  for (const MailboxId id : ids) {
    const auto mailbox = run(loop, account->open_mailbox(id));
    if (!mailbox) {
      wrong("a mailbox does not open: " + mailbox.error().detail());
      continue;
    }
    lines += fmt::format("mailbox {} {}\n", (*mailbox)->info().uidvalidity.value,
                         (*mailbox)->info().name);
    for (const store::MessageEntry& entry : (*mailbox)->messages()) {
      const auto bytes = run(loop, account->read(entry.message));
      lines += fmt::format("message {} {} {}\n", entry.uid.value, entry.flags,
                           bytes ? to_hex(sha256(*bytes)) : "unreadable " + bytes.error().detail());
    }
  }
  if (change) {
    const auto problems = run(loop, account->check());
    if (!problems) wrong("check: " + problems.error().detail());
    for (size_t i = 0; problems && i < problems->size(); i++) wrong("check: " + (*problems)[i]);
    append_and_expunge(loop, *account);
  }
  return lines;
}

std::string open_and_look(Loop& loop, IoPool& pool, const std::string& directory,
                          const std::string& user, bool change) {
  auto base = store::open_base(directory);
  if (!base) {
    wrong(base.error().detail());
    return {};
  }
  store::Options options;
  options.base = *std::move(base);
  store::Store store(loop, pool, std::move(options));
  std::string lines = look(loop, store, user, change);
  run(loop, store.close_all());
  return lines;
}

}  // namespace

int main() {
  crypto_init();
  Loop loop;
  IoPool pool(loop, 4);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string directory;
    std::string user;
    words >> directory;
    while (words >> user) {
      fmt::print("user {}\n", user);
      const std::string first = open_and_look(loop, pool, directory, user, true);
      const std::string second = open_and_look(loop, pool, directory, user, false);
      if (first != second) wrong("the account is another one when it is opened again");
      fmt::print("{}", first);
    }
    fmt::print("end\n");
    std::fflush(stdout);
  }
}
