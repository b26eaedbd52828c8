"""rims-deliver against the real suite: what comes in is what is stored, or the MTA keeps it"""
# time limit: 300 s

import contextlib
import hashlib
import os
import signal
import subprocess
import threading
import time
import unittest

from tests.system.harness import NOBODY, Suite, wait_for


def stored(suite, user="foo", mailbox="INBOX"):
    with suite.login(user) as imap:
        status, data = imap.select(f'"{mailbox}"', readonly=True)
        assert status == "OK", data
        if int(data[0]) == 0:
            return []
        _, data = imap.fetch("1:*", "(BODY.PEEK[])")
        return [part[1] for part in data if isinstance(part, tuple)]


class DeliverTest(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(users={"foo": "bar", "bar": "baz", "#postman": "secret"},
                           settings="limits:\n  message_size: 1000000\n").start()
        self.addCleanup(self.suite.close)
        self.addCleanup(self._stop)

    def _stop(self):
        if not self._outcome.success:
            self.suite.dump()
        self.suite.stop()

    def deliver(self, message, *words, env=None, limit=60):
        return self.suite.command("bin/rims-deliver", *words, stdin=message, limit=limit)

    def test_bytes_come_back_as_they_came_in(self):
        every_byte = bytes(range(256))
        cases = [
            (b"A: b\n\nbody\n", b"A: b\r\n\r\nbody\r\n"),
            (b"A: b\r\n\r\nbody\r\nbare\nlf\r\n", None),
            (b"From x@y Mon Nov  2 10:00:00 2026\nA: b\n\nc\n", b"A: b\r\n\r\nc\r\n"),
            (b"A: b\r\n\r\n" + every_byte * 100, None),
            (b"no header at all", None),
            (b"A: b\n\n.\n..\n\n", b"A: b\r\n\r\n.\r\n..\r\n\r\n"),
            (b"A: b\r\n\r\n" + b"x" * 900_000, None),
        ]
        for given, wanted in cases:
            done = self.deliver(given, "-d", "foo", "-f", "a@b")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual([hashlib.sha256(m).hexdigest() for m in stored(self.suite)],
                         [hashlib.sha256(w or g).hexdigest() for g, w in cases])

    def test_statuses(self):
        cases = [
            (0, ["-d", "foo"], b"A: b\n\n"),
            (0, ["-d", "foo@example.org", "-f", ""], b"A: b\n\n"),
            (67, ["-d", "nobody-of-that-name"], b"A: b\n\n"),
            (67, ["-d", "-x y;id@example.org"], b"A: b\n\n"),
            (65, ["-d", "foo"], b""),
            (65, ["-d", "foo"], b"A: b\r\n\r\n" + b"x" * 1_000_001),
            (64, ["-x"], b"A: b\n\n"),
            (64, [], b"A: b\n\n"),
            (78, ["-c", "/nowhere/config.yml", "-d", "foo"], b"A: b\n\n"),
            (75, ["-S", "/nowhere/socket", "-d", "foo"], b"A: b\n\n"),
        ]
        for status, words, message in cases:
            done = self.deliver(message, *words)
            self.assertEqual(done.returncode, status, (words, done.stderr))
            if status:
                self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
                self.assertTrue(done.stderr.startswith(b"rims-deliver: "))
        self.assertEqual(len(stored(self.suite)), 2)

    def test_a_mailbox_by_name(self):
        with self.suite.login("foo") as imap:
            imap.create("lists/rims")
        self.assertEqual(self.deliver(b"A: b\n\n", "-d", "foo", "-m", "lists/rims").returncode, 0)
        self.assertEqual(self.deliver(b"A: b\n\n", "-d", "foo", "-m", "Junk").returncode, 0)
        self.assertEqual(len(stored(self.suite, "foo", "lists/rims")), 1)
        self.assertEqual(len(stored(self.suite, "foo", "Junk")), 1)
        self.assertEqual(stored(self.suite), [])

    def test_a_mailbox_that_is_not_there(self):
        """It is no reason to bounce: rims-deliver and post-mail put the mail into INBOX."""
        with self.suite.login("foo") as imap:
            imap.delete("Junk")
        names = ["Junk", "never/made", "a\nb", "x" * 2000]
        for name in names:
            done = self.deliver(b"A: b\n\n", "-d", "foo", "-m", name)
            self.assertEqual((done.returncode, done.stderr), (0, b""), name[:20])
        done = self.suite.command("bin/rims", "post-mail", "-n", "127.0.0.1", "-o",
                                  str(self.suite.imap_port), "-w", "secret", "-m", "Junk", "foo",
                                  stdin=b"A: posted\n\n")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(len(stored(self.suite)), len(names) + 1)
        self.assertEqual(self.suite.log_text().count(' has no mailbox "Junk": '), 2)
        self.assertIn(r'WARN  rims-imapd', self.suite.log_text())
        self.assertIn(r' "foo" has no mailbox "a\x0ab": ', self.suite.log_text())

    def test_trace_fields_on_demand(self):
        self.deliver(b"A: b\n\n", "-r", "-d", "foo", "-f", "a@b")
        self.assertEqual(stored(self.suite),
                         [b"Return-Path: <a@b>\r\nDelivered-To: foo\r\nA: b\r\n\r\n"])

    def test_several_recipients(self):
        done = self.deliver(b"A: b\n\n", "-d", "foo", "--", "bar")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(stored(self.suite, "foo")), 1)
        self.assertEqual(len(stored(self.suite, "bar")), 1)
        done = self.deliver(b"A: b\n\n", "-d", "foo", "-d", "nobody-of-that-name")
        self.assertEqual(done.returncode, 67)
        self.assertIn(b"nobody-of-that-name: no such user", done.stderr)

    def test_no_suite_is_temporary(self):
        self.suite.stop()
        done = self.deliver(b"A: b\n\n", "-d", "foo")
        self.assertEqual(done.returncode, 75)
        self.suite.start()
        self.assertEqual(stored(self.suite), [])

    def test_killed_senders_leave_nothing_half_done(self):
        """SIGKILL at many moments: each message is there as a whole or not at all."""
        message = b"A: b\r\n\r\n" + b"0123456789abcdef" * 20_000
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.suite.drop else {}
        for delay in [n / 1000 for n in range(0, 40, 2)]:
            child = subprocess.Popen(
                [f"{self.suite.stage}/bin/rims-deliver", "-d", "foo", "-c", self.suite.config],
                stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", **who)
            writer = threading.Thread(target=self._feed, args=(child, message))
            writer.start()
            time.sleep(delay)
            child.send_signal(signal.SIGKILL)
            child.wait()
            writer.join()
            with contextlib.suppress(OSError):
                child.stdin.close()
        self.assertEqual(self.deliver(message, "-d", "foo").returncode, 0)
        found = stored(self.suite)
        self.assertGreaterEqual(len(found), 1)
        self.assertEqual(set(found), {message})

    @staticmethod
    def _feed(child, message):
        with contextlib.suppress(OSError):
            child.stdin.write(message)
            child.stdin.close()

    def test_processes_that_die_midway_lose_nothing_that_was_acknowledged(self):
        acknowledged, lock, end = [], threading.Lock(), threading.Event()

        def sender(name):
            number = 0
            while not end.is_set():
                text = f"X-Number: {name}-{number}\r\n\r\n".encode() + b"y" * 3000
                done = self.deliver(text, "-d", "foo")
                if done.returncode == 0:
                    with lock:
                        acknowledged.append(text)
                elif done.returncode != 75:
                    raise AssertionError(done)
                number += 1
        senders = [threading.Thread(target=sender, args=(n,)) for n in range(4)]
        for s in senders:
            s.start()
        for role in ("deliverd", "imapd", "auth", "deliverd", "log", "imapd"):
            before = len(acknowledged)
            wait_for(lambda b=before: len(acknowledged) > b, 30, "deliveries go on")
            self.suite.kill(role)
        before = len(acknowledged)
        wait_for(lambda: len(acknowledged) > before, 30, "deliveries go on after the last kill")
        end.set()
        for s in senders:
            s.join()
        found = set(stored(self.suite))
        self.assertEqual([m for m in acknowledged if m not in found], [])

    def test_the_log_names_caller_recipient_and_queue_id(self):
        self.deliver(b"A: b\n\n", "-d", "foo", "-f", "a@b", "-i", "4QueueId")
        uid = NOBODY if self.suite.drop else os.geteuid()

        def lines():
            return [x for x in self.suite.log_text().splitlines()
                    if "rims-deliverd" in x and 'id "4QueueId"' in x]
        line = wait_for(lines, 10, "the line is in the log")[0]
        for part in (f"uid {uid}", "delivered", 'to "foo"', 'from "a@b"'):
            self.assertIn(part, line)


if __name__ == "__main__":
    unittest.main()
