"""LMTP against the real suite: what is answered with 250 is stored, once, as it was sent

Clients are Python's smtplib and raw sockets, at the local socket and at a port.
"""
# time limit: 300 s

import contextlib
import os
import re
import smtplib
import socket
import stat
import subprocess
import threading
import time
import unittest

from tests.system.harness import Suite, wait_for

SETTINGS = """\
lmtp: {listen: ["unix:lmtp", "127.0.0.1:0"]}
limits: {message_size: 1000000, deliver_connections: 20}
"""
# What RIMS puts in front, and nothing else (RFC 5321 §4.4).
TRACE = re.compile(rb"Return-Path: <([^>]*)>\r\nDelivered-To: ([^\r]*)\r\n"
                   rb"Received: from [^\r]*\r\n\tby localhost \(RIMS\) with ((?:UTF8)?LMTP) id [0-9a-f.]+"
                   rb"(?:\r\n\tfor <([^>]*)>)?;\r\n\t[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} "
                   rb"\d\d:\d\d:\d\d \+0000\r\n")


def stored(suite, user="foo"):
    """[(trace fields, the rest)] of INBOX"""
    with suite.login(user) as imap:
        _, data = imap.select("INBOX", readonly=True)
        if int(data[0]) == 0:
            return []
        _, data = imap.fetch("1:*", "(BODY.PEEK[])")
    messages = [part[1] for part in data if isinstance(part, tuple)]
    found = [(TRACE.match(m), m) for m in messages]
    assert all(head for head, _ in found), messages
    return [(head, m[head.end():]) for head, m in found]


def bodies(suite, user="foo"):
    return [body for _, body in stored(suite, user)]


def ports(suite):
    with open(os.path.join(suite.run_dir, "ports"), encoding="ascii") as f:
        return dict(line.split() for line in f)


class Raw:
    """A client that sends bytes."""

    def __init__(self, suite):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(os.path.join(suite.run_dir, "lmtp"))
        self.file = self.socket.makefile("rb")
        self.reply()

    def reply(self):
        """One, of one or several lines; b"" at the end of the connection."""
        text = b""
        while line := self.file.readline():
            text += line
            if line[3:4] != b"-":
                break
        return text

    def say(self, text):
        self.socket.sendall(text)
        return self.reply()

    def begin(self, *recipients, options=b""):
        assert self.say(b"LHLO test\r\n").startswith(b"250")
        assert self.say(b"MAIL FROM:<a@b.example>" + options + b"\r\n").startswith(b"250")
        return [self.say(b"RCPT TO:<" + r + b">\r\n") for r in recipients]

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class LmtpTest(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(users={"foo": "bar", "bar": "baz", "-x y;id": "bar", "größe": "bar"},
                           settings=SETTINGS).start()
        self.addCleanup(self.suite.close)
        self.addCleanup(self._stop)

    def _stop(self):
        if not self._outcome.success:
            self.suite.dump()
        self.suite.stop()

    def local(self):
        return smtplib.LMTP(os.path.join(self.suite.run_dir, "lmtp"), local_hostname="client.example")

    def test_smtplib_at_the_local_socket_and_at_the_port(self):
        message = b"Subject: x\r\n\r\n.\r\n..\r\nbody \xff\r\n"
        with self.local() as lmtp:
            self.assertEqual(lmtp.sendmail("a@b.example", ["foo@example.org"], message), {})
        with smtplib.LMTP("127.0.0.1", int(ports(self.suite)["lmtp"]),
                          local_hostname="client.example") as lmtp:
            # One by one: smtplib reads one reply after the message, however many recipients there are.
            for recipient in ("foo", "bar+label@example.org"):
                self.assertEqual(lmtp.sendmail("", [recipient], message), {})
        found = stored(self.suite)
        self.assertEqual([body for _, body in found], [message, message])
        self.assertEqual(found[0][0].groups(),
                         (b"a@b.example", b"foo@example.org", b"LMTP", b"foo@example.org"))
        self.assertIn(b"Received: from client.example (local)\r\n", found[0][0][0])
        self.assertEqual(found[1][0].groups(), (b"", b"foo", b"LMTP", b"foo"))
        self.assertIn(b"Received: from client.example ([127.0.0.1])\r\n", found[1][0][0])
        self.assertEqual(stored(self.suite, "bar")[0][0][2], b"bar+label@example.org")

    def test_each_recipient_has_its_own_answer(self):
        with Raw(self.suite) as c:
            replies = c.begin(b"foo@x", b"nobody@x", b'"-x y;id"@x', b"bar@x", b"foo@x")
            self.assertEqual([r[:9] for r in replies],
                             [b"250 2.1.5", b"550 5.1.1", b"250 2.1.5", b"250 2.1.5", b"250 2.1.5"])
            self.assertTrue(c.say(b"DATA\r\n").startswith(b"354 "))
            first = c.say(b"Received: by mx id Q1; x\r\n\r\nhello\r\n.\r\n")
            replies = [first] + [c.reply() for _ in range(3)]
            self.assertEqual([r[:9] for r in replies], [b"250 2.0.0"] * 4)
        self.assertEqual(len(bodies(self.suite)), 1, "the same recipient twice is a repetition")
        self.assertEqual(len(bodies(self.suite, "bar")), 1)
        with self.suite.login('"-x y;id"', "bar") as imap:
            self.assertEqual(imap.select("INBOX"), ("OK", [b"1"]))
            _, data = imap.fetch("1", "(BODY.PEEK[HEADER.FIELDS (DELIVERED-TO)])")
            self.assertEqual(data[0][1], b'Delivered-To: "-x y;id"@x\r\n\r\n')

    def test_only_the_real_end_ends_a_message(self):
        """HARDENING: each neighbour of a dot before and behind it; one message each, byte for byte."""
        neighbours = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\0", b" ", b"\v"]
        expected = []
        with Raw(self.suite) as c:
            c.say(b"LHLO test\r\n")
            for before in neighbours:
                for behind in neighbours:
                    if before.endswith(b"\r\n") and behind == b"\r\n":
                        continue
                    for one in (b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<foo@x>\r\n"):
                        self.assertEqual(c.say(one)[:3], b"250")
                    self.assertEqual(c.say(b"DATA\r\n")[:3], b"354")
                    text = (b"A: b\r\n\r\none" + before + b"." + behind + b"MAIL FROM:<x@y>\r\n"
                            b"RCPT TO:<bar@x>\r\nDATA\r\nsecond\r\n")
                    self.assertEqual(c.say(text + b".\r\n")[:9], b"250 2.0.0", (before, behind))
                    expected.append(text.replace(b"\r\n.", b"\r\n"))
        self.assertEqual(bodies(self.suite), expected)
        self.assertEqual(bodies(self.suite, "bar"), [])

    def test_chunks_and_binary(self):
        binary = bytes(range(256)) * 500 + b"\r\n.\r\n\n.\n"
        with Raw(self.suite) as c:
            c.begin(b"foo@x", options=b" BODY=BINARYMIME SIZE=%d" % len(binary))
            self.assertEqual(c.say(b"BDAT 100000\r\n" + binary[:100000])[:9], b"250 2.0.0")
            rest = binary[100000:]
            self.assertEqual(c.say(b"BDAT %d LAST\r\n" % len(rest) + rest)[:9], b"250 2.0.0")
        self.assertEqual(bodies(self.suite), [binary])

    def test_addresses_in_utf8(self):
        with Raw(self.suite) as c:
            self.assertEqual(c.begin("größe@x".encode())[0][:9], b"553 5.6.7")
            c.say(b"RSET\r\n")
            self.assertEqual(c.begin("größe@x".encode(), options=b" SMTPUTF8")[0][:9], b"250 2.1.5")
            c.say(b"DATA\r\n")
            self.assertEqual(c.say(b"A: b\r\n.\r\n")[:9], b"250 2.0.0")

    def test_sizes(self):
        with Raw(self.suite) as c:
            self.assertIn(b"250 SIZE 1000000\r\n", c.say(b"LHLO test\r\n"))
            self.assertEqual(c.say(b"MAIL FROM:<a@b> SIZE=1000001\r\n")[:9], b"552 5.3.4")
            for size, code in ((1000000, b"250 2.0.0"), (1000001, b"552 5.3.4")):
                c.say(b"MAIL FROM:<a@b>\r\n")
                c.say(b"RCPT TO:<foo@x>\r\n")
                c.say(b"DATA\r\n")
                self.assertEqual(c.say(b"x" * (size - 2) + b"\r\n.\r\n")[:9], code)
        self.assertEqual([len(b) for b in bodies(self.suite)], [1000000])

    def test_a_repetition_is_known_by_the_mtas_id_or_its_received_field(self):
        plain, traced = b"A: b\r\n\r\nx\r\n", b"Received: by mx (Postfix) id Q1; now\r\n\r\nx\r\n"

        def send(message, before=b""):
            with Raw(self.suite) as c:
                c.say(b"LHLO test\r\n")
                if before:
                    self.assertEqual(c.say(before)[:3], b"250")
                c.say(b"MAIL FROM:<a@b>\r\n")
                c.say(b"RCPT TO:<foo@x>\r\n")
                c.say(b"DATA\r\n")
                self.assertEqual(c.say(message + b".\r\n")[:3], b"250")
        for before, message, more in ((b"", plain, 2), (b"", traced, 1),
                                      (b"XFORWARD IDENT=Q9\r\n", plain, 1)):
            count = len(bodies(self.suite))
            send(message, before)
            send(message, before)
            self.assertEqual(len(bodies(self.suite)), count + more, (before, message))

    def test_a_hundred_recipients_share_one_body(self):
        body = b"A: b\r\n\r\n" + b"y" * 500000 + b"\r\n"
        with Raw(self.suite) as c:
            c.begin(*[b"foo+%d@x" % n for n in range(100)])
            self.assertEqual(c.say(b"RCPT TO:<bar@x>\r\n")[:9], b"452 4.5.3")
            c.say(b"DATA\r\n")
            self.assertEqual(c.say(body + b".\r\n")[:3], b"250")
            self.assertEqual({c.reply()[:3] for _ in range(99)}, {b"250"})
        found = stored(self.suite)
        self.assertEqual({b for _, b in found}, {body})
        self.assertEqual({head[2] for head, _ in found}, {b"foo+%d@x" % n for n in range(100)})

    def test_too_many_connections_are_told_to_come_again(self):
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(Raw(self.suite)).say(b"NOOP\r\n")
            extra = socket.socket(socket.AF_UNIX)
            stack.callback(extra.close)
            extra.connect(os.path.join(self.suite.run_dir, "lmtp"))
            self.assertEqual(extra.recv(100)[:9], b"421 4.3.2")
        with wait_for(lambda: self._connected(), 30, "there is room again") as c:
            self.assertEqual(c.say(b"NOOP\r\n")[:3], b"250")

    def _connected(self):
        c = Raw(self.suite)
        with contextlib.suppress(OSError):
            if c.say(b"NOOP\r\n")[:3] == b"250":
                return c
        c.close()
        return None

    def test_processes_that_die_lose_and_repeat_nothing(self):
        """Senders that try again as an MTA does, while every process of the way is killed."""
        end, sent = threading.Event(), []

        def sender(name):
            number = 0
            while not end.is_set():
                message = (f"Received: by mx (Postfix) id {name}{number}; x\r\n\r\n".encode()
                           + b"z" * 3000 + b"\r\n")
                while not self._tried(message):
                    time.sleep(0.02)
                sent.append(message)
                number += 1
        senders = [threading.Thread(target=sender, args=(n,)) for n in "ABC"]
        for s in senders:
            s.start()
        for role in ("deliverd", "imapd", "auth", "deliverd", "imapd", "deliverd"):
            before = len(sent)
            wait_for(lambda b=before: len(sent) > b + 3, 60, "deliveries go on")
            self.suite.kill(role)
        before = len(sent)
        wait_for(lambda: len(sent) > before + 3, 60, "deliveries go on after the last kill")
        end.set()
        for s in senders:
            s.join()
        self.assertEqual(sorted(bodies(self.suite)), sorted(sent))

    def _tried(self, message):
        with contextlib.suppress(OSError, smtplib.SMTPException):
            with smtplib.LMTP(os.path.join(self.suite.run_dir, "lmtp"), timeout=30) as lmtp:
                return lmtp.sendmail("a@b", ["foo@x"], message) == {}
        return False

    def test_the_socket_has_the_mode_of_the_others(self):
        mode = os.stat(os.path.join(self.suite.run_dir, "lmtp")).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o660)

    def test_the_suite_stops_in_time_with_clients_and_takes_its_socket_away(self):
        with Raw(self.suite) as c:
            c.say(b"LHLO test\r\n")
            self.assertLess(self.suite.stop(), 8)
            self.assertEqual(c.reply()[:9], b"421 4.3.2")
        self.assertFalse(os.path.exists(os.path.join(self.suite.run_dir, "lmtp")))
        self.suite.start()

    def test_a_flood_of_smtp_source_arrives(self):
        if not os.path.exists("/usr/sbin/smtp-source"):
            self.skipTest("smtp-source is not installed")
        subprocess.run(["/usr/sbin/smtp-source", "-L", "-s", "10", "-m", "200", "-l", "4096", "-f",
                        "s@example.net", "-t", "foo@example.org",
                        "127.0.0.1:" + ports(self.suite)["lmtp"]], check=True, timeout=120)
        self.assertEqual(len(bodies(self.suite)), 200)


class ConfigurationTest(unittest.TestCase):
    def check(self, lines):
        """What rims-ctl check says to these lines."""
        with contextlib.closing(Suite(settings=lines)) as suite:
            done = suite.command("sbin/rims-ctl", "check")
            return done.returncode, (done.stdout + done.stderr).decode()

    def test_a_port_that_others_reach_needs_a_list_of_them(self):
        status, said = self.check('lmtp: {listen: ["0.0.0.0:0"]}\n')
        self.assertNotEqual(status, 0)
        self.assertIn("lmtp.listen: other machines reach \"0.0.0.0\"", said)
        status, said = self.check('lmtp: {listen: ["0.0.0.0:0"], allow: [192.0.2.0/24]}\n')
        self.assertEqual(status, 0, said)

    def test_what_is_taken_is_seen(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            status, said = self.check(f'lmtp: {{listen: ["127.0.0.1:{port}"]}}\n')
        self.assertNotEqual(status, 0)
        self.assertIn(f"lmtp.listen: cannot listen on 127.0.0.1:{port}: ", said)
        status, said = self.check('lmtp: {listen: ["unix:/no/such/lmtp"]}\n')
        self.assertNotEqual(status, 0)
        self.assertIn("lmtp.listen: cannot write /no/such: ", said)

    def test_it_may_be_off(self):
        with Suite(settings="lmtp: {listen: []}\n") as suite:
            self.assertFalse(os.path.exists(os.path.join(suite.run_dir, "lmtp")))
            self.assertNotIn("lmtp", ports(suite))

    def test_a_full_mailbox_defers_or_refuses_by_setting(self):
        for setting, code in (("defer", b"452 4.2.2"), ("reject", b"552 5.2.2")):
            with self.subTest(setting), \
                    Suite(settings=f"quota: {{messages: 1, delivery: {setting}}}\n") as suite, \
                    Raw(suite) as c:
                for expected in (b"250 2.0.0", code):
                    c.begin(b"foo@x")
                    c.say(b"DATA\r\n")
                    self.assertEqual(c.say(b"A: b\r\n.\r\n")[:9], expected)

    def test_auth_that_is_away_defers(self):
        with Suite(settings="") as suite, Raw(suite) as c:
            c.begin(b"foo@x")
            pid = suite.pids("auth")[0]
            os.kill(pid, 19)  # stopped: it does not answer
            try:
                c.socket.settimeout(60)
                self.assertEqual(c.say(b"RCPT TO:<foo@x>\r\n")[:9], b"451 4.3.0")
            finally:
                os.kill(pid, 18)


if __name__ == "__main__":
    unittest.main()
