// tests/imapd/imap/notifications_test.cc - the filter of NOTIFY, and what waits to be told (RFC
// 5465)

#include "imapd/imap/notifications.h"

#include <gtest/gtest.h>

#include "common/imap/parser.h"

namespace rims::imapd {
namespace {

using Kind = store::Change::Kind;
using imap::Notify;

Notifications asked(std::string_view groups) {
  const auto command = imap::parse_command("a NOTIFY SET " + std::string(groups), {}, {});
  EXPECT_TRUE(command) << groups;
  return Notifications(command ? std::get<Notify>(command->args) : Notify());
}

const Notifications::Names kNobody;

store::Change change(Kind kind, std::string name, std::string old_name = {}, uint32_t id = 7) {
  return {.kind = kind,
          .mailbox = MailboxId(id),
          .uids = {},
          .name = std::move(name),
          .old_name = std::move(old_name)};
}

// "New(Old) Other !": what is told, the old name in parentheses.
std::string told(Notifications& notifications) {
  const auto untold = notifications.take();
  std::string text;
  for (const auto& [name, old_name] : untold.names) {
    if (!text.empty()) text += ' ';
    text += name;
    if (!old_name.empty()) text += '(' + old_name + ')';
  }
  if (untold.overflow) text += '!';
  return text;
}

TEST(Notifications, TheSelectedMailboxIsForItsGroupAlone) {  // RFC 5465 §3.1, §6
  const Notifications none = asked("(personal (MessageNew MessageExpunge FlagChange))");
  EXPECT_FALSE(none.tells_messages());
  EXPECT_FALSE(none.tells_flags());
  const Notifications some = asked("(selected-delayed (MessageNew MessageExpunge))");
  EXPECT_TRUE(some.tells_messages());
  EXPECT_TRUE(some.delays_expunges());
  EXPECT_FALSE(some.tells_flags());
  EXPECT_FALSE(some.wants_messages("INBOX", kNobody));
  EXPECT_FALSE(asked("(selected (MessageNew MessageExpunge))").delays_expunges());
}

TEST(Notifications, FiltersNameMailboxes) {  // RFC 5465 §6.2, §6.3, §6.4, §6.5, §6.6
  const auto wants = [](std::string_view groups, std::string_view name,
                        const Notifications::Names& subscribed = kNobody) {
    return asked(groups).wants(name, subscribed, Notify::mailbox_name);
  };
  EXPECT_TRUE(wants("(personal (MailboxName))", "a/b"));
  EXPECT_TRUE(wants("(inboxes (MailboxName))", "a/b"));
  EXPECT_FALSE(wants("(personal (SubscriptionChange))", "a/b"));
  EXPECT_TRUE(wants("(mailboxes (x a/b) (MailboxName))", "a/b"));
  EXPECT_TRUE(wants("(mailboxes inbox (MailboxName))", "INBOX"));
  for (const char* other : {"a", "a/b/c", "a/", "A/B", ""})
    EXPECT_FALSE(wants("(mailboxes (x a/b) (MailboxName))", other)) << other;
  for (const char* below : {"a/b", "a/b/c", "a/b/c/d", "x"})
    EXPECT_TRUE(wants("(subtree (x a/b) (MailboxName))", below)) << below;
  for (const char* other : {"a", "a/bc", "b", "xx", "", "/", "c/a/b"})
    EXPECT_FALSE(wants("(subtree (x a/b) (MailboxName))", other)) << other;
  EXPECT_TRUE(wants("(subscribed (MailboxName))", "a", {"a"}));
  EXPECT_FALSE(wants("(subscribed (MailboxName))", "a", {"b"}));
}

TEST(Notifications, GroupsAddUpToTheFirstNone) {  // RFC 5465 §6, §5
  const Notifications both =
      asked("(mailboxes a (MessageNew MessageExpunge)) (personal (SubscriptionChange))");
  EXPECT_TRUE(both.wants("a", kNobody, Notify::message_new));
  EXPECT_TRUE(both.wants("a", kNobody, Notify::subscription_change));
  EXPECT_FALSE(both.wants("b", kNobody, Notify::message_new));
  const Notifications none = asked("(mailboxes a NONE) (personal (MailboxName))");
  EXPECT_FALSE(none.wants("a", kNobody, Notify::mailbox_name));
  EXPECT_TRUE(none.wants("b", kNobody, Notify::mailbox_name));
  EXPECT_TRUE(asked("(personal (MailboxName)) (mailboxes a NONE)")
                  .wants("a", kNobody, Notify::mailbox_name));
}

TEST(Notifications, AMailboxWaitsOnceHoweverOftenItChanges) {
  Notifications all = asked("(personal (MessageNew MessageExpunge))");
  for (const uint32_t id : {9U, 3U, 9U, 5U, 3U}) all.messages_changed(MailboxId(id));
  EXPECT_EQ(all.take().changed, (std::vector<MailboxId>{MailboxId(3), MailboxId(5), MailboxId(9)}));
  EXPECT_FALSE(all.has_untold());
}

TEST(Notifications, NamesWaitInTheOrderOfTheirChanges) {
  Notifications all = asked("(personal (MailboxName))");
  all.mailbox_changed(change(Kind::created, "b"), kNobody);
  all.mailbox_changed(change(Kind::created, "a"), kNobody);
  all.mailbox_changed(change(Kind::removed, "b"), kNobody);
  all.mailbox_changed(change(Kind::subscribed, "c"), kNobody);
  EXPECT_EQ(told(all), "b a");
}

TEST(Notifications, TheDirectParentIsToldOfWhatIsMadeOrRemoved) {  // RFC 5465 §5.4
  Notifications all = asked("(personal (MailboxName))");
  all.mailbox_changed(change(Kind::created, "a/b/c"), kNobody);
  EXPECT_EQ(told(all), "a/b/c a/b");
  all.mailbox_changed(change(Kind::created, "a"), kNobody);
  all.mailbox_changed(change(Kind::created, "a/b"), kNobody);
  EXPECT_EQ(told(all), "a a/b");
  all.mailbox_changed(change(Kind::removed, "a/b"), kNobody);
  EXPECT_EQ(told(all), "a/b a");
  all.mailbox_changed(change(Kind::special_use, "a/b"), kNobody);
  EXPECT_EQ(told(all), "a/b");
  all.mailbox_changed(change(Kind::renamed, "a/c", "a/b"), kNobody);
  EXPECT_EQ(told(all), "a/c(a/b)");
  Notifications below = asked("(mailboxes (a/b a) (MailboxName)) (mailboxes c NONE)");
  below.mailbox_changed(change(Kind::created, "a/b/c"), kNobody);
  EXPECT_EQ(told(below), "a/b");
  below.mailbox_changed(change(Kind::removed, "c/a"), kNobody);
  EXPECT_EQ(told(below), "");
}

TEST(Notifications, ARenameIsToldByTheLastNameThatTheClientKnows) {  // RFC 5465 §5.4
  Notifications all = asked("(personal (MailboxName))");
  all.mailbox_changed(change(Kind::renamed, "b", "a"), kNobody);
  EXPECT_EQ(told(all), "b(a)");
  // From a to c, and another a: the old one must be gone before the new one is there.
  all.mailbox_changed(change(Kind::renamed, "b", "a"), kNobody);
  all.mailbox_changed(change(Kind::created, "a"), kNobody);
  all.mailbox_changed(change(Kind::renamed, "c", "b"), kNobody);
  EXPECT_EQ(told(all), "c(a) a");
  all.mailbox_changed(change(Kind::renamed, "b", "a"), kNobody);
  all.mailbox_changed(change(Kind::renamed, "a", "b"), kNobody);
  EXPECT_EQ(told(all), "a");
  // To a name that was just removed.
  all.mailbox_changed(change(Kind::removed, "b"), kNobody);
  all.mailbox_changed(change(Kind::renamed, "b", "a"), kNobody);
  EXPECT_EQ(told(all), "b(a)");
}

TEST(Notifications, WhatMovesAlongIsNotTold) {  // RFC 5465 §5.4
  Notifications all = asked("(personal (MailboxName))");
  all.mailbox_changed(change(Kind::renamed, "b", "a"), kNobody);
  all.mailbox_changed(change(Kind::renamed, "b/x", "a/x"), kNobody);
  EXPECT_EQ(told(all), "b(a)");
  all.mailbox_changed(change(Kind::renamed, "b/x/y", "a/x/y"), kNobody);
  EXPECT_EQ(told(all), "") << "nor when the first was told meanwhile";
  all.mailbox_changed(change(Kind::renamed, "b/z", "a/y"), kNobody);
  EXPECT_EQ(told(all), "b/z(a/y)") << "this is not the same move";
  // Another a/x later is moved for itself.
  all.mailbox_changed(change(Kind::renamed, "b", "a"), kNobody);
  all.mailbox_changed(change(Kind::created, "a/x"), kNobody);
  all.mailbox_changed(change(Kind::renamed, "b/x", "a/x"), kNobody);
  EXPECT_EQ(told(all), "b(a) b/x(a/x) a");
  Notifications below = asked("(mailboxes (a/x) (MailboxName))");
  below.mailbox_changed(change(Kind::renamed, "b", "a"), kNobody);
  below.mailbox_changed(change(Kind::renamed, "b/x", "a/x"), kNobody);
  EXPECT_EQ(told(below), "a/x") << "a client that was not told of the move is told that it is gone";
}

TEST(Notifications, SubscribedHasWhatIsNoMoreSubscribed) {  // RFC 5465 §5.5, §6.4
  Notifications all = asked("(subscribed (SubscriptionChange MailboxName))");
  all.mailbox_changed(change(Kind::unsubscribed, "a"), kNobody);
  EXPECT_EQ(told(all), "a");
  all.mailbox_changed(change(Kind::created, "a"), kNobody);
  EXPECT_EQ(told(all), "");
  all.mailbox_changed(change(Kind::created, "a"), {"a"});
  EXPECT_EQ(told(all), "a");
}

TEST(Notifications, AnotherMailboxOfTheNameIsToldByItsMessages) {  // RFC 5465 §5.1: UIDVALIDITY
  Notifications all = asked("(mailboxes a (MessageNew MessageExpunge FlagChange))");
  all.mailbox_changed(change(Kind::created, "a", {}, 4), kNobody);
  all.mailbox_changed(change(Kind::renamed, "a", "b", 5), kNobody);
  all.mailbox_changed(change(Kind::created, "b", {}, 6), kNobody);
  const auto untold = all.take();
  EXPECT_EQ(untold.changed, (std::vector<MailboxId>{MailboxId(4), MailboxId(5)}));
  EXPECT_TRUE(untold.names.empty());
}

TEST(Notifications, TooMuchEndsAll) {  // RFC 5465 §5.8
  for (const size_t bytes : {size_t{10}, size_t{1000}}) {
    Notifications all = asked(
        "(selected (MessageNew MessageExpunge)) (personal (MailboxName MessageNew "
        "MessageExpunge))");
    size_t kept = 0;
    while (all.tells_messages() && kept < 100'000) {
      std::string name = std::to_string(kept++);
      name.resize(bytes, 'x');
      all.mailbox_changed(change(Kind::created, name), kNobody);
    }
    EXPECT_LE(kept - 1, Notifications::kMostNames);
    EXPECT_LE((kept - 1) * bytes, Notifications::kMostBytes);
    EXPECT_FALSE(all.tells_messages());
    EXPECT_FALSE(all.wants_messages("a", kNobody));
    EXPECT_EQ(told(all), "!");
    EXPECT_FALSE(all.has_untold());
  }
}

TEST(Notifications, ArrivalsAreFetchedOnce) {  // RFC 5465 §5.2
  Notifications all = asked("(selected (MessageNew (UID BODY[TEXT]) MessageExpunge))");
  EXPECT_FALSE(all.take_fetch());
  for (const uint32_t uid : {4U, 5U, 9U}) all.arrived(std::vector{Uid(uid)});
  const auto fetch = all.take_fetch();
  ASSERT_TRUE(fetch);
  EXPECT_EQ(fetch->messages.ranges, (std::vector<imap::SeqRange>{{4, 5}, {9, 9}}));
  EXPECT_EQ(fetch->items, imap::Fetch::uid);
  EXPECT_TRUE(fetch->sections.at(0).peek);
  EXPECT_FALSE(all.take_fetch());
  Notifications plain = asked("(selected (MessageNew MessageExpunge))");
  plain.arrived(std::vector{Uid(1)});
  EXPECT_FALSE(plain.take_fetch()) << "nothing was asked for";
}

TEST(Notifications, WhatWaitsIsNotLostByAnotherNotify) {
  Notifications first = asked("(personal (MailboxName MessageNew MessageExpunge))");
  first.mailbox_changed(change(Kind::created, "a"), kNobody);
  Notifications second = asked("(mailboxes z (MailboxName))");
  second.take_over(first);
  const auto untold = second.take();
  EXPECT_EQ(untold.names.size(), 1U);
  EXPECT_EQ(untold.changed.size(), 1U);
}

TEST(Notifications, SubscriptionsThatAreNotKnownEndAll) {
  Notifications all = asked("(personal (MailboxName))");
  all.mailbox_changed(change(Kind::mended, "", "", 0), kNobody);
  EXPECT_EQ(told(all), "");
  Notifications subscriptions = asked("(personal (SubscriptionChange))");
  subscriptions.mailbox_changed(change(Kind::mended, "", "", 0), kNobody);
  EXPECT_EQ(told(subscriptions), "!");
}

}  // namespace
}  // namespace rims::imapd
