"""COMPRESS=DEFLATE of the real suite, spoken by Python's zlib: over TLS and plain, with the memory of many clients
that wait, and of one that sends a bomb"""

# time limit: 300 s
# runs alone

import contextlib
import re
import socket
import unittest
import zlib

from tests.system.bystander import ONE_WORKER
from tests.system.harness import Suite, wait_for

IDLE = 1000


class Client:
    """IMAP in bytes, compressed from compress() on, each command flushed by `flush`."""

    def __init__(self, suite, user="foo", tls=False, flush=zlib.Z_SYNC_FLUSH):
        port = suite.imaps_port if tls else suite.imap_port
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        if tls:
            self.socket = suite.tls_context().wrap_socket(self.socket, server_hostname="localhost")
        self.encoder = self.decoder = None
        self.flush = flush
        self.count, self.buffer, self.received, self.read = 0, b"", 0, 0
        self.line()
        self.command(f"LOGIN {user} {suite.users[user]}")

    def compress(self):
        answer = self.command("COMPRESS DEFLATE")[-1]
        assert b"OK DEFLATE active" in answer, answer
        assert not self.buffer
        self.encoder = zlib.compressobj(9, zlib.DEFLATED, -15)
        self.decoder = zlib.decompressobj(-15)
        self.received = self.read = 0

    def send(self, data):
        if self.encoder:
            data = self.encoder.compress(data) + self.encoder.flush(self.flush)
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError(f"closed after {self.buffer[-200:]!r}")
        self.received += len(data)
        if self.decoder:
            data = self.decoder.decompress(data)
            assert not self.decoder.unused_data
        self.read += len(data)
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def answer(self, tag):
        """Lines up to the tagged one, each with its literals."""
        lines = []
        while True:
            whole = self.line()
            while literal := re.search(rb"\{(\d+)\}$", whole):
                while len(self.buffer) < int(literal[1]):
                    self.more()
                whole += b"\r\n" + self.buffer[:int(literal[1])]
                self.buffer = self.buffer[int(literal[1]):]
                whole += self.line()
            lines.append(whole)
            if whole.startswith(tag + b" "):
                return lines

    def command(self, text, ok=True):
        self.count += 1
        tag = b"t%d" % self.count
        self.send(tag + b" " + text.encode() + b"\r\n")
        lines = self.answer(tag)
        if ok and not lines[-1].startswith(tag + b" OK"):
            raise AssertionError(f"{text}: {lines[-1]}")
        return lines

    def idle(self):
        self.send(b"idle IDLE\r\n")
        while not self.line().startswith(b"+"):
            pass

    def close(self):
        self.socket.close()


def mail(number, size=0):
    return (f"From: Sender {number} <s{number}@example.org>\r\nTo: foo@example.org\r\nSubject: message {number}\r\n"
            f"Date: Mon, 02 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{number}@example.org>\r\n\r\n"
            + f"{number:06d} and so on\r\n" * (size // 18)).encode()


def resident(suite):
    with open(f"/proc/{suite.pids('imapd')[0]}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


class Compress(unittest.TestCase):
    def test_a_session_compressed(self):
        for tls, flush in ((False, zlib.Z_SYNC_FLUSH), (True, zlib.Z_SYNC_FLUSH), (True, zlib.Z_PARTIAL_FLUSH),
                           (False, zlib.Z_FULL_FLUSH)):
            with self.subTest(tls=tls, flush=flush), Suite() as suite, \
                    contextlib.closing(Client(suite, tls=tls, flush=flush)) as client:
                client.compress()
                large = mail(1, 3_000_000)
                client.send(b"a APPEND INBOX {%d}\r\n" % len(large))
                self.assertEqual(client.line(), b"+ OK")
                client.send(large + b"\r\n")
                self.assertIn(b"a OK [APPENDUID", client.answer(b"a")[-1])
                for number in range(2, 100):
                    text = mail(number)
                    client.send(b"b APPEND INBOX {%d+}\r\n%s\r\n" % (len(text), text))
                for number in range(2, 100):
                    client.answer(b"b")
                client.command("SELECT INBOX")
                lines = client.command("FETCH 1 BODY.PEEK[]")
                self.assertIn(large, lines[0])
                client.received = client.read = 0
                for number in range(2, 100):
                    lines = client.command(f"FETCH {number} (FLAGS ENVELOPE BODY.PEEK[])")
                    self.assertIn(mail(number), lines[0])
                self.assertLess(client.received * 3, client.read, "one small answer after the other")
                # There is no way back to a process that does not compress.
                refused = client.command("UNAUTHENTICATE", ok=False)[-1]
                self.assertIn(b" NO [CANNOT] not while the connection is compressed", refused)
                client.idle()
                suite.deliver(mail(100))
                self.assertEqual(client.line(), b"* 100 EXISTS")
                client.send(b"DONE\r\nc LOGOUT\r\n")
                self.assertIn(b"c OK LOGOUT completed", client.answer(b"c"))
                with self.assertRaises(EOFError):
                    client.line()
                self.assertNotIn("killed", suite.output_text())

    def test_a_thousand_clients_that_wait_cost_little(self):
        grown = {}
        for compressed in (False, True):
            with Suite(tls=False, settings=ONE_WORKER + "limits:\n  sessions_per_user: 2000\n", log_level="INFO") as suite, \
                    contextlib.ExitStack() as stack:
                suite.deliver(mail(1))
                clients = [stack.enter_context(contextlib.closing(Client(suite))) for _ in range(IDLE + 10)]
                for client in clients[:10]:  # what the first ones make is there to stay
                    if compressed:
                        client.compress()
                    client.command("SELECT INBOX")
                    client.idle()
                before = resident(suite)
                for client in clients[10:]:
                    if compressed:
                        client.compress()
                    client.command("SELECT INBOX")
                    client.command("FETCH 1 BODY.PEEK[]")
                    client.idle()
                grown[compressed] = resident(suite) - before
                suite.deliver(mail(2))
                for client in clients:
                    self.assertEqual(client.line(), b"* 2 EXISTS")
        print(f"KiB for each of {IDLE} clients in IDLE: {grown[False] / IDLE:.2f} plain, {grown[True] / IDLE:.2f} compressed")
        self.assertLess(grown[True] - grown[False], 3 * IDLE, "KiB more for all of them")

    def test_a_bomb_costs_its_sender_the_connection_and_nobody_memory(self):
        with Suite(tls=False, settings=ONE_WORKER, log_level="INFO") as suite, \
                contextlib.closing(Client(suite)) as client, contextlib.closing(Client(suite)) as other:
            client.compress()
            client.command("NOOP")
            before = resident(suite)
            encoder, spaces = client.encoder, b" " * (1 << 20)
            with contextlib.suppress(OSError):
                for _ in range(600):
                    client.socket.sendall(encoder.compress(spaces))
                client.socket.sendall(encoder.flush(zlib.Z_SYNC_FLUSH))
            other.command("NOOP")
            with self.assertRaises((EOFError, OSError)):
                while True:
                    client.line()
            self.assertLess(resident(suite) - before, 4096, "KiB more than before")
            wait_for(lambda: "closing: too much input" in suite.log_text(), 20, "the log says why")

    def test_damaged_data_is_named_in_the_log(self):
        with Suite(tls=False, log_level="INFO") as suite, contextlib.closing(Client(suite)) as client:
            client.compress()
            client.socket.sendall(b"a NOOP\r\n")
            self.assertEqual(client.line(), b"* BYE the compressed data is damaged")
            with self.assertRaises(EOFError):
                client.line()
            wait_for(lambda: re.search(r"closing: the compressed data of the client is damaged: \w+", suite.log_text()),
                     20, "the log says why")


if __name__ == "__main__":
    unittest.main()
