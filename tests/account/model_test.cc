// tests/account/model_test.cc - 10,000 random operations against a model that a child could check
//
// The model is a map of names to maps of uids. Every so often the store is stopped or killed and
// opened again. The seed is printed on failure; give RIMS_SEED to play it again.

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "tests/account/fixture.h"

namespace rims::store {
namespace {

struct ModelMessage {
  std::string bytes;
  uint8_t flags = 0;
  std::set<std::string> keywords;
  bool operator==(const ModelMessage&) const = default;
};

struct ModelMailbox {
  uint32_t uidnext = 1;
  std::map<uint32_t, ModelMessage> messages;
};

class ModelTest : public StoreTest {
 protected:
  void compare() {
    ASSERT_EQ(account_->mailboxes().size(), model_.size());
    Usage counted{.bytes = 0, .messages = 0, .mailboxes = model_.size()};
    for (const auto& [name, expected] : model_) {
      counted.messages += expected.messages.size();
      for (const auto& [uid, m] : expected.messages) counted.bytes += m.bytes.size();
    }
    ASSERT_EQ(account_->usage(), counted);
    for (const auto& [name, expected] : model_) {
      const auto* info = account_->find(name);
      ASSERT_TRUE(info) << name;
      ASSERT_EQ(info->messages, expected.messages.size()) << name;
      ASSERT_EQ(info->uidnext.value, expected.uidnext) << name;
      const auto mailbox = must(account_->open_mailbox(info->id));
      size_t at = 0;
      for (const auto& [uid, m] : expected.messages) {
        const auto& e = mailbox->messages()[at++];
        ASSERT_EQ(e.uid.value, uid);
        ASSERT_EQ(e.flags, m.flags);
        const auto names = mailbox->keywords_of(e);
        const std::set<std::string> keywords(names.begin(), names.end());
        ASSERT_EQ(keywords, m.keywords);
        if (random_() % 8 == 0) ASSERT_EQ(must(account_->read(e.message)), m.bytes);
      }
    }
  }

  std::string some_mailbox() {
    auto it = model_.begin();
    std::advance(it, static_cast<ptrdiff_t>(random_() % model_.size()));
    return it->first;
  }
  std::vector<Uid> some_uids(const ModelMailbox& mailbox) {
    std::vector<Uid> list;
    const uint32_t first = static_cast<uint32_t>(random_() % mailbox.uidnext);
    for (uint32_t i = 0; i < 1 + random_() % 6; i++) list.emplace_back(first + i * (1 + i % 2));
    return list;
  }

  void step() {
    static const char* const kWords[] = {"$Junk", "Work", "todo", "later"};
    const std::string name = some_mailbox();
    auto& box = model_[name];
    const MailboxId id = account_->find(name)->id;
    switch (random_() % 20) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
      case 6: {
        ModelMessage m{"message " + std::to_string(count_++) + std::string(random_() % 300, 'x'),
                       static_cast<uint8_t>(random_() % 32),
                       {}};
        if (random_() % 3 == 0) m.keywords.insert(kWords[random_() % 4]);
        std::vector<NewMessage> one;
        one.push_back(message(m.bytes, m.flags, {m.keywords.begin(), m.keywords.end()}));
        ASSERT_EQ(must(account_->append(id, std::move(one))).uids[0].value, box.uidnext);
        box.messages[box.uidnext++] = std::move(m);
        break;
      }
      case 7:
      case 8:
      case 9:
      case 10:
      case 11: {
        FlagChange change{.uids = some_uids(box),
                          .op = static_cast<FlagOp>(random_() % 3),
                          .flags = static_cast<uint8_t>(random_() % 32),
                          .keywords = {}};
        if (random_() % 2 == 0) change.keywords.emplace_back(kWords[random_() % 4]);
        for (const Uid uid : change.uids) {
          const auto found = box.messages.find(uid.value);
          if (found == box.messages.end()) continue;
          auto& m = found->second;
          if (change.op == FlagOp::replace) m.keywords.clear();
          for (const auto& k : change.keywords) {
            if (change.op == FlagOp::remove)
              m.keywords.erase(k);
            else
              m.keywords.insert(k);
          }
          if (change.op == FlagOp::replace) m.flags = change.flags;
          if (change.op == FlagOp::add) m.flags |= change.flags;
          if (change.op == FlagOp::remove) m.flags = static_cast<uint8_t>(m.flags & ~change.flags);
        }
        must(account_->change_flags(id, std::move(change)));
        break;
      }
      case 12:
      case 13: {
        const auto list = some_uids(box);
        std::set<uint32_t> gone;
        for (const Uid uid : list) {
          if (box.messages.erase(uid.value) != 0) gone.insert(uid.value);
        }
        const auto really = numbers(must(account_->expunge(id, list)));
        ASSERT_EQ(std::set(really.begin(), really.end()), gone);
        break;
      }
      case 14:
      case 15: {
        const std::string to = some_mailbox();
        const bool move = random_() % 2 == 0;
        auto list = some_uids(box);
        std::ranges::sort(list);
        list.erase(std::ranges::unique(list).begin(), list.end());
        const MailboxId target = account_->find(to)->id;
        auto& destination = model_[to];
        std::vector<std::pair<Uid, Uid>> pairs;
        std::vector<ModelMessage> carried;  // first, because both may be the same mailbox
        for (const Uid uid : list) {
          const auto found = box.messages.find(uid.value);
          if (found == box.messages.end()) continue;
          pairs.emplace_back(uid, Uid());
          carried.push_back(found->second);
          if (move) box.messages.erase(found);
        }
        for (size_t i = 0; i < pairs.size(); i++) {
          pairs[i].second = Uid(destination.uidnext);
          destination.messages[destination.uidnext++] = carried[i];
        }
        const auto copied =
            must(move ? account_->move(id, list, target) : account_->copy(id, list, target));
        ASSERT_EQ(copied.uids, pairs);
        break;
      }
      case 16: {
        const std::string fresh = "m" + std::to_string(random_() % 12);
        const auto made = run(loop_, account_->create(fresh));
        ASSERT_EQ(made.has_value(), !model_.contains(fresh));
        model_.try_emplace(fresh);
        break;
      }
      case 17: {
        if (name == "INBOX" || random_() % 2 == 0) break;
        must(account_->remove(name));
        model_.erase(name);
        break;
      }
      case 18: {
        const std::string to = "m" + std::to_string(random_() % 12);
        const auto renamed = run(loop_, account_->rename(name, to));
        ASSERT_EQ(renamed.has_value(), !model_.contains(to));
        if (!renamed) break;
        if (name == "INBOX") {
          auto& target = model_[to];
          for (auto& [uid, m] : model_["INBOX"].messages)
            target.messages[target.uidnext++] = std::move(m);
          model_["INBOX"].messages.clear();
        } else {
          auto node = model_.extract(name);
          node.key() = to;
          model_.insert(std::move(node));
        }
        break;
      }
      default:
        account_->claim_recent(id);
    }
  }

  std::mt19937 random_;
  std::map<std::string, ModelMailbox> model_;
  std::shared_ptr<Account> account_;
  int count_ = 0;
};

TEST_F(ModelTest, TenThousandRandomOperations) {
  const char* given = getenv("RIMS_SEED");
  const auto seed =
      given ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  SCOPED_TRACE("RIMS_SEED=" + std::to_string(seed));
  random_.seed(seed);
  for (const char* name : {"INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"}) model_[name];
  account_ = open();
  for (int i = 0; i < 10'000 && !HasFatalFailure(); i++) {
    step();
    if (random_() % 1000 == 0) {
      compare();
      account_.reset();
      if (random_() % 2 == 0)
        reopen();
      else
        kill();
      account_ = open();
      compare();
    }
  }
  compare();
  account_.reset();
}

}  // namespace
}  // namespace rims::store
