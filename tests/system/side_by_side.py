"""The same mail and the same commands for RIMS and for Dovecot, two sessions each"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

from tests.system import dovecot
from tests.system.harness import NOBODY, Suite

NEEDS_DOVECOT = unittest.skipUnless(dovecot.INSTALLED and shutil.which("dovecot"), "Dovecot is not installed here")


class Peer:
    def __init__(self, source, sink):
        self.source, self.sink = source, sink

    def ask(self, command):
        self.sink.write(b"t " + command.encode() + b"\r\n")
        self.sink.flush()
        lines = []
        while True:
            line = self.source.readline()
            assert line, f"the connection ended at {command}"
            while match := re.search(rb"\{(\d+)\}\r\n$", line):
                line += self.source.read(int(match[1])) + self.source.readline()
            lines.append(line.decode().strip())
            if line.startswith(b"t "):
                return lines


class TestCase(unittest.TestCase):
    maxDiff = None

    def dovecot(self, messages, settings=""):
        """Two sessions of its user: {1: Peer, 2: Peer}. HOME in `settings` is that user's."""
        directory = self.enterContext(tempfile.TemporaryDirectory())
        subprocess.run(["chmod", "755", directory], check=True)
        home, doveadm = dovecot.make(directory, "maildir:HOME/mail", settings)
        doveadm("mailbox", "create", "Saved")
        for message in messages:
            doveadm("save", "-m", "INBOX", stdin=message)
        peers = {}
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        for session in (1, 2):
            child = subprocess.Popen([*drop, "/usr/lib/dovecot/imap", "-c", f"{home}/dovecot.conf"],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                     env={"PATH": os.environ["PATH"], "HOME": home, "USER": "nobody"})
            self.addCleanup(child.wait, 20)
            self.addCleanup(child.stdout.close)
            self.addCleanup(child.stdin.close)
            child.stdout.readline()
            peers[session] = Peer(child.stdout, child.stdin)
        return peers

    def rims(self, messages):
        suite = self.enterContext(Suite(users={"foo": "bar"}))
        for message in messages:
            suite.deliver(message, user="foo")
        with suite.login("foo") as imap:
            self.assertEqual(imap.create("Saved")[0], "OK")
        peers = {}
        for session in (1, 2):
            client = socket.create_connection(("127.0.0.1", suite.imap_port), timeout=20)
            self.addCleanup(client.close)
            stream = client.makefile("rwb")
            self.addCleanup(stream.close)
            stream.readline()
            peers[session] = Peer(stream, stream)
            self.assertTrue(peers[session].ask("LOGIN foo bar")[-1].startswith("t OK"))
        return peers
