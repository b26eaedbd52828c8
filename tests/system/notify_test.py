"""NOTIFY (RFC 5465) in the running suite: how soon a change is told, many mailboxes, and what many clients cost"""

# time limit: 900 s
# runs alone

import contextlib
import statistics
import time
import unittest

from tests.system.bystander import ONE_WORKER, Bystander
from tests.system.compress_test import Client, mail, resident
from tests.system.harness import Suite

CLIENTS = 1000
MAILBOXES = 10_000
AGAIN = 500  # of them are changed twice
WATCHERS = 10
MOST_KIB = 1024  # for each of them
CHANGES = 200
SOON = 0.005
WATCH = ("NOTIFY SET (selected (MessageNew (UID) MessageExpunge FlagChange))"
         " (personal (MessageNew MessageExpunge FlagChange MailboxName))")


class Notify(unittest.TestCase):
    def suite(self, settings="", **more):
        suite = Suite(tls=False, settings=ONE_WORKER + settings, log_level="INFO", **more)
        self.addCleanup(suite.close)
        suite.start()
        self.addCleanup(suite.stop)
        return suite

    def client(self, suite, user="foo"):
        client = Client(suite, user)
        self.addCleanup(client.close)
        return client

    def test_a_change_is_told_within_5_ms_of_its_answer(self):  # RFC 5465 §6.1.1
        suite = self.suite()
        watcher, writer = self.client(suite), self.client(suite)
        watcher.command("SELECT INBOX")
        watcher.command(WATCH)
        for mailbox, last in (("INBOX", b" FETCH (UID "), ("Sent", b"* STATUS Sent ")):
            late = []
            for _ in range(CHANGES):
                writer.command(f"APPEND {mailbox} {{1+}}\r\nx")
                answered = time.monotonic()
                while last not in watcher.line():
                    pass
                late.append(time.monotonic() - answered)
            print(f"{mailbox}: told {statistics.median(late) * 1000:.2f} ms (median) after the OK of the change,"
                  f" {max(late) * 1000:.2f} ms at most")
            self.assertLess(statistics.median(late), SOON)

    def test_a_thousand_clients_that_wait_cost_as_little_as_in_idle(self):
        grown = {}
        for idle in (True, False):
            suite = self.suite("limits:\n  sessions_per_user: 2000\n")
            suite.deliver(mail(1))
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(contextlib.closing(Client(suite))) for _ in range(CLIENTS + 10)]
                for number, client in enumerate(clients):
                    client.command("SELECT INBOX")
                    if not idle:
                        client.command(WATCH)
                    else:
                        client.idle()
                    if number == 9:  # what the first ones make is there to stay
                        before = resident(suite)
                grown[idle] = resident(suite) - before
                suite.deliver(mail(2))
                for client in clients:
                    self.assertEqual(client.line(), b"* 2 EXISTS")
        print(f"KiB for each of {CLIENTS} clients: {grown[True] / CLIENTS:.2f} in IDLE, "
              f"{grown[False] / CLIENTS:.2f} with NOTIFY")
        self.assertLess(grown[False] - grown[True], 2 * CLIENTS, "KiB more for all of them")

    def test_many_mailboxes_hold_nobody_up_and_each_is_told_once(self):
        suite = self.suite(f"limits:\n  mailboxes: {2 * MAILBOXES}\n", users={"foo": "bar", "other": "bar"})
        watcher, writer = self.client(suite), self.client(suite)
        self.pipeline(writer, [f"CREATE box{n}" for n in range(MAILBOXES)])
        change_all = [f"APPEND box{n} {{1+}}\r\nx" for n in range(MAILBOXES)]
        self.pipeline(writer, change_all)
        before = resident(suite)
        self.pipeline(writer, change_all)
        without = resident(suite) - before  # what the messages cost
        with Bystander(suite, "other") as other:
            began = other.mark()
            start = time.monotonic()
            told = watcher.command(WATCH.replace("SET", "SET STATUS"))
            took = time.monotonic() - start
            answered, longest = other.since(began)
        self.assertEqual(sum(line.startswith(b"* STATUS box") for line in told), MAILBOXES)
        print(f"STATUS of {MAILBOXES} mailboxes: {took * 1000:.0f} ms; {answered} answers to another user meanwhile, "
              f"{longest * 1000:.1f} ms between two at most")
        # A command that was begun: nothing is told before its end. Nobody is held up by what waits, and it is small.
        before = resident(suite)
        watchers = [watcher] + [self.client(suite) for _ in range(WATCHERS - 1)]
        for each in watchers[1:]:
            each.command(WATCH)
        for each in watchers:
            each.send(b"n NO")
        with Bystander(suite, "other") as other:
            began = other.mark()
            self.pipeline(writer, change_all)
            self.pipeline(writer, change_all[:AGAIN])
            answered, longest = other.since(began)
        grown = (resident(suite) - before - without) / WATCHERS
        print(f"{grown:.0f} KiB for each of {WATCHERS} clients while changes of {MAILBOXES} mailboxes wait; {answered} answers "
              f"to another user meanwhile, {longest * 1000:.1f} ms between two at most")
        self.assertLess(grown, MOST_KIB)
        for each in watchers:
            each.send(b"OP\r\n")
            told = each.answer(b"n")
            self.assertEqual(sum(line.startswith(b"* STATUS box") for line in told), MAILBOXES, "one for each mailbox")
            for messages, boxes in ((3, MAILBOXES - AGAIN), (4, AGAIN)):
                self.assertEqual(sum(f" (MESSAGES {messages} ".encode() in line for line in told), boxes)

    @staticmethod
    def pipeline(client, commands):
        for begin in range(0, len(commands), 500):
            some = commands[begin:begin + 500]
            client.send(b"".join(b"p " + command.encode() + b"\r\n" for command in some))
            for _ in some:
                answer = client.answer(b"p")[-1]
                assert answer.startswith(b"p OK"), answer


if __name__ == "__main__":
    unittest.main()
