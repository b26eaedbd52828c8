// cli/import_mail.cc - mail of a source into an account

#include "cli/import_mail.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/encoding.h"
#include "common/base/utf8.h"
#include "common/mail/state.h"

namespace rims::cli {
namespace {

// What a message that was taken is known by: its place, its name there, and its bytes. The mark of
// an early version is without the bytes.
constexpr std::string_view kMark = "import2:", kEarlyMark = "import:";

// RFC 9051 §9, flag-keyword = atom.
bool is_keyword(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return c > 0x20 && c < 0x7f && std::string_view("(){%*\"\\]").find(c) == std::string_view::npos;
  });
}

class Import {
 public:
  Import(store::OfflineAccount& to, MailSource& from, const ImportOptions& options,
         const Remarks& remarks)
      : to_(to), from_(from), options_(options), remarks_(remarks) {}

  using Progress = std::function<void(const std::string&, uint64_t, uint64_t)>;

  Result<Imported> all(const std::vector<FoundMailbox>& mailboxes, const Progress& progress) {
    TRY_STATUS(to_.run(to_.account().each_delivery_id([this](std::string_view id) {
      if (id.starts_with(kMark) || id.starts_with(kEarlyMark)) taken_.emplace(id);
    })));
    for (const auto& mailbox : mailboxes) {
      TRY_STATUS(one(mailbox, progress));
      done_.mailboxes++;
      if (done_.stopped) return done_;
    }
    for (const auto& name : from_.subscriptions(remarks_)) {
      if (const Status on = to_.run(to_.account().subscribe(possible_name(name))); !on) {
        if (on.error().fault() == Fault::storage) return std::unexpected(on.error());
        remarks_.not_taken("subscription of " + name, on.error().reply());
      }
    }
    return done_;
  }

 private:
  struct Target {
    MailboxId id;
    bool uids = false;  // are kept
    std::set<std::string> keywords;
  };

  // A name alone is no identity: two stores may give the same one to different messages.
  std::string mark(const FoundMailbox& mailbox, const FoundMessage& m,
                   const std::string& text) const {
    const std::string whole = place(mailbox, m) + '\0' + sha256(text);
    return std::string(kMark) + to_hex(sha256(whole)).substr(0, 40);
  }
  std::string early_mark(const FoundMailbox& mailbox, const FoundMessage& m) const {
    return std::string(kEarlyMark) + to_hex(sha256(place(mailbox, m))).substr(0, 40);
  }
  std::string place(const FoundMailbox& mailbox, const FoundMessage& m) const {
    return options_.kind + '\0' + mailbox.name + '\0' + std::to_string(mailbox.uidvalidity) + '\0' +
           m.key;
  }

  // Was it taken, with these bytes?
  Result<bool> taken(const FoundMailbox& mailbox, const FoundMessage& m, const std::string& text,
                     const std::string& mark, MailboxId into) {
    if (taken_.contains(mark)) return true;
    if (!taken_.contains(early_mark(mailbox, m))) return false;
    TRY(const auto open, to_.run(to_.account().open_mailbox(into)));
    for (const auto& e : open->messages()) {
      if (e.size != text.size()) continue;
      const auto there = to_.run(to_.account().read(e.message));
      if (there && *there == text) return true;
    }
    return false;
  }

  // The mailbox to import into.
  Result<Target> target(const FoundMailbox& mailbox) {
    auto& account = to_.account();
    const std::string name = possible_name(mailbox.name);
    if (name != mailbox.name) remarks_.note(mailbox.where, "it becomes the mailbox " + name);
    Target target;
    const bool shared = !used_.insert(name).second;
    if (shared)
      remarks_.note(mailbox.where, "a second mailbox becomes " + name + ": its UIDs are new");
    if (mailbox.uidvalidity != 0 && !shared) {
      auto id = to_.run(account.adopt(name, UidValidity(mailbox.uidvalidity)));
      if (!id && id.error().code() != "ALREADYEXISTS" && id.error().code() != "CANNOT")
        return std::unexpected(id.error());
      target.uids = id.has_value();
      if (!id) remarks_.note(mailbox.where, "UIDs are new in " + name + ": " + id.error().reply());
    }
    const auto* info = account.find(name);
    if (!info || info->noselect) {
      TRY_STATUS(to_.run(account.create(name)));
      info = account.find(name);
    }
    target.id = info->id;
    TRY(const auto open, to_.run(account.open_mailbox(target.id)));
    for (const auto& keyword : open->keywords().names())
      target.keywords.insert(ascii::lower(keyword));
    return target;
  }

  Status one(const FoundMailbox& mailbox, const Progress& progress) {
    auto found = from_.messages(mailbox, remarks_);
    if (!found) {
      remarks_.not_taken(mailbox.where, found.error().detail());
      done_.failed++;
      return {};
    }
    auto into = target(mailbox);
    if (!into) {
      if (into.error().fault() == Fault::storage) return std::unexpected(into.error());
      remarks_.not_taken(mailbox.where, into.error().reply());
      done_.failed += found->size();
      return {};
    }
    uint64_t done = 0, bytes = 0, used_up = 0, without_room = 0;
    std::string full;  // the limit that the mailbox has met
    Uid next = to_.account().find(into->id)->uidnext;
    std::vector<store::NewMessage> batch;
    // A limit concerns what it leaves no room for, and not the mailboxes that follow.
    const auto put = [&](std::vector<store::NewMessage> messages) -> Status {
      const uint64_t count = messages.size();
      uint64_t size = 0;
      for (const auto& m : messages) size += m.bytes.view().size();
      auto appended = to_.run(to_.account().append(into->id, std::move(messages)));
      if (!appended && appended.error().fault() == Fault::limit) {
        full = appended.error().detail();
        without_room += count;
        return {};
      }
      TRY_STATUS(appended);
      done_.messages += count;
      done_.bytes += size;
      return {};
    };
    const auto flush = [&]() -> Status {
      bytes = 0;
      auto all = std::exchange(batch, {});
      if (all.empty()) return {};
      if (has_room(into->id, all.size())) return put(std::move(all));
      // As many as there is room for.
      for (auto& one : all) {
        std::vector<store::NewMessage> single;
        single.push_back(std::move(one));
        TRY_STATUS(put(std::move(single)));
      }
      return {};
    };
    for (const auto& m : *found) {
      done_.stopped = options_.stop && options_.stop();
      if (done_.stopped) return flush();
      progress(mailbox.name, done++, found->size());
      auto text = from_.read(mailbox, m);
      if (!text || text->empty()) {
        remarks_.not_taken(m.where, text ? "it is empty" : text.error().detail());
        done_.failed++;
        continue;
      }
      if (text->size() > to_.account().limits().message_bytes) {
        remarks_.not_taken(
            m.where, fmt::format("it has {} bytes, and limits.message_size allows {}", text->size(),
                                 to_.account().limits().message_bytes));
        done_.failed++;
        continue;
      }
      auto id = mark(mailbox, m, *text);
      TRY(const bool before, taken(mailbox, m, *text, id, into->id));
      if (before) {
        done_.before++;
        continue;
      }
      store::NewMessage message;
      message.structure = message::make_structure(*text, options_.structure);
      bytes += text->size();
      message.bytes = store::MessageBytes(*std::move(text));
      message.flags = m.flags;
      message.keywords = keywords(*into, m);
      message.date = m.date;
      message.zone = m.zone;
      taken_.insert(id);
      message.delivery_id = std::move(id);
      if (into->uids && m.uid != 0) {
        if (m.uid >= next.value) {
          message.uid = Uid(m.uid);
          next = Uid(m.uid);
        } else {
          used_up++;
        }
      } else if (into->uids && next.value < mailbox.uidnext) {
        // The source has given all UIDs below its UIDNEXT to other messages.
        TRY_STATUS(flush());
        TRY_STATUS(to_.run(to_.account().raise_uidnext(into->id, Uid(mailbox.uidnext))));
        next = Uid(mailbox.uidnext);
      }
      next = Uid(next.value + 1);
      batch.push_back(std::move(message));
      if (batch.size() >= options_.batch_messages || bytes >= options_.batch_bytes) {
        TRY_STATUS(flush());
      }
    }
    TRY_STATUS(flush());
    if (without_room > 0) {
      remarks_.not_taken(mailbox.where, fmt::format("{} messages: {}", without_room, full));
      done_.failed += without_room;
    }
    if (into->uids && mailbox.uidnext > 1) {
      TRY_STATUS(to_.run(to_.account().raise_uidnext(into->id, Uid(mailbox.uidnext))));
    }
    (void)to_.account().claim_recent(into->id);
    if (used_up > 0)
      remarks_.note(mailbox.where,
                    fmt::format("{} messages got new UIDs: theirs were already used", used_up));
    return {};
  }

  bool has_room(MailboxId id, size_t count) {
    auto& account = to_.account();
    uint64_t all = count;
    for (const auto* mailbox : account.mailboxes()) all += mailbox->messages;
    const auto* info = account.find(id);
    return info && info->messages + count <= account.limits().mailbox_messages &&
           all <= account.limits().account_messages;
  }

  // Those keywords of `m` that RIMS can store.
  std::vector<std::string> keywords(Target& into, const FoundMessage& m) {
    const store::Limits& limits = to_.account().limits();
    std::vector<std::string> list;
    for (const auto& keyword : m.keywords) {
      const char* why = nullptr;
      if (!is_keyword(keyword))
        why = "it is no IMAP keyword";
      else if (keyword.size() > limits.keyword_bytes)
        why = "it is too long";
      else if (!into.keywords.contains(ascii::lower(keyword)) &&
               into.keywords.size() >= limits.keywords)
        why = "the mailbox has as many other keywords as it can hold";
      else if (list.size() >= store::kMaxKeywordsOfMessage)
        why = "the message has as many other keywords as it can hold";
      if (why) {
        remarks_.not_taken(m.where, fmt::format("its keyword {}: {}", keyword, why));
        continue;
      }
      into.keywords.insert(ascii::lower(keyword));
      list.push_back(keyword);
    }
    return list;
  }

  store::OfflineAccount& to_;
  MailSource& from_;
  const ImportOptions& options_;
  const Remarks& remarks_;
  std::unordered_set<std::string> taken_;
  std::set<std::string> used_;
  Imported done_;
};

}  // namespace

Result<Imported> import_mail(
    store::OfflineAccount& to, MailSource& from, const std::vector<FoundMailbox>& mailboxes,
    const ImportOptions& options, const Remarks& remarks,
    const std::function<void(const std::string& mailbox, uint64_t done, uint64_t all)>& progress) {
  return Import(to, from, options, remarks).all(mailboxes, progress);
}

std::string possible_name(const std::string& name) {
  const store::Limits limits;
  std::string fixed = store::canonical_name(name);
  if (store::check_name(fixed, limits)) return fixed;
  if (!utf8::is_valid(fixed)) {
    // Read as Latin-1.
    std::string latin;
    for (const char c : fixed) utf8::append(latin, static_cast<unsigned char>(c));
    fixed = std::move(latin);
  }
  std::string out;
  for (size_t i = 0; i < fixed.size(); i++) {
    const auto c = static_cast<unsigned char>(fixed[i]);
    const bool level_end = c == '/' && (out.empty() || out.back() == '/' || i + 1 == fixed.size());
    // U+0080 to U+009F are control characters.
    const bool control =
        c == 0xc2 && i + 1 < fixed.size() && static_cast<unsigned char>(fixed[i + 1]) < 0xa0;
    if (control) i++;
    out += control || c < 0x20 || c == 0x7f || level_end ? '_' : static_cast<char>(c);
  }
  if (out.empty()) out = "_";
  return store::canonical_name(out);
}

}  // namespace rims::cli
