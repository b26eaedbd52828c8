// imapd/imap/notifications.h - what a client wants to be told of by NOTIFY, and was not told yet
//
//   RFC     5465 §5 (events), §6 (mailboxes), §3.1, §5.8 (overflow)
//   Pure    knows neither store nor socket
//   Memory  what was asked for, and of what is untold: 8 bytes for a mailbox with changed messages,
//           however many changes; names up to kMostNames and kMostBytes, then all is given up
//           (overflowed())
//
// Groups of events are looked at in their order. An event is told when one of them names it, unless
// one before that says NONE of the mailbox. SELECTED is for the messages of the selected mailbox
// alone, and they for it; the other groups do not have them.
//
// Names stand for what they name at the time of the event: a mailbox that is made later counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/imap/command.h"
#include "common/imap/numbers.h"
#include "common/mail/projection.h"

namespace rims::imapd {

class Notifications {
 public:
  // ANNOTATE (RFC 5257) is not here.
  static constexpr uint16_t kSupported =
      imap::Notify::message_new | imap::Notify::message_expunge | imap::Notify::flag_change |
      imap::Notify::mailbox_name | imap::Notify::subscription_change |
      imap::Notify::mailbox_metadata_change | imap::Notify::server_metadata_change;
  // Mailboxes that one NOTIFY may name: they are looked for at each event.
  static constexpr size_t kMostNamed = 1000;
  static constexpr size_t kMostNames = 1000, kMostBytes = 256 * 1024;

  using Names = std::set<std::string, std::less<>>;

  // With groups of supported events; without groups it is NOTIFY NONE.
  explicit Notifications(const imap::Notify& asked);

  // --- The selected mailbox ---
  [[nodiscard]] bool tells_messages() const { return (selected_ & imap::Notify::message_new) != 0; }
  [[nodiscard]] bool tells_flags() const { return (selected_ & imap::Notify::flag_change) != 0; }
  // SELECTED-DELAYED: EXPUNGE waits for a command (§6.1.2).
  [[nodiscard]] bool delays_expunges() const { return delays_expunges_; }
  // A message came that another has brought: its FETCH items are to be sent, if there are any.
  void arrived(std::span<const Uid> uids);
  // The FETCH of those that came since, if one is due (§5.2); they are forgotten.
  [[nodiscard]] std::optional<imap::Fetch> take_fetch();
  // Another mailbox is selected, or none.
  void forget_arrivals() { arrivals_ = {}; }

  // --- The others ---
  // Of a mailbox with this name, is this event told?
  [[nodiscard]] bool wants(std::string_view name, const Names& subscriptions, uint16_t event) const;
  // Are changes of the server's annotations told? They are of no mailbox (§5.7).
  [[nodiscard]] bool wants_server_entries() const;
  // ... or any event of messages?
  [[nodiscard]] bool wants_messages(std::string_view name, const Names& subscriptions) const;
  // Its messages have changed, and it is to be told: once, until it was.
  void messages_changed(MailboxId mailbox);
  // A change that is not of messages, by another: notes what is to be told of it.
  void mailbox_changed(const store::Change& change, const Names& subscriptions);

  // --- Telling ---
  struct Name {
    std::string name;
    std::string old_name;  // "": not renamed
  };
  struct Untold {
    std::vector<Name> names;         // in the order of the changes; what they are now is to be told
    std::vector<MailboxId> changed;  // ascending
    bool overflow = false;           // more than was kept: nothing is told any more (§5.8)
  };
  [[nodiscard]] bool has_untold() const {
    return overflowed_ || !names_.empty() || !changed_.empty();
  }
  // It is forgotten here.
  [[nodiscard]] Untold take();
  // What the client has asked for before it asked for this is told all the same.
  void take_over(Notifications& before);

 private:
  struct Group {
    imap::Notify::Filter filter{};
    uint16_t events = 0;
    Names names;  // of subtree and mailboxes
  };
  [[nodiscard]] static bool matches(const Group& group, std::string_view name, bool subscribed);
  [[nodiscard]] bool wants(std::string_view name, bool subscribed, uint16_t event) const;
  void listed(const std::string& name, const std::string& old_name = {});
  void listed_if_wanted(std::string_view name, const Names& subscriptions);
  void renamed(const store::Change& change, const Names& subscriptions);
  void check_room();
  void overflow();

  std::vector<Group> groups_;  // without that of the selected mailbox
  uint16_t selected_ = 0;      // events of the selected mailbox
  bool delays_expunges_ = false;
  imap::Fetch fetch_;
  imap::NumberSet<Uid> arrivals_;

  std::vector<Name> names_;
  std::vector<MailboxId> changed_;  // ascending
  bool overflowed_ = false;
  // The last that was told of a rename: what is below it moves with it (§5.4). Until another change
  // comes, which may put something else there.
  Name moved_;
};

}  // namespace rims::imapd
