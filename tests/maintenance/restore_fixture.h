// tests/maintenance/restore_fixture.h - an account with a backup, and models of what it was
#pragma once

#include <bit>
#include <random>

#include "common/journal/account_dir.h"
#include "common/journal/reader.h"
#include "common/maintenance/backup.h"
#include "common/maintenance/backup_files.h"
#include "common/maintenance/restore_account.h"
#include "common/maintenance/restore_plan.h"
#include "common/maintenance/restore_run.h"
#include "tests/account/file_fixture.h"

namespace rims::store {

// A message as a client sees it, without its uid.
struct Shown {
  std::string bytes, structure;
  uint8_t flags = 0;
  std::vector<std::string> keywords;
  int64_t date = 0;
  auto operator<=>(const Shown&) const = default;
};
struct Model {
  std::map<std::string, std::multiset<Shown>> mailboxes;
  std::map<std::string, std::string> attributes;
  std::map<std::string, Annotations> annotations;  // "": of the account itself
  std::set<std::string> subscriptions;
  bool operator==(const Model&) const = default;
};

class RestoreTest : public FileTest {
 protected:
  void SetUp() override {
    quick_ = true;
    FileTest::SetUp();
    fs::create_directory(fs::path(base_) / "other");
  }
  Fd base() const { return *open_base(base_); }
  static std::string id() { return unique_user_id("foo"); }
  std::string backups() const { return base_ + "/backup"; }
  BackupManifest backup() {
    auto done = back_up(
        base(),
        {.directory = backups(), .account = id(), .user = "foo", .progress = {}, .clock = [this] {
           return now_;
         }});
    EXPECT_TRUE(done) << done.error().detail();
    return done ? done->manifest : BackupManifest();
  }
  Model show(const std::shared_ptr<Account>& account) {
    Model model;
    model.annotations[""] = account->annotations(MailboxId());
    for (const auto* info : account->mailboxes()) {
      model.annotations[info->name] = account->annotations(info->id);
      auto& shown = model.mailboxes[info->name];
      model.attributes[info->name] = info->noselect ? "\\Noselect" : name(info->special_use);
      if (info->noselect) continue;
      const auto mailbox = must(account->open_mailbox(info->id));
      for (const auto& e : mailbox->messages()) {
        Shown one{must(account->read(e.message)),
                  must(account->read_structure(e.message)),
                  e.flags,
                  {},
                  e.date};
        one.keywords = mailbox->keywords_of(e);
        std::ranges::sort(one.keywords);
        shown.insert(std::move(one));
      }
    }
    model.subscriptions = {account->subscriptions().begin(), account->subscriptions().end()};
    return model;
  }
  struct Done {
    RestorePlan plan;
    RestoreOutcome outcome;
  };
  // What rims-ctl restore does to an account that exists.
  Done restore(const std::shared_ptr<Account>& account, JournalReader from, FoldUntil until,
               RestoreScope scope, bool same, bool replace = false, bool interrupted = false) {
    auto then = from.fold(until);
    EXPECT_TRUE(then) << then.error().detail();
    const AccountState now = snapshot(account);
    auto plan = plan_restore(
        {.then = then->state,
         .now = now,
         .same_ids = same,
         .replace_damaged = replace,
         .then_digest = [&](const MessageEntry& e) -> Result<std::string> {
           const auto place = then->places.find(e.message);
           if (place == then->places.end()) return fail(Fault::not_found, "no such message");
           return from.read(place->second, e.message, Part::message);
         },
         .now_digest = [&](const MessageEntry& e) { return run(loop_, account->read(e.message)); }},
        scope);
    EXPECT_TRUE(plan) << plan.error().detail();
    Done done{*plan, {}};
    for (auto& m : plan->mailboxes)
      if (interrupted)
        std::ranges::fill(m.damaged, Uid(0));  // before the damaged ones are expunged
    done.outcome =
        must(carry_out(*account, *plan,
                       {.read = [&](const MessageEntry& e) -> Result<MessageParts> {
                          const auto& place = then->places.at(e.message);
                          TRY(auto bytes, from.read(place, e.message, Part::message));
                          TRY(auto structure, from.read(place, e.message, Part::structure));
                          return MessageParts{std::move(bytes), std::move(structure)};
                        },
                        .same_ids = same}));
    return done;
  }
  void begin_anew() {
    if (store_) stop();
    fs::remove_all(fs::path(base_) / "mailbox.3");
    fs::remove_all(backups());
    make_store();
  }
  // Changes 4 bytes of the message with this text, or of the n-th one after it.
  static void damage(const fs::path& account, const std::string& text, int n = 0) {
    std::set<fs::path> segments;
    for (const auto& file : fs::directory_iterator(account / "journal"))
      segments.insert(file.path());
    for (const auto& path : segments) {
      std::string bytes = slurp(path);
      for (size_t at = bytes.find(text); at != bytes.npos; at = bytes.find(text, at + 1)) {
        // The structure has these words, too.
        if (bytes.substr(at - 13, 13) == "structure of " || n-- > 0) continue;
        for (size_t i = 0; i < 4; i++) bytes[at + i] ^= 1;
        spew(path, bytes);
        return;
      }
    }
    ADD_FAILURE() << text << " is nowhere in " << account;
  }
  JournalReader own() { return *JournalReader::open(base(), "foo"); }
  JournalReader from_backup() { return *JournalReader::at(backups() + "/" + id() + "/journal"); }

  // Some change or other, a minute later.
  void change(const std::shared_ptr<Account>& account, std::mt19937& random) {
    now_ += 60;
    const auto pick = [&](size_t n) { return static_cast<size_t>(random() % n); };
    std::vector<const MailboxInfo*> boxes;
    for (const auto* info : account->mailboxes())
      if (!info->noselect) boxes.push_back(info);
    const MailboxId box = boxes[pick(boxes.size())]->id, other = boxes[pick(boxes.size())]->id;
    std::vector<Uid> some;
    for (const auto& e : must(account->open_mailbox(box))->messages())
      if (random() % 3 == 0) some.push_back(e.uid);
    switch (pick(9)) {
      case 0:
      case 1:
      case 2: {
        auto m = message("mail " + std::to_string(random() % 40) + std::string(random() % 300, 'x'),
                         static_cast<uint8_t>(random() % 32), {"k" + std::to_string(random() % 3)});
        m.date = static_cast<int64_t>(1'000'000'000 + random() % 2);
        std::vector<NewMessage> list;
        list.push_back(std::move(m));
        must(account->append(box, std::move(list)));
        break;
      }
      case 3:
        must(account->change_flags(box, {.uids = some,
                                         .op = FlagOp::replace,
                                         .flags = static_cast<uint8_t>(random() % 32),
                                         .keywords = {"k" + std::to_string(random() % 5)}}));
        break;
      case 4:
        must(account->expunge(box, some));
        break;
      case 5:
        must(account->copy(box, some, other));
        break;
      case 6:
        must(account->move(box, some, other));
        break;
      case 7: {
        const char* const some_names[] = {"box0",    "box1",     "box2", "box0/in", "box1/in",
                                          "box2/in", "box2/out", "Sent", "Trash",   "Drafts"};
        const std::string name = some_names[pick(std::size(some_names))];
        const auto* info = account->find(name);
        const std::string to = "box" + std::to_string(random() % 9);
        if (!info) {
          auto use = static_cast<SpecialUse>(pick(6));
          for (const auto* present : account->mailboxes())
            if (present->special_use == use) use = SpecialUse::none;
          must(account->create(name, use));
        } else if (random() % 2 == 0) {
          if (!info->noselect) must(account->remove(name));
        } else if (!account->find(to)) {
          must(account->rename(name, to));
        }
        break;
      }
      default:
        must(account->annotate(
            box, {{"/private/" + std::to_string(random() % 3),
                   random() % 3 == 0 ? std::optional<std::string>() : std::to_string(random())}}));
        must(random() % 2 == 0 ? account->subscribe("box" + std::to_string(random() % 5))
                               : account->unsubscribe("box" + std::to_string(random() % 5)));
    }
  }
};

}  // namespace rims::store
