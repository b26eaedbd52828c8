"""The controller's events reach syslog, facility mail, one line each

A syslog daemon of our own listens on /dev/log, in a mount name space in which /dev is a new one.
"""

import contextlib
import os
import re
import socket
import tempfile
import unittest

from tests.system.harness import Suite, wait_for
from tests.system.mounts import MOVE, alone, bind, mount

LOG_MAIL, ERR, WARNING, INFO = 2 << 3, 3, 4, 6


def fresh_dev():
    """A /dev with the usual devices and no log."""
    try:
        alone()
        build_dev()
    except OSError as error:
        raise unittest.SkipTest(f"needs a mount name space: {error}") from None


def build_dev():
    where = tempfile.mkdtemp(prefix="rims-dev-")
    mount("none", where, "tmpfs")
    os.chmod(where, 0o755)
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        with open(f"{where}/{name}", "w", encoding="ascii"):
            pass
        bind(f"/dev/{name}", f"{where}/{name}")
    os.mkdir(f"{where}/shm")
    bind("/dev/shm", f"{where}/shm")
    os.symlink("/proc/self/fd", f"{where}/fd")
    mount(where, "/dev", flags=MOVE)
    os.rmdir(where)


class Daemon:
    """What a syslog daemon does: binds /dev/log and reads."""

    def __init__(self):
        with contextlib.suppress(FileNotFoundError):
            os.remove("/dev/log")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        self.socket.setblocking(False)
        self.lines = []

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.lines.append(self.socket.recv(65536).decode())
        return self.lines

    def close(self):
        self.socket.close()

    def wait_for(self, text):
        return wait_for(lambda: next((l for l in self.read() if text in l), None), 10, text)


class Syslog(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root")
        fresh_dev()

    def priority(self, line):
        found = re.match(r"<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d rims-controller\[\d+\]: ", line)
        self.assertTrue(found, line)
        self.assertEqual(int(found[1]) & ~7, LOG_MAIL, line)
        self.assertTrue(line.rstrip("\0\n").isprintable(), line)
        return int(found[1]) & 7

    def test_events_arrive_with_facility_and_level(self):
        daemon = Daemon()
        self.addCleanup(daemon.close)
        with Suite() as suite:
            self.assertEqual(self.priority(daemon.wait_for("serving on 127.0.0.1")), INFO)
            suite.kill("deliverd")
            self.assertLessEqual(self.priority(daemon.wait_for("killed by signal 9")), WARNING)
            self.priority(daemon.wait_for("rims-deliverd is back"))
            # The daemon is restarted: a new socket under the same name.
            daemon.close()
            daemon = Daemon()
            self.addCleanup(daemon.close)
            suite.kill("log")
            self.priority(daemon.wait_for("rims-log is back"))
            for line in daemon.read():
                self.priority(line)

    def test_without_a_daemon_the_suite_serves(self):
        with contextlib.suppress(FileNotFoundError):
            os.remove("/dev/log")
        with Suite() as suite:
            suite.deliver(b"Subject: works\r\n\r\nyes\r\n")
            with suite.login("foo") as imap:
                self.assertEqual(imap.select("INBOX"), ("OK", [b"1"]))

    def test_without_a_daemon_the_journal_gets_the_lines(self):
        """Under systemd the journal takes what is for syslog. Where that goes nowhere, stderr is it."""
        for listening in (True, False):
            with contextlib.suppress(FileNotFoundError):
                os.remove("/dev/log")
            if listening:
                daemon = Daemon()
                self.addCleanup(daemon.close)
            suite = Suite(settings="log_stdout: QUIET\n")
            self.addCleanup(suite.close)
            with open(suite.output, "wb") as out:
                st = os.fstat(out.fileno())
            suite.env["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
            with suite.start():
                suite.kill("imapd")
                wait_for(lambda: "is back" in suite.log_text(), 10, "it is started again")
                self.assertEqual("killed by signal 9" in suite.output_text(), not listening)

    def test_without_a_daemon_a_start_in_the_background_says_where_the_lines_go(self):
        with contextlib.suppress(FileNotFoundError):
            os.remove("/dev/log")
        suite = Suite()
        self.addCleanup(suite.close)
        done = suite.command("sbin/rims-ctl", "start")
        self.assertEqual(done.returncode, 0, done)
        try:
            self.assertIn(f"no syslog is there (/dev/log): what goes wrong is told in "
                          f"{suite.mail}/imap.log alone", done.stderr.decode())
        finally:
            self.assertEqual(suite.command("sbin/rims-ctl", "stop").returncode, 0)


if __name__ == "__main__":
    unittest.main()
