"""UNAUTHENTICATE (RFC 8437): one connection, one user after another"""
# time limit: 300 s

import imaplib
import os
import signal
import socket
import unittest

from tests.system.harness import Suite, wait_for

USERS = {"foo": "bar", "baz": "secret"}
ROUNDS = 1000


class Raw:
    """A connection, line by line."""

    def __init__(self, suite, tls):
        self.socket = socket.create_connection(
            ("127.0.0.1", suite.imaps_port if tls else suite.imap_port), timeout=60)
        if tls:
            self.socket = suite.tls_context().wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def send(self, text):
        self.socket.sendall(text.encode())

    def until(self, tag):
        lines = []
        while not lines or not lines[-1].startswith(tag + " "):
            line = self.file.readline().decode()
            if not line:
                raise EOFError("".join(lines))
            lines.append(line.rstrip("\r\n"))
        return lines

    def ask(self, text):
        self.send(text + "\r\n")
        return self.until(text.split(" ")[0])

    def close(self):
        self.file.close()
        self.socket.close()


def descriptors(suite):
    return {name: sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in suite.pids(name)) for name in ("login", "imapd")}


class Unauthenticate(unittest.TestCase):
    def suite(self, **more):
        suite = Suite(users=USERS, log_level="INFO", **more)
        self.addCleanup(suite.close)
        suite.start()
        self.addCleanup(suite.stop)
        return suite

    def connect(self, suite, tls):
        client = Raw(suite, tls)
        self.addCleanup(client.close)
        self.assertTrue(client.file.readline().startswith(b"* OK"))
        return client

    def test_notify_is_forgotten(self):  # RFC 5465 §3.1
        suite = self.suite()
        watcher, other = self.connect(suite, False), self.connect(suite, False)
        for client in (watcher, other):
            client.ask("a LOGIN foo bar")
        self.assertTrue(watcher.ask("b NOTIFY SET (personal (MailboxName))")[-1].startswith("b OK"))
        other.ask("c CREATE One")
        self.assertEqual(len(watcher.ask("d NOOP")), 2)
        watcher.ask("e UNAUTHENTICATE")
        watcher.ask("f LOGIN foo bar")
        other.ask("g CREATE Two")
        self.assertEqual(len(watcher.ask("h NOOP")), 1)

    def test_all_is_forgotten(self):
        suite = self.suite()
        for tls in (False, True):
            with self.subTest(tls=tls):
                client = self.connect(suite, tls)
                self.assertIn(" UNAUTHENTICATE ", client.ask("a LOGIN foo bar")[-1])
                client.ask("b CREATE Secret")
                client.ask("c ENABLE CONDSTORE UTF8=ACCEPT")
                client.ask("d SELECT INBOX")
                back = client.ask("e UNAUTHENTICATE")
                self.assertRegex(back[-1], r"^e OK \[CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ")
                self.assertEqual(len(back), 1)
                self.assertRegex(client.ask("f LIST \"\" *")[-1], "^f (NO|BAD) log in first")
                self.assertRegex(client.ask("g LOGIN foo wrong")[-1], r"^g NO \[AUTHENTICATIONFAILED\]")
                self.assertRegex(client.ask("h LOGIN baz secret")[-1], "^h OK ")
                self.assertNotIn("Secret", "".join(client.ask("i LIST \"\" *")))
                self.assertRegex(client.ask("j FETCH 1 FLAGS")[-1], "^j BAD no mailbox is selected")
                self.assertEqual(client.ask("k ENABLE CONDSTORE")[0], "* ENABLED CONDSTORE")
                self.assertEqual(client.ask("l LOGOUT")[-1][:4], "l OK")

    def test_pipelined(self):
        suite = self.suite()
        for tls in (False, True):
            with self.subTest(tls=tls):
                client = self.connect(suite, tls)
                client.ask("a LOGIN foo bar")
                # Much behind it, in one go: what the worker has read, and what is on its way.
                client.send("b NOOP\r\nc UNAUTHENTICATE\r\nd LOGIN baz secret\r\n"
                            + "".join(f"n{n} NOOP\r\n" for n in range(500)) + "e STATUS INBOX (MESSAGES)\r\n")
                tags = [line.split(" ")[0] for line in client.until("e")]
                self.assertEqual(tags, ["b", "c", "d", *(f"n{n}" for n in range(500)), "*", "e"])

    def test_a_thousand_times(self):
        suite = self.suite()
        for tls in (False, True):
            with self.subTest(tls=tls):
                client = self.connect(suite, tls)
                before = None
                for n in range(ROUNDS):
                    user = ("foo", "baz")[n % 2]
                    client.send(f"a{n} LOGIN {user} {USERS[user]}\r\nb{n} SELECT INBOX\r\nc{n} UNAUTHENTICATE\r\n")
                    self.assertRegex(client.until(f"c{n}")[-1], f"^c{n} OK ")
                    if n == 10:
                        before = descriptors(suite)
                wait_for(lambda: all(descriptors(suite)[k] <= before[k] + 4 for k in before), 10, "no leak")
                client.ask("z LOGOUT")

    def test_a_process_that_dies_takes_only_its_clients(self):
        suite = self.suite()
        client, other = self.connect(suite, True), self.connect(suite, False)
        for one in (client, other):
            one.ask("a LOGIN foo bar")
            one.ask("b UNAUTHENTICATE")
        for pid in suite.pids("imapd"):
            os.kill(pid, signal.SIGKILL)
        for one in (client, other):
            self.assertRegex(one.ask("c NOOP")[-1], "^c OK ", "it is with rims-login")

        def served():
            try:
                with suite.login("baz"):
                    return True
            except (imaplib.IMAP4.error, OSError):
                return False
        wait_for(served, 30, "a new worker")
        for one in (client, other):
            self.assertRegex(one.ask("d LOGIN baz secret")[-1], "^d OK ")


if __name__ == "__main__":
    unittest.main()
