"""tests/clients/support.py - what the tests of real clients share

What a client calls itself, enables and sends is told by the suite's log and held against doc/clients.md.

Every client is tried in each of three ways to reach the server; SECURITY names them as
Suite.login() does: None is plain on loopback, "starttls", and "tls" from the first byte.
"""

import contextlib
import fnmatch
import hashlib
import os
import re
import shutil
import tempfile
import unittest

from tests.system.harness import TOP, Suite, wait_for


def message(number, size=0):
    """A message with lines ended by LF, different for each number; 8-bit text included."""
    body = f"This is the body of message {number}.\nÄpfel, 日本語.\n"
    filler = f"{number:06d} ".encode() * 10 + b"\n"
    text = (f"From: Sender {number} <s{number}@example.org>\n"
            "To: foo@example.org\n"
            f"Subject: message {number}\n"
            f"Date: Mon, 02 Nov 2026 10:{number // 60 % 60:02d}:{number % 60:02d} +0100\n"
            f"Message-ID: <{number}.clients@example.org>\n"
            "MIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=utf-8\n"
            "Content-Transfer-Encoding: 8bit\n"
            "\n" + body).encode()
    return text + filler * (size // len(filler))


def crlf(text):
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def digest(text):
    """Of a message, whatever its line ends are: Maildir has LF, IMAP has CRLF. The header field
    by which mbsync finds again what it uploaded is left out."""
    return hashlib.sha256(re.sub(rb"\r\nX-TUID: [^\r]*", b"", crlf(text), count=1)).hexdigest()


def everything(imap, mailbox="INBOX"):
    """{uid: (flags without \\Recent, digest)} of a mailbox, not changing it."""
    status, data = imap.select(f'"{mailbox}"', readonly=True)
    assert status == "OK", data
    if int(data[0]) == 0:
        return {}
    status, data = imap.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
    assert status == "OK", data
    found = {}
    for part in data:
        if not isinstance(part, tuple):
            continue
        head = part[0].decode()
        uid = int(head[head.index("UID ") + 4:].split()[0].rstrip(")"))
        flags = head[head.index("FLAGS (") + 7:head.index(")", head.index("FLAGS ("))].split()
        found[uid] = (frozenset(flags) - {"\\Recent"}, digest(part[1]))
    return found


def negotiated(log, ours):
    """(names by ID, what was enabled, commands) of the sessions in a log whose tags do not start with ours."""
    commands = {}
    for session, tag, command in re.findall(r" (s[\d.]+): (\S+) ((?:UID )?[A-Z0-9]+)$", log, re.M):
        if tag[:4] not in ours:
            commands.setdefault(session, set()).add(command)
    names, enabled = set(), set()
    end = r' (s[\d.]+): session of .* ended after [^"\n]*?(?:, client "(.*?)")?(?:, with (.*))?$'
    for session, name, used in re.findall(end, log, re.M):
        if session in commands:
            names |= {name} - {""}
            enabled |= set(used.split())
    return names, enabled, set().union(*commands.values())


def page_row(client):
    """(pattern of its name, what it enables, commands) as doc/clients.md says; commands is a list of
    (one of these, it may be missing). What stands in parentheses may be missing."""
    with open(os.path.join(TOP, "doc", "clients.md"), encoding="utf-8") as f:
        row = re.search(rf"^\| {re.escape(client)} \|.*", f.read(), re.M)
    _, _, _, name, enables, commands, _ = [column.strip() for column in row[0].split("|")]
    return name, set(enables.replace("–", "").split()), [
        (set(word.strip("()").split(" or ")), word.startswith("(")) for word in commands.split(", ")]


def page_example():
    """The configuration in doc/clients.md."""
    with open(os.path.join(TOP, "doc", "clients.md"), encoding="utf-8") as f:
        return re.search(r"^```yaml\n(imap_capabilities_disabled:.*?)^```", f.read(), re.M | re.S)[1]


class ClientTest(unittest.TestCase):
    """One suite and one scratch directory per test."""

    SECURITY = None
    TOOL = None  # the program that must be there
    CONFIGURATION = ""  # of the suite, more of it

    def setUp(self):
        if self.TOOL and not shutil.which(self.TOOL):
            self.skipTest(f"{self.TOOL} is not installed")
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.home = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="rims-client-"))
        self.suite = Suite(settings=self.CONFIGURATION).start()
        self.addCleanup(self._finish)

    def _finish(self):
        if not self._outcome.success:
            self.suite.dump()
        try:
            self.suite.stop()
        finally:
            self.suite.close()

    @property
    def port(self):
        return self.suite.imaps_port if self.SECURITY == "tls" else self.suite.imap_port

    def path(self, *words):
        return os.path.join(self.home, *words)

    def change_as_another(self, flagged, gone):
        """Another session marks one message, by its number, and expunges another one."""
        uids = {d: uid for uid, (_, d) in self.everything().items()}
        with self.suite.login("foo") as imap:
            imap.select("INBOX")
            imap.uid("STORE", str(uids[digest(message(flagged))]), "+FLAGS.SILENT", "(\\Flagged)")
            imap.uid("STORE", str(uids[digest(message(gone))]), "+FLAGS.SILENT", "(\\Deleted)")
            imap.expunge()

    def ended_sessions(self):
        """The suite's log, as soon as all sessions have ended."""
        count = lambda text, word: len(re.findall(rf' session of "\w+" {word}', text))
        return wait_for(lambda: (text := self.suite.log_text()) and
                        count(text, "began") == count(text, "ended") and text, 20, "all sessions have ended")

    def assert_page(self, client):
        """doc/clients.md says what the sessions of this test said and used."""
        names, enabled, used = negotiated(self.ended_sessions(), self.suite.tags)
        pattern, enables, commands = page_row(client)
        self.assertEqual(names, set(fnmatch.filter(names, pattern.strip("()`"))))
        if not pattern.startswith("("):
            self.assertEqual(bool(names), pattern != "–")
        self.assertEqual(enabled, enables)
        self.assertEqual(used - set().union(*(group for group, _ in commands)), set(), "not on the page")
        missing = [group for group, optional in commands if not optional and not group & used]
        self.assertEqual(missing, [], "on the page, and not used")

    def everything(self, mailbox="INBOX"):
        with self.suite.login("foo") as imap:
            return everything(imap, mailbox)


def three_ways(scope, base):
    """Defines one test class per way to reach the server, from `base`."""
    for name, security in (("Plain", None), ("StartTls", "starttls"), ("Tls", "tls")):
        kind = type(base.__name__.lstrip("_") + name, (base,),
                    {"SECURITY": security, "__module__": base.__module__})
        scope[kind.__name__] = kind
