// tests/imapd/worker/worker_test.cc - tickets, handovers, deliveries and the end of a worker, over
// links

#include "imapd/worker/worker.h"

#include <ctime>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/ipc/sealed.h"
#include "common/ipc/session_link.h"
#include "tests/imapd/stage.h"
#include "tests/support/log_lines.h"

namespace rims::test {
namespace {

using ipc::Delivery;

// The other ends of the worker's links.
class Peers {
 public:
  explicit Peers(Stage& stage)
      : stage_(stage),
        auth(stage.loop, ours(0), "imapd", {}),
        login(stage.loop, ours(1), "imapd", ipc::kLoginAcceptsFromImapd),
        deliverd(stage.loop, ours(2), "imapd", ipc::kDeliverdAcceptsFromImapd) {
    stage.worker->attach_auth(std::move(theirs_[0]));
    stage.worker->attach_login(0, std::move(theirs_[1]));
    stage.worker->attach_deliverd(std::move(theirs_[2]));
  }

  Task<void> give_ticket(std::string secret, std::string user, bool post_only = false) {
    ipc::Ticket ticket;
    ticket.ticket.value = Secret(secret);
    ticket.user = user;
    ticket.post_only = post_only;
    EXPECT_TRUE(co_await auth.send(std::move(ticket)));
  }

  // Hands a client over; its own end is returned.
  Task<std::unique_ptr<TestClient>> hand_over(std::string secret, std::string unread = {},
                                              std::string tag = "t1") {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    ipc::Handover handover;
    handover.ticket.value = Secret(secret);
    handover.tag = tag;
    handover.unread = unread;
    handover.client_address = "192.0.2.1";
    handover.session = "s7";
    std::vector<Fd> sent;
    sent.emplace_back(fds[0]);
    EXPECT_TRUE(co_await login.send(std::move(handover), std::move(sent)));
    co_return std::make_unique<TestClient>(stage_.loop, Fd(fds[1]));
  }

 private:
  Fd ours(size_t index) {
    auto pair = std::move(*ipc::make_pair());
    theirs_[index] = std::move(pair[1]);
    return std::move(pair[0]);
  }
  Stage& stage_;
  Fd theirs_[3];

 public:
  ipc::Link auth, login, deliverd;
};

const std::string kTicket = "0123456789abcdef";

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    stage.start();
    peers.emplace(stage);
  }
  std::string first_line(TestClient& client) {
    const auto line = run(stage.loop, client.line());
    return line.value_or("(closed)");
  }
  Stage stage;
  std::optional<Peers> peers;
};

TEST_F(WorkerTest, AnswersTheLoginOfAClientWithATicket) {
  run(stage.loop, peers->give_ticket(kTicket, "foo"));
  const auto client = run(stage.loop, peers->hand_over(kTicket, "a2 NOOP\r\n", "a1"));
  EXPECT_TRUE(first_line(*client).starts_with("a1 OK [CAPABILITY IMAP4rev1 "));
  EXPECT_EQ(first_line(*client), "a2 OK NOOP completed")
      << "bytes that came along are served first";
}

TEST_F(WorkerTest, EndsTheSessionsAndForgetsTheTicketsOfAUserWhomAuthRevokes) {
  run(stage.loop, peers->give_ticket(kTicket, "foo"));
  const auto foo = run(stage.loop, peers->hand_over(kTicket));
  EXPECT_TRUE(first_line(*foo).starts_with("t1 OK"));
  const auto bar = run(stage.loop, stage.log_in("bar"));
  run(stage.loop, peers->give_ticket("fedcba9876543210", "foo"));
  ipc::Revoke revoke;
  revoke.user = "foo";
  revoke.why = ipc::Revoked::password;
  EXPECT_TRUE(run(stage.loop, peers->auth.send(std::move(revoke))));
  EXPECT_EQ(first_line(*foo), "* BYE the password was changed; log in again");
  EXPECT_EQ(first_line(*foo), "(closed)");
  const auto late = run(stage.loop, peers->hand_over("fedcba9876543210"));
  EXPECT_EQ(first_line(*late), "(closed)");
  EXPECT_EQ(run(stage.loop, bar->command("a", "NOOP")).back(), "a OK NOOP completed");
}

// RFC 8437
TEST_F(WorkerTest, GivesAClientBackThatUnauthenticates) {
  run(stage.loop, peers->give_ticket(kTicket, "foo"));
  const auto client = run(stage.loop, peers->hand_over(kTicket));
  EXPECT_TRUE(first_line(*client).starts_with("t1 OK"));
  run(stage.loop, client->command("s", "SELECT INBOX"));
  run(stage.loop, client->send("n NOOP\r\nu UNAUTHENTICATE\r\nv LOGIN x y\r\nw NO"));
  EXPECT_EQ(first_line(*client), "n OK NOOP completed") << "what is before it is answered before";
  auto packet = run(stage.loop, peers->login.receive());
  ASSERT_TRUE(packet);
  const auto returned = ipc::decode<ipc::Returned>(packet->body);
  ASSERT_TRUE(returned);
  EXPECT_EQ(returned->tag.value, "u");
  EXPECT_EQ(returned->unread.value, "v LOGIN x y\r\nw NO");
  EXPECT_EQ(returned->session.value, "s7");
  EXPECT_EQ(stage.worker->sessions(), 0U);
  const Fd socket = std::move(packet->fds.front());
  EXPECT_EQ(write(socket.get(), "here\r\n", 6), 6) << "it is the client's, and open";
  EXPECT_EQ(first_line(*client), "here");
}

TEST_F(WorkerTest, KeepsAClientThatNobodyWouldTakeBack) {
  run(stage.loop, peers->give_ticket(kTicket, "foo"));
  const auto client = run(stage.loop, peers->hand_over(kTicket));
  EXPECT_TRUE(first_line(*client).starts_with("t1 OK"));
  peers->login.close();
  const auto refused = run(stage.loop, client->command("c", "UNAUTHENTICATE"));
  EXPECT_EQ(refused.back(), "c NO [UNAVAILABLE] not possible now");
  EXPECT_EQ(run(stage.loop, client->command("d", "NOOP")).back(), "d OK NOOP completed");
}

// A link of rims-ctl.
struct Ctl {
  explicit Ctl(Stage& s) : stage(s), link(s.loop, end(), "imapd", ipc::kCtlAcceptsFromServing) {}
  Fd end() {
    auto pair = std::move(*ipc::make_pair());
    stage.worker->attach_admin(std::move(pair[0]));
    return std::move(pair[1]);
  }
  std::vector<ipc::SessionEntry> who() {
    std::vector<ipc::SessionEntry> all;
    EXPECT_TRUE(run(stage.loop, link.send(ipc::Who{})));
    while (true) {
      const auto packet = run(stage.loop, link.receive());
      if (!packet || packet->type == static_cast<uint16_t>(ipc::AdminMsg::who_done)) return all;
      all.push_back(ipc::decode<ipc::SessionEntry>(packet->body).value());
    }
  }
  uint64_t kick(const std::string& user, const std::string& session) {
    EXPECT_TRUE(run(stage.loop, link.send(ipc::Kick{.user = user, .session = session})));
    const auto begun = run(stage.loop, link.receive());
    EXPECT_EQ(begun->type, static_cast<uint16_t>(ipc::AdminMsg::kicking));
    const auto packet = run(stage.loop, link.receive());
    return ipc::decode<ipc::Kicked>(packet->body).value().count;
  }
  Stage& stage;
  ipc::Link link;
};

TEST_F(WorkerTest, TellsTheAdministratorWhoIsThere) {
  Ctl ctl(stage);
  EXPECT_TRUE(ctl.who().empty());
  run(stage.loop, peers->give_ticket(kTicket, "foo"));
  const auto foo = run(stage.loop, peers->hand_over(kTicket));
  EXPECT_TRUE(first_line(*foo).starts_with("t1 OK"));
  run(stage.loop, foo->command("a", "SELECT INBOX"));
  run(stage.loop, foo->command("b", R"(ID ("name" "Mail" "version" "1.2"))"));
  const auto all = ctl.who();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].user.value, "foo");
  EXPECT_EQ(all[0].session.value, "s7");
  EXPECT_EQ(all[0].address.value, "192.0.2.1");
  EXPECT_EQ(all[0].mailbox.value, "INBOX");
  EXPECT_EQ(all[0].client.value, "Mail 1.2");
  EXPECT_NEAR(static_cast<double>(all[0].since), static_cast<double>(std::time(nullptr)), 600);
}

TEST_F(WorkerTest, TellsOfMoreSessionsThanALinkHoldsAtOnce) {
  stage.settings.sessions_per_user_max = 5000;
  stage.worker->reload(stage.settings);
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 1000; i++) clients.push_back(stage.connect("foo"));
  EXPECT_TRUE(first_line(*clients.back()).starts_with("login OK"));
  Ctl ctl(stage);
  EXPECT_EQ(ctl.who().size(), 1000U);
  EXPECT_EQ(ctl.kick("foo", ""), 1000U);
  EXPECT_EQ(stage.worker->sessions(), 0U);
}

TEST_F(WorkerTest, KicksASessionOrAllOfAUser) {
  Ctl ctl(stage);
  run(stage.loop, peers->give_ticket(kTicket, "foo"));
  const auto one = run(stage.loop, peers->hand_over(kTicket));
  EXPECT_TRUE(first_line(*one).starts_with("t1 OK"));
  const auto two = run(stage.loop, stage.log_in("foo"));
  const auto other = run(stage.loop, stage.log_in("bar"));
  EXPECT_EQ(ctl.kick("", "s7"), 1U);
  EXPECT_EQ(first_line(*one), "* BYE the administrator has ended this session");
  EXPECT_EQ(ctl.kick("nobody", ""), 0U);
  EXPECT_EQ(ctl.kick("", ""), 0U);
  EXPECT_EQ(ctl.kick("foo", ""), 1U);
  EXPECT_EQ(first_line(*two), "* BYE the administrator has ended this session");
  EXPECT_EQ(stage.worker->sessions(), 1U) << "returns when they have ended";
}

TEST_F(WorkerTest, RefusesATicketThatWasUsed) {
  run(stage.loop, peers->give_ticket(kTicket, "foo"));
  const auto first = run(stage.loop, peers->hand_over(kTicket));
  EXPECT_TRUE(first_line(*first).starts_with("t1 OK"));
  const auto second = run(stage.loop, peers->hand_over(kTicket));
  EXPECT_EQ(first_line(*second), "(closed)");
  EXPECT_EQ(stage.worker->sessions(), 1U);
}

TEST_F(WorkerTest, RefusesATicketThatWasNeverGiven) {
  const auto client = run(stage.loop, peers->hand_over("ffffffffffffffff"));
  EXPECT_EQ(first_line(*client), "(closed)");
  const auto empty = run(stage.loop, peers->hand_over(""));
  EXPECT_EQ(first_line(*empty), "(closed)");
}

// rims-auth sends the ticket first, but the worker may look at the login link first. None of
// these steps turns the loop: attach_login() reads the handover while the ticket is unread.
TEST_F(WorkerTest, ReadsTheAuthLinkBeforeItRefusesAHandover) {
  run(stage.loop, peers->give_ticket(kTicket, "foo"));
  auto pair = std::move(*ipc::make_pair());
  ipc::Link login(stage.loop, std::move(pair[0]), "imapd", {});
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  ipc::Handover handover;
  handover.ticket.value = Secret(kTicket);
  handover.tag = "t1";
  std::vector<Fd> sent;
  sent.emplace_back(fds[0]);
  EXPECT_TRUE(run(stage.loop, login.send(std::move(handover), std::move(sent))));
  stage.worker->attach_login(1, std::move(pair[1]));
  EXPECT_EQ(stage.worker->sessions(), 1U) << "the ticket was found without waiting";
  TestClient client(stage.loop, Fd(fds[1]));
  EXPECT_TRUE(first_line(client).starts_with("t1 OK"));
}

TEST_F(WorkerTest, ClosesTheLinkThatHandsOverATagThatIsNone) {
  run(stage.loop, peers->give_ticket(kTicket, "foo"));
  const auto client = run(stage.loop, peers->hand_over(kTicket, "", "a OK\r\nb"));
  EXPECT_EQ(first_line(*client), "(closed)");
  EXPECT_EQ(stage.worker->sessions(), 0U);
}

// RFC 5530 §3: LIMIT. Another user is not touched, and a place that is free again is given.
TEST_F(WorkerTest, RefusesMoreSessionsOfAUserThanAllowed) {
  stage.settings.sessions_per_user_max = 2;
  stage.worker->reload(stage.settings);
  const auto one = run(stage.loop, stage.log_in("alice"));
  auto two = run(stage.loop, stage.log_in("alice"));
  const auto three = stage.connect("alice");
  EXPECT_EQ(first_line(*three), "login NO [LIMIT] too many sessions of this user");
  EXPECT_EQ(first_line(*three), "* BYE too many sessions");
  EXPECT_EQ(first_line(*three), "(closed)");
  (void)run(stage.loop, stage.log_in("bob"));
  EXPECT_EQ(run(stage.loop, two->command("a", "LOGOUT")).back(), "a OK LOGOUT completed");
  EXPECT_EQ(first_line(*two), "(closed)");
  (void)run(stage.loop, stage.log_in("alice"));
}

TEST_F(WorkerTest, SurvivesRubbishOnEveryLink) {
  run(stage.loop, peers->auth.send_packet(3, "rubbish", {}));
  run(stage.loop, peers->login.send_packet(99, "", {}));
  run(stage.loop, peers->deliverd.send_packet(3, "no descriptor", {}));
  const auto client = run(stage.loop, stage.log_in("foo"));
  const auto lines = run(stage.loop, client->command("a", "NOOP"));
  EXPECT_EQ(lines.back(), "a OK NOOP completed");
}

TEST_F(WorkerTest, ALinkMayBeReplaced) {
  auto pair = std::move(*ipc::make_pair());
  ipc::Link auth(stage.loop, std::move(pair[0]), "imapd", {});
  stage.worker->attach_auth(std::move(pair[1]));
  ipc::Ticket ticket;
  ticket.ticket.value = Secret(kTicket);
  ticket.user = "foo";
  EXPECT_TRUE(run(stage.loop, auth.send(std::move(ticket))));
  const auto client = run(stage.loop, peers->hand_over(kTicket));
  EXPECT_TRUE(first_line(*client).starts_with("t1 OK"));
}

// ---------------------------------------------------------------- deliveries

struct Order {
  std::string user = "foo", mailbox, bytes = "Subject: x\r\n\r\nhello\r\n";
  uint8_t flags = 0;
  std::string id, recipient = "foo@example.org", received;
};

Task<ipc::DeliverReply> send(Peers& peers, Order order) {
  ipc::Deliver deliver;
  deliver.request = 17;
  deliver.user = order.user;
  deliver.mailbox = order.mailbox;
  deliver.flags = order.flags;
  deliver.delivery_id = order.id;
  deliver.recipient = order.recipient;
  deliver.received = order.received;
  std::vector<Fd> fds;
  fds.push_back(std::move(*ipc::sealed_copy(order.bytes, "m")));
  EXPECT_TRUE(co_await peers.deliverd.send(std::move(deliver), std::move(fds)));
  auto packet = co_await peers.deliverd.receive();
  if (!packet) std::abort();
  auto reply = ipc::decode<ipc::DeliverReply>(packet->body);
  co_return std::move(*reply);
}

TEST_F(WorkerTest, DeliversByteForByte) {
  const std::string bytes("From: x\n\nbare\rreturns\0and NUL\xff\r\n", 32);
  const auto reply = run(stage.loop, send(*peers, {.bytes = bytes}));
  EXPECT_EQ(reply.request, 17U);
  EXPECT_EQ(reply.status, Delivery::delivered);
  const auto account = *run(stage.loop, stage.store->open("foo"));
  const auto inbox = *run(stage.loop, account->open_mailbox(account->find("INBOX")->id));
  ASSERT_EQ(inbox->messages().size(), 1U);
  EXPECT_EQ(*run(stage.loop, account->read(inbox->messages()[0].message)), bytes);
  EXPECT_EQ(stage.journals.disk("foo").records.empty(), false);
}

TEST_F(WorkerTest, DeliversIntoTheMailboxThatIsNamed) {
  EXPECT_EQ(run(stage.loop, send(*peers, {.mailbox = "Junk", .flags = 4})).status,
            Delivery::delivered);
  EXPECT_EQ(run(stage.loop, send(*peers, {.mailbox = "inbox"})).status, Delivery::delivered);
  const auto account = *run(stage.loop, stage.store->open("foo"));
  EXPECT_EQ(account->find("Junk")->messages, 1U);
  EXPECT_EQ(account->find("INBOX")->messages, 1U);
}

// Mail is not lost because a filter names a mailbox that is not there, and the log tells.
TEST_F(WorkerTest, DeliversToInboxWhatIsForAMailboxThatIsNotThere) {
  const auto account = *run(stage.loop, stage.store->open("foo"));
  ASSERT_TRUE(run(stage.loop, account->remove("Junk")));
  ASSERT_TRUE(run(stage.loop, account->create("Lists/rims")));
  ASSERT_TRUE(run(stage.loop, account->remove("Lists"))) << "has children: it stays as \\Noselect";
  const std::string names[] = {"Junk",       "Never", "Lists", "INBOX/no",
                               "a\"\nb\xff", "/",     "//x",   std::string(ipc::kMaxMailbox, 'x')};
  uint32_t stored = 0;
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    LogLines log;
    const auto reply = run(stage.loop, send(*peers, {.mailbox = name, .flags = 4, .id = "Q1"}));
    EXPECT_EQ(reply.status, Delivery::delivered);
    EXPECT_EQ(account->find("INBOX")->messages, ++stored);
    EXPECT_TRUE(log.has("WARN \"foo\" has no mailbox " + log::quoted(name) + ": what is delivered"))
        << log.text();
  }
  EXPECT_EQ(account->find("Never"), nullptr);
  EXPECT_EQ(account->find("INBOX")->unseen, stored);
}

TEST_F(WorkerTest, StoresARepeatedDeliveryOnce) {
  stage.settings.duplicate_window_s = 3600;
  stage.worker->reload(stage.settings);
  const auto messages = [&](const char* mailbox) {
    const auto account = *run(stage.loop, stage.store->open("foo"));
    return account->find(mailbox)->messages;
  };
  for (int i = 0; i < 3; i++) {
    const auto reply = run(stage.loop, send(*peers, {.id = "4F2A"}));
    EXPECT_EQ(reply.status, Delivery::delivered);
    EXPECT_EQ(reply.reason.value, i == 0 ? "" : "delivered before");
  }
  EXPECT_EQ(messages("INBOX"), 1U);
  // Each of these is another mail, or another delivery of it.
  run(stage.loop, send(*peers, {.id = "4F2B"}));
  run(stage.loop, send(*peers, {.bytes = "Subject: y\r\n\r\nhello\r\n", .id = "4F2A"}));
  run(stage.loop, send(*peers, {.id = "4F2A", .recipient = "alias@example.org"}));
  EXPECT_EQ(messages("INBOX"), 4U);
  run(stage.loop, send(*peers, {.mailbox = "Junk", .id = "4F2A"}));
  run(stage.loop, send(*peers, {.mailbox = "inbox", .id = "4F2A"}));  // the first again
  EXPECT_EQ(messages("INBOX"), 4U);
  EXPECT_EQ(messages("Junk"), 1U);
  // Without an id nothing is known, and with a window of nothing nothing is done about it.
  for (int i = 0; i < 2; i++) run(stage.loop, send(*peers, {}));
  EXPECT_EQ(messages("INBOX"), 6U);
  stage.settings.duplicate_window_s = 0;
  stage.worker->reload(stage.settings);
  run(stage.loop, send(*peers, {.id = "4F2A"}));
  EXPECT_EQ(messages("INBOX"), 7U);
}

// RFC 5321 §4.4: Return-Path first. The time in Received is that of an attempt.
TEST_F(WorkerTest, PutsTraceFieldsInFrontAndKnowsARepetitionAllTheSame) {
  stage.settings.duplicate_window_s = 3600;
  stage.worker->reload(stage.settings);
  for (const char* time : {"10:00", "11:00"}) {
    const auto reply =
        run(stage.loop, send(*peers, {.bytes = "Subject: x\r\n\r\nhello\r\n",
                                      .id = "Q1",
                                      .recipient = "a b@example.org",
                                      .received = std::string("Received: at ") + time + "\r\n"}));
    EXPECT_EQ(reply.status, Delivery::delivered);
  }
  const auto account = *run(stage.loop, stage.store->open("foo"));
  const auto inbox = *run(stage.loop, account->open_mailbox(account->find("INBOX")->id));
  ASSERT_EQ(inbox->messages().size(), 1U);
  EXPECT_EQ(*run(stage.loop, account->read(inbox->messages()[0].message)),
            "Return-Path: <>\r\nDelivered-To: \"a b\"@example.org\r\nReceived: at 10:00\r\n"
            "Subject: x\r\n\r\nhello\r\n");
}

TEST_F(WorkerTest, DefersOrRejectsWhatAQuotaHasNoRoomFor) {
  store::Limits limits;
  limits.quota.messages = 1;
  stage.store->set_limits(limits);
  stage.settings.duplicate_window_s = 3600;
  stage.worker->reload(stage.settings);
  EXPECT_EQ(run(stage.loop, send(*peers, {.id = "1"})).status, Delivery::delivered);
  const auto deferred = run(stage.loop, send(*peers, {.id = "2"}));
  EXPECT_EQ(deferred.status, Delivery::full);
  EXPECT_EQ(deferred.reason.value, "over quota: you may have 1 messages");
  stage.settings.reject_over_quota = true;
  stage.worker->reload(stage.settings);
  LogLines log;
  EXPECT_EQ(run(stage.loop, send(*peers, {.id = "2"})).status, Delivery::over_quota);
  EXPECT_TRUE(log.has("quota.messages: the account has 1 messages of 1, and 1 more were to come"))
      << log.text();
  EXPECT_EQ(run(stage.loop, send(*peers, {.id = "1"})).status, Delivery::delivered)
      << "it was stored before";
  // What is no quota is for the time being.
  limits.quota = {};
  limits.mailbox_messages = 1;
  stage.store->set_limits(limits);
  EXPECT_EQ(run(stage.loop, send(*peers, {.id = "2"})).status, Delivery::full);
}

// rims-auth says so before rims-deliverd may ask, and on another link.
TEST_F(WorkerTest, AQuotaOfOneUserHoldsForTheNextDelivery) {
  store::Limits limits;
  limits.quota.messages = 1;
  stage.store->set_limits(limits);
  const auto have = [&](uint64_t most) {
    ipc::UserQuota quota;
    quota.user = "foo";
    quota.messages = most;
    EXPECT_TRUE(run(stage.loop, peers->auth.send(std::move(quota))));
  };
  have(2);  // the account is not open yet
  EXPECT_EQ(run(stage.loop, send(*peers, {.id = "1"})).status, Delivery::delivered);
  EXPECT_EQ(run(stage.loop, send(*peers, {.id = "2"})).status, Delivery::delivered);
  EXPECT_EQ(run(stage.loop, send(*peers, {.id = "3"})).reason.value,
            "over quota: you may have 2 messages");
  have(3);
  EXPECT_EQ(run(stage.loop, send(*peers, {.id = "3"})).status, Delivery::delivered);
  // Others have that of all, and the configuration's bounds of other kinds still hold.
  limits.quota.messages = 7;
  stage.store->set_limits(limits);
  EXPECT_EQ(run(stage.loop, send(*peers, {.id = "4"})).reason.value,
            "over quota: you may have 3 messages");
  have(UINT64_MAX);
  EXPECT_EQ(run(stage.loop, send(*peers, {.id = "4"})).status, Delivery::delivered);
  have(0);
  for (int i = 5; i < 10; i++)
    EXPECT_EQ(run(stage.loop, send(*peers, {.id = std::to_string(i)})).status, Delivery::delivered);
}

// What was taken once is acknowledged again, also where it could not be taken now.
TEST_F(WorkerTest, KnowsARepeatedDeliveryWhoseMailboxIsGone) {
  stage.settings.duplicate_window_s = 3600;
  stage.worker->reload(stage.settings);
  const auto account = *run(stage.loop, stage.store->open("foo"));
  ASSERT_TRUE(run(stage.loop, account->create("Lists")));
  EXPECT_EQ(run(stage.loop, send(*peers, {.mailbox = "Lists", .id = "4F2A"})).status,
            Delivery::delivered);
  ASSERT_TRUE(run(stage.loop, account->remove("Lists")));
  const auto again = run(stage.loop, send(*peers, {.mailbox = "Lists", .id = "4F2A"}));
  EXPECT_EQ(again.status, Delivery::delivered);
  EXPECT_EQ(again.reason.value, "delivered before");
  EXPECT_EQ(account->find("Lists"), nullptr) << "and no mailbox is made for it";
  // Another mail goes to INBOX, and is known there by the same mailbox.
  for (const char* reason : {"", "delivered before"}) {
    const auto other = run(stage.loop, send(*peers, {.mailbox = "Lists", .id = "4F2B"}));
    EXPECT_EQ(other.status, Delivery::delivered);
    EXPECT_EQ(other.reason.value, reason);
    EXPECT_EQ(account->find("INBOX")->messages, 1U);
  }
}

class FullDisk final : public store::Disk {
 public:
  int file_system(int, store::FileSystem& found) override {
    found = {.bytes = 1000, .free_bytes = 1, .inodes = 0, .free_inodes = 0};
    return 0;
  }
};

TEST(WorkerFloorTest, KnowsARepeatedDeliveryBelowTheFloorOfFreeSpace) {
  FullDisk full;
  Stage stage;
  stage.disk = &full;
  stage.settings.duplicate_window_s = 3600;
  stage.start();
  Peers peers(stage);
  EXPECT_EQ(run(stage.loop, send(peers, {.id = "4F2A"})).status, Delivery::delivered);
  stage.settings.free_space_floor_percent = 10;
  stage.settings.free_space_floor_max = 1000;
  stage.worker->reload(stage.settings);
  const auto again = run(stage.loop, send(peers, {.id = "4F2A"}));
  EXPECT_EQ(again.status, Delivery::delivered);
  EXPECT_EQ(again.reason.value, "delivered before");
  for (const char* id : {"4F2B", ""}) {
    const auto refused = run(stage.loop, send(peers, {.id = id}));
    EXPECT_EQ(refused.status, Delivery::temporary);
    EXPECT_EQ(refused.reason.value, "no room for new mail now");
  }
  const auto account = *run(stage.loop, stage.store->open("foo"));
  EXPECT_EQ(account->find("INBOX")->messages, 1U);
}

TEST_F(WorkerTest, RefusesWhatIsEmptyOrTooLarge) {
  stage.settings.message_size_max = 1000;
  stage.worker->reload(stage.settings);
  EXPECT_EQ(run(stage.loop, send(*peers, {.bytes = ""})).status, Delivery::rejected);
  EXPECT_EQ(run(stage.loop, send(*peers, {.bytes = std::string(1001, 'x')})).status,
            Delivery::rejected);
  EXPECT_EQ(run(stage.loop, send(*peers, {.bytes = std::string(1000, 'x')})).status,
            Delivery::delivered);
}

TEST_F(WorkerTest, RefusesAMessageThatCouldStillChange) {
  Fd open(memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(write(open.get(), "x\r\n", 3), 3);
  ipc::Deliver order;
  order.user = "foo";
  const auto reply = run(stage.loop, stage.worker->deliver(std::move(order), std::move(open)));
  EXPECT_EQ(reply.status, Delivery::temporary);
}

TEST_F(WorkerTest, SaysTemporaryWhenTheJournalFails) {
  run(stage.loop, send(*peers, {}));
  stage.journals.fate = [](const std::string&, std::span<const store::Draft>) {
    return store::MemoryJournals::Fate::fail;
  };
  EXPECT_EQ(run(stage.loop, send(*peers, {})).status, Delivery::temporary);
  stage.journals.fate = nullptr;
  EXPECT_EQ(run(stage.loop, send(*peers, {})).status, Delivery::delivered);
  const auto account = *run(stage.loop, stage.store->open("foo"));
  EXPECT_EQ(account->find("INBOX")->messages, 2U);
}

// ---------------------------------------------------------------- the delivery user

Task<ipc::Submit> answer_submit(Peers& peers, Delivery status) {
  auto packet = co_await peers.deliverd.receive();
  if (!packet || packet->type != static_cast<uint16_t>(ipc::DeliverMsg::submit)) std::abort();
  auto submit = *ipc::decode<ipc::Submit>(packet->body);
  EXPECT_EQ(*ipc::sealed_bytes(packet->fds.front().get(), 1000), "hello");
  ipc::SubmitReply reply;
  reply.request = submit.request;
  reply.status = status;
  EXPECT_TRUE(co_await peers.deliverd.send(std::move(reply)));
  co_return submit;
}

struct PostCase {
  Delivery status;
  const char* answer;
};

TEST_F(WorkerTest, PostsTheDeliveryUsersMailByTheWayOfAllMail) {
  const PostCase cases[] = {
      {Delivery::delivered, "p OK APPEND completed"},
      {Delivery::no_user, "p NO [NONEXISTENT] no such user"},
      {Delivery::rejected, "p NO [CANNOT] the message was refused"},
      {Delivery::not_permitted, "p NO [NOPERM] not permitted"},
      {Delivery::temporary, "p NO [UNAVAILABLE] not delivered, try again later"},
      {Delivery::full, "p NO [UNAVAILABLE] not delivered, try again later"},
  };
  for (const PostCase& test : cases) {
    const auto client = run(stage.loop, stage.log_in("#postman", true));
    const std::string mailbox = "b64user-mbox " + to_base64("alice") + " My Mail";
    run(stage.loop, client->send("p APPEND \"" + mailbox + "\" (\\Flagged) {5+}\r\nhello\r\n"));
    const ipc::Submit submit = run(stage.loop, answer_submit(*peers, test.status));
    EXPECT_EQ(submit.recipient.value, "alice");
    EXPECT_EQ(submit.mailbox.value, "My Mail");
    EXPECT_EQ(submit.flags, store::kFlagged);
    EXPECT_EQ(first_line(*client), test.answer);
  }
}

TEST_F(WorkerTest, PostingFailsForNowWhenDeliverdIsGone) {
  const auto client = run(stage.loop, stage.log_in("#postman", true));
  run(stage.loop, client->send("p APPEND \"b64user-mbox Zm9v INBOX\" {5+}\r\nhello\r\n"));
  (void)run(stage.loop, peers->deliverd.receive());
  peers->deliverd.close();
  EXPECT_EQ(first_line(*client), "p NO [UNAVAILABLE] delivery is not possible now");
  // The client stays, and finds the one that is started in its place.
  run(stage.loop, client->send("q APPEND \"b64user-mbox Zm9v INBOX\" {5+}\r\nhello\r\n"));
  EXPECT_EQ(first_line(*client), "q NO [UNAVAILABLE] delivery is not possible now");
  peers.emplace(stage);
  run(stage.loop, client->send("r APPEND \"b64user-mbox Zm9v INBOX\" {5+}\r\nhello\r\n"));
  (void)run(stage.loop, answer_submit(*peers, Delivery::delivered));
  EXPECT_EQ(first_line(*client), "r OK APPEND completed");
}

// ---------------------------------------------------------------- the end

TEST_F(WorkerTest, StopsWithByeAndRefusesWhatComesAfter) {
  const auto idle = run(stage.loop, stage.log_in("foo"));
  const auto waiting = run(stage.loop, stage.log_in("foo"));
  run(stage.loop, idle->send("a IDLE\r\n"));
  EXPECT_EQ(first_line(*idle), "+ idling");
  run(stage.loop, peers->give_ticket(kTicket, "foo"));
  run(stage.loop, stage.worker->stop());
  EXPECT_EQ(first_line(*idle), "* BYE the server is shutting down");
  EXPECT_EQ(first_line(*waiting), "* BYE the server is shutting down");
  EXPECT_EQ(stage.worker->sessions(), 0U);
  EXPECT_EQ(run(stage.loop, stage.deliver("foo", "", "x\r\n")).status, Delivery::temporary);
}

TEST_F(WorkerTest, CutsAClientThatDoesNotReadWhenItStops) {
  const auto deaf = run(stage.loop, stage.log_in("foo"));
  for (int i = 0; i < 20; i++)
    run(stage.loop, stage.deliver("foo", "INBOX", std::string(100'000, 'x')));
  run(stage.loop, deaf->send("a SELECT INBOX\r\nb FETCH 1:* BODY.PEEK[]\r\n"));
  const auto began = Loop::now();
  run(stage.loop, stage.worker->stop());
  EXPECT_LT(Loop::now() - began, std::chrono::seconds(9));
  EXPECT_EQ(stage.worker->sessions(), 0U);
}

// RFC 3501 §5.4, RFC 2177 §3: news in IDLE is no sign of life of the client.
TEST_F(WorkerTest, LogsASilentClientOutHoweverMuchNewsThereIs) {
  stage.settings.inactivity_timeout_s = 1;
  stage.worker->reload(stage.settings);
  const auto client = run(stage.loop, stage.log_in("foo"));
  run(stage.loop, client->command("a", "SELECT INBOX"));
  run(stage.loop, client->send("b IDLE\r\n"));
  std::string line = first_line(*client);
  for (int deliveries = 0; deliveries < 100 && !line.starts_with("* BYE"); deliveries++) {
    run(stage.loop, stage.deliver("foo", "INBOX", "x\r\n"));
    // EXISTS and RECENT, unless BYE came first.
    line = first_line(*client);
    if (!line.starts_with("* BYE")) line = first_line(*client);
    struct Pause {
      static Task<void> of(Loop& loop) { co_await sleep_for(loop, Milliseconds(50)); }
    };
    run(stage.loop, Pause::of(stage.loop));
  }
  EXPECT_EQ(line, "* BYE logged out for inactivity");
}

}  // namespace
}  // namespace rims::test
