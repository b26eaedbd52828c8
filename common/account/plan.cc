// common/account/plan.cc - numbers given out ahead of the disk

#include "common/account/plan.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/journal/torn.h"

namespace rims::store {
namespace {

// A clock that is beyond this (2097) is wrong, and leaves numbers for when it is right again.
constexpr uint32_t kLatestUidValidity = 0xf000'0000;

}  // namespace

Plan::Overlay& Plan::overlay(const Mailbox& mailbox) {
  auto& o = overlays_[mailbox.info().id];
  if (o.uidnext.value == 0) o.uidnext = mailbox.info().uidnext;
  return o;
}

Status Plan::room_for(const Mailbox& mailbox, const Coming& coming, const Limits& limits) {
  const size_t count = coming.messages;
  const auto& o = overlay(mailbox);
  if (count >= UINT32_MAX - o.uidnext.value)
    return fail(Fault::limit, "the mailbox has no unique identifiers left", {}, "LIMIT");
  const auto full = [](uint64_t there, uint64_t come, int64_t more, uint64_t most) {
    return std::cmp_greater(static_cast<int64_t>(there + come) + more, most);
  };
  if (full(mailbox.info().messages, count, o.more, limits.mailbox_messages))
    return fail(
        Fault::limit,
        fmt::format("no room: a mailbox may hold {} messages", limits.mailbox_messages),
        fmt::format("limits.mailbox_messages: \"{}\" has {} messages of {}, and {} more "
                    "were to come",
                    mailbox.info().name, mailbox.info().messages, limits.mailbox_messages, count),
        "LIMIT");
  if (coming.moves) return {};
  const Usage usage = state_.usage();
  if (full(usage.messages, count, more_, limits.account_messages))
    return fail(Fault::limit,
                fmt::format("no room: all mailboxes together may hold {} messages",
                            limits.account_messages),
                fmt::format("limits.account_messages: all mailboxes have {} messages of {}, and {} "
                            "more were to come",
                            usage.messages, limits.account_messages, count),
                "LIMIT");
  const Usage& quota = limits.quota;
  if (quota.messages != 0 && full(usage.messages, count, more_, quota.messages))
    return fail(
        Fault::limit, fmt::format("over quota: you may have {} messages", quota.messages),
        fmt::format("quota.messages: the account has {} messages of {}, and {} more were to come",
                    usage.messages, quota.messages, count),
        "OVERQUOTA");
  if (quota.bytes != 0 && full(usage.bytes, coming.bytes, more_bytes_, quota.bytes))
    return fail(
        Fault::limit, fmt::format("over quota: you may have {} bytes of mail", quota.bytes),
        fmt::format("quota.storage: the account has {} bytes of {}, and {} more were to come",
                    usage.bytes, quota.bytes, coming.bytes),
        "OVERQUOTA");
  return {};
}

Status Plan::room_for_mailboxes(const AccountState& state, size_t more, const Limits& limits) {
  if (more == 0) return {};
  if (state.mailboxes().size() + more > limits.mailboxes)
    return fail(Fault::limit, "too many mailboxes", {}, "LIMIT");
  const uint64_t there = state.usage().mailboxes, most = limits.quota.mailboxes;
  if (most != 0 && there + more > most)
    return fail(
        Fault::limit, fmt::format("over quota: you may have {} mailboxes", most),
        fmt::format("quota.mailboxes: the account has {} mailboxes of {}, and {} more were to come",
                    there, most, more),
        "OVERQUOTA");
  return {};
}

void Plan::count_messages(const Mailbox& mailbox, int64_t more, int64_t bytes) {
  overlay(mailbox).more += more;
  more_ += more;
  more_bytes_ += bytes;
}

Uid Plan::take_uid(const Mailbox& mailbox, uint32_t bytes) {
  auto& next = overlay(mailbox).uidnext;
  const Uid uid = next;
  next = Uid(uid.value + 1);
  count_messages(mailbox, 1, bytes);
  return uid;
}

UidValidity Plan::take_uidvalidity() {
  const uint32_t wanted = std::clamp<uint32_t>(time_, 1, kLatestUidValidity);
  last_uidvalidity_ = UidValidity(std::max(wanted, last_uidvalidity_.value + 1));
  return last_uidvalidity_;
}

Result<KeywordList> Plan::keywords(const Mailbox& mailbox, std::span<const std::string> names,
                                   const Limits& limits, NoRoom no_room) {
  auto& o = overlay(mailbox);
  const size_t before = o.new_keywords.size();
  const size_t known = mailbox.keywords().names().size();
  KeywordList list;
  for (const auto& wanted : names) {
    std::optional<size_t> index = mailbox.keywords().find(wanted);
    for (size_t i = 0; !index && i < o.new_keywords.size(); i++) {
      if (ascii::equal(o.new_keywords[i], wanted)) index = known + i;
    }
    const bool too_long = wanted.empty() || wanted.size() > limits.keyword_bytes;
    const bool full = !index && known + o.new_keywords.size() >= limits.keywords;
    const bool too_many = list.size() >= kMaxKeywordsOfMessage &&
                          (!index || std::ranges::find(list, *index) == list.end());
    if ((!index && too_long) || full || too_many) {
      if (no_room == NoRoom::leave_out) continue;
      o.new_keywords.resize(before);
      return fail(
          Fault::limit,
          too_long ? fmt::format("a keyword may have {} bytes", limits.keyword_bytes)
          : full   ? fmt::format("too many keywords: a mailbox may have {} (limits.keywords)",
                                 limits.keywords)
                   : fmt::format("too many keywords: a message may have {}", kMaxKeywordsOfMessage),
          {}, "LIMIT");
    }
    if (!index) {
      index = known + o.new_keywords.size();
      o.new_keywords.push_back(wanted);
    }
    list.push_back(static_cast<KeywordIndex>(*index));
  }
  for (size_t i = before; i < o.new_keywords.size(); i++)
    add(Keyword{mailbox.info().id, static_cast<KeywordIndex>(known + i), o.new_keywords[i]});
  std::ranges::sort(list);
  const auto doubled = std::ranges::unique(list);
  list.erase(doubled.begin(), doubled.end());
  return list;
}

KeywordList Plan::translate(const Mailbox& from, const Mailbox& to, KeywordSet set,
                            const Limits& limits) {
  const auto list = from.keywords().of(set);
  if (&from == &to || list.empty()) return {list.begin(), list.end()};
  std::vector<std::string> names;
  for (const KeywordIndex index : list) names.push_back(from.keywords().names()[index]);
  return keywords(to, names, limits, NoRoom::leave_out).value_or(KeywordList());
}

namespace {

// What a record says of a mailbox, as a snapshot would say it.
class SaidAgain {
 public:
  explicit SaidAgain(const AccountState& state) : state_(state) {}

  void operator()(const MailboxCreated& r) {
    auto& m = mailboxes_[r.id];
    m = {.id = r.id,
         .uidvalidity = r.uidvalidity,
         .special_use = r.special_use,
         .noselect = r.noselect,
         .name = r.name,
         .keywords = {}};
  }
  void operator()(const MailboxRemoved& r) {
    mailboxes_.erase(r.id);
    annotations_.erase(annotations_.lower_bound({r.id, {}}),
                       annotations_.lower_bound({MailboxId(r.id.value + 1), {}}));
    removed_.insert(r.id.value);
  }
  void operator()(const MailboxRenamed& r) {
    if (auto* m = known(r.id)) m->name = r.name;
  }
  void operator()(const SpecialUseSet& r) {
    if (auto* m = known(r.mailbox)) m->special_use = r.special_use;
  }
  void operator()(const Keyword& r) {
    if (auto* m = known(r.mailbox)) m->keywords.emplace_back(r.index, r.name);
  }
  void operator()(const UidNext& r) {
    if (auto* m = known(r.mailbox)) m->uidnext = std::max(m->uidnext, r.uid);
  }
  void operator()(const Subscription& r) {
    if (r.on) subscribed_.push_back(r.name);
  }
  void operator()(const Annotated& r) {
    for (const auto& item : r.items) annotations_[{item.mailbox, item.name}] = item.value;
  }
  void operator()(const auto&) {}

  // nullopt: nothing.
  std::optional<Snapshot> take() {
    Snapshot all{.mailboxes = {}, .removed = removed_.ranges(), .subscribed = subscribed_};
    for (auto& [id, mailbox] : mailboxes_) all.mailboxes.push_back(std::move(mailbox));
    if (all.mailboxes.empty() && all.removed.empty() && all.subscribed.empty()) return std::nullopt;
    return all;
  }
  [[nodiscard]] Annotated annotations() const {
    Annotated all;
    for (const auto& [place, value] : annotations_)
      all.items.push_back({place.first, place.second, value});
    return all;
  }

 private:
  Snapshot::OfMailbox* known(MailboxId id) {
    if (const auto found = mailboxes_.find(id); found != mailboxes_.end()) return &found->second;
    const auto mailbox = state_.mailbox(id);
    if (!mailbox) return nullptr;
    auto& m = mailboxes_[id];
    m = AccountState::of(*mailbox);
    m.keywords.clear();  // only those that are new
    return &m;
  }

  const AccountState& state_;
  std::map<MailboxId, Snapshot::OfMailbox> mailboxes_;
  IdRanges removed_;
  std::vector<std::string> subscribed_;
  std::map<std::pair<MailboxId, std::string>, std::optional<std::string>> annotations_;
};

}  // namespace

void Plan::say_again() {
  SaidAgain again(state_);
  for (const auto& draft : drafts_) std::visit(again, draft.record);
  if (auto snapshot = again.take()) add(*std::move(snapshot));
  add_unless_empty(again.annotations());
}

std::vector<Draft>& Plan::finish(const Journal& journal) {
  say_again();
  const auto put_in_front = [this](std::vector<Draft> front) {
    in_front_ += front.size();
    drafts_.insert(drafts_.begin(), std::make_move_iterator(front.begin()),
                   std::make_move_iterator(front.end()));
  };
  put_in_front(piece_sums(drafts_, 0, time_));
  if (journal.begins_segment(drafts_)) {
    Snapshot all = state_.snapshot();
    // What a damaged segment holds may come back: nothing is said to be gone.
    all.whole = all.whole && journal.lost() == 0 &&
                std::ranges::none_of(drafts_, [](const Draft& d) { return d.type == Gap::kType; });
    const bool whole = all.whole;
    std::vector<Draft> front;
    front.push_back(draft(std::move(all), time_));
    // Each segment says whose it is, in case the others are lost.
    if (!state_.named().user.empty()) front.push_back(draft(state_.named(), time_));
    if (auto annotations = state_.all_annotations(whole))
      front.push_back(draft(*std::move(annotations), time_));
    // Their sums stand between them and the rest.
    const size_t sums = piece_sums(front, 0, time_).size();
    for (auto& sum : piece_sums(front, sums + drafts_.size(), time_))
      front.push_back(std::move(sum));
    put_in_front(std::move(front));
  }
  return drafts_;
}

bool Plan::untouched(MailboxId mailbox, std::span<const UidRange> uids) const {
  const auto found = overlays_.find(mailbox);
  if (found == overlays_.end()) return true;
  return std::ranges::none_of(found->second.touched,
                              [&](const auto& ranges) { return overlap(ranges, uids); });
}

void Plan::touch(MailboxId mailbox, std::span<const UidRange> uids) {
  const auto found = state_.mailbox(mailbox);
  if (found) overlay(*found).touched.emplace_back(uids.begin(), uids.end());
}

}  // namespace rims::store
