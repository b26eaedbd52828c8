// common/account/plan.h - the records of one group commit, while they are being built
//
// Builders see the durable state, and through the plan the numbers that earlier builders of the
// same commit have taken. What would have to see more than numbers (the flags of a message that
// this commit changes) says so and waits for the next commit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/journal/journal.h"
#include "common/mail/state.h"

namespace rims::store {

enum class Built : uint8_t {
  records,  // added to the plan
  nothing,  // there is nothing to write: done
  later,    // not in this commit
};

class Plan {
 public:
  // `time`: when its records are written, seconds since 1970 (UTC).
  Plan(const AccountState& state, uint32_t time)
      : state_(state),
        time_(time),
        next_message_(state.next_message()),
        next_mailbox_(state.next_mailbox()),
        last_uidvalidity_(state.last_uidvalidity()) {}

  // How many messages one record names at most: applying it takes a few milliseconds.
  static constexpr size_t kPiece = 16384;
  template <class T>
  [[nodiscard]] static std::vector<std::span<const T>> in_pieces(std::span<const T> all) {
    std::vector<std::span<const T>> pieces;
    for (; !all.empty(); all = all.subspan(pieces.back().size()))
      pieces.push_back(all.first(std::min(kPiece, all.size())));
    return pieces;
  }

  [[nodiscard]] bool empty() const { return drafts_.empty(); }
  [[nodiscard]] bool full() const {
    return exclusive_ || drafts_.size() >= 4096 || bytes_ >= kEnough;
  }
  // The one builder of this commit: nothing joins it. Call when empty().
  void be_exclusive() { exclusive_ = true; }

  // What is to come into a mailbox. It leaves another one of the account in the same commit, if it
  // moves: then the account does not grow.
  struct Coming {
    size_t messages = 0;
    uint64_t bytes = 0;
    bool moves = false;
  };
  // limit LIMIT when it has no room in the mailbox or in the account, or no uids are left for it;
  // limit OVERQUOTA when the account would hold more than Limits::quota. It is the one place that
  // looks.
  Status room_for(const Mailbox& mailbox, const Coming& coming, const Limits& limits);
  // The same for so many more mailboxes of an account.
  static Status room_for_mailboxes(const AccountState& state, size_t more, const Limits& limits);
  // The uid of one more message, of `bytes` bytes.
  Uid take_uid(const Mailbox& mailbox, uint32_t bytes);
  // So many more messages and bytes (fewer, if negative) than take_uid() has seen.
  void count_messages(const Mailbox& mailbox, int64_t more, int64_t bytes);
  // The next uid becomes this one; it must not be smaller than it is. Then take_uid() takes it.
  void skip_to_uid(const Mailbox& mailbox, Uid uid) { overlay(mailbox).uidnext = uid; }
  [[nodiscard]] Uid uidnext(const Mailbox& mailbox) { return overlay(mailbox).uidnext; }
  MessageId take_message() {
    const MessageId id = next_message_;
    next_message_ = MessageId(id.value + 1);
    return id;
  }
  MailboxId take_mailbox() {
    const MailboxId id = next_mailbox_;
    next_mailbox_ = MailboxId(id.value + 1);
    return id;
  }
  // Grows, and follows the clock (RFC 3501 §2.3.1.1).
  UidValidity take_uidvalidity();
  // This one is taken by the caller: take_uidvalidity() gives larger ones.
  void note_uidvalidity(UidValidity taken) {
    last_uidvalidity_ = std::max(last_uidvalidity_, taken);
  }

  // What to do with a keyword that finds no room: refuse with limit LIMIT, and then nothing was
  // added; or leave it out, because the message itself must come in.
  enum class NoRoom : uint8_t { refuse, leave_out };
  // The indexes of these names; new names become records.
  Result<KeywordList> keywords(const Mailbox& mailbox, std::span<const std::string> names,
                               const Limits& limits, NoRoom no_room);
  // A set of `from` as indexes of `to`; what finds no room is left out.
  KeywordList translate(const Mailbox& from, const Mailbox& to, KeywordSet set,
                        const Limits& limits);

  // False: some of these messages are changed by this commit already.
  [[nodiscard]] bool untouched(MailboxId mailbox, std::span<const UidRange> uids) const;
  void touch(MailboxId mailbox, std::span<const UidRange> uids);

  // Deliveries of this commit, which the state does not show yet.
  [[nodiscard]] bool has_delivery(const DeliveryKey& key) const {
    return deliveries_.contains(key);
  }
  void take_delivery(const DeliveryKey& key) { deliveries_.insert(key); }
  [[nodiscard]] uint32_t time() const { return time_; }

  template <class R>
  void add(R record, std::string_view aux = {}, std::string_view body = {}) {
    drafts_.push_back(draft(std::move(record), time_, aux, body));
    bytes_ += drafts_.back().meta.size() + aux.size() + body.size();
  }

  void add_unless_empty(Annotated annotations) {
    if (!annotations.items.empty()) add(std::move(annotations));
  }

  [[nodiscard]] const AccountState& state() const { return state_; }
  [[nodiscard]] const std::vector<Draft>& drafts() const { return drafts_; }
  // Those, for the journal, with what protects them: before all a snapshot of the account where a
  // segment begins, and sums of what is large; behind all what they say of mailboxes once more.
  // None may follow.
  std::vector<Draft>& finish(const Journal& journal);
  // After finish(): how many were put before the first one.
  [[nodiscard]] size_t in_front() const { return in_front_; }

 private:
  static constexpr size_t kEnough = size_t{8} << 20;
  struct Overlay {
    Uid uidnext;
    int64_t more = 0;  // messages than in the state
    std::vector<std::string> new_keywords;
    std::vector<std::vector<UidRange>> touched;
  };
  Overlay& overlay(const Mailbox& mailbox);
  void say_again();

  const AccountState& state_;
  uint32_t time_;
  MessageId next_message_;
  MailboxId next_mailbox_;
  UidValidity last_uidvalidity_;
  std::map<MailboxId, Overlay> overlays_;
  std::set<DeliveryKey> deliveries_;
  std::vector<Draft> drafts_;
  size_t bytes_ = 0;
  int64_t more_ = 0;  // messages than in the state
  int64_t more_bytes_ = 0;
  size_t in_front_ = 0;
  bool exclusive_ = false;
};

}  // namespace rims::store
