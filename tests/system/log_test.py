"""What the log tells: the life of the suite, and logins that no client can make look like others"""
# time limit: 300 s

import configparser
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from tests.system.harness import TOP, Suite, wait_for
from tests.system.mounts import alone, mount, umount

FILTER = os.path.join(TOP, "etc", "fail2ban", "filter.d", "rims.conf")
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d "
                  r"(DEBUG|INFO |WARN |ERROR|FATAL) rims-[a-z]+\[\d+\] \S.*$")


class Life(unittest.TestCase):
    def test_from_the_start_to_the_end(self):
        with open(os.path.join(TOP, "VERSION"), encoding="ascii") as f:
            version = f.read().strip()
        suite = Suite(log_level="INFO").start()
        self.addCleanup(suite.close)
        self.addCleanup(suite.stop)
        with open(suite.config, encoding="utf-8") as f:
            text = f.read()
        with open(suite.config, "w", encoding="utf-8") as f:
            f.write(text.replace("imap_port: 0", "imap_port: 1").replace("INFO", "DEBUG"))
        suite.child.send_signal(signal.SIGHUP)
        wait_for(lambda: "read again" in suite.log_text(), 20, "the log tells of the reload")
        with open(suite.config, "w", encoding="utf-8") as f:
            f.write("nonsense: 1\n" + text)
        suite.child.send_signal(signal.SIGHUP)
        wait_for(lambda: "has mistakes" in suite.log_text(), 20, "and of the one that failed")
        suite.stop()
        lines = suite.log_text().splitlines()
        for line in lines:
            self.assertRegex(line, LINE)
        own = [line.split("] ", 1)[1] for line in lines if f"rims-controller[{suite.child.pid}]" in line]
        port = suite.imap_port
        expected = [
            rf"rims {re.escape(version)} starts",
            rf"configuration {suite.config}: users: 1, mail in {suite.mail}, log {suite.mail}/imap.log "
            r"at level INFO",
            rf"listening on 127\.0\.0\.1:{port}, 127\.0\.0\.1:{suite.imaps_port}, "
            rf"{suite.run_dir}/deliver\.sock",
            r"(started without root: every process stays user \d+|privileges are given up)",
            rf"serving on 127\.0\.0\.1:{port}",
            rf"{suite.config}:3:1: imap_port was changed: that takes effect at the next start",
            r"the configuration was read again: users: 1, log level DEBUG",
            r'.*:1:1: unknown key "nonsense"',
            r"the configuration stays as it was: .* has mistakes",
            r"stopping \(SIGTERM\)",
            r"stopped",
        ]
        for line, pattern in zip(own, expected):
            self.assertRegex(line, "^" + pattern)
        self.assertEqual(len(own), len(expected), own)
        self.assertIn("rims-controller", lines[-1], "the end is the last line")

    def test_a_log_that_can_not_be_written_is_told_elsewhere(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        try:
            alone()
        except OSError as error:
            self.skipTest(str(error))
        suite = Suite(log_level="INFO", settings="log_file: ../log/imap.log\n")
        where = os.path.join(suite.directory, "log")
        os.mkdir(where)
        mount("none", where, "tmpfs", data="size=32k,mode=777")
        self.addCleanup(suite.close)
        self.addCleanup(umount, where)
        suite.start()
        self.addCleanup(suite.stop)
        filler = os.open(f"{where}/filler", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(filler, b"x" * 512)
        os.close(filler)
        said = "lines of the log are lost until it can be written"

        def heard():
            suite.deliver(b"A: b\n\n")  # a few lines each
            return said in suite.output_text()
        wait_for(heard, 60, "the controller passes it on")
        self.assertRegex(suite.output_text(), r"(?m)^rims-controller: ERROR rims-log \(process \d+\): "
                                              r".*No space left on device .*; lines of")
        for _ in range(5):
            suite.deliver(b"A: b\n\n")
        self.assertEqual(suite.output_text().count(said), 1, "told once")
        os.remove(f"{where}/filler")
        suite.deliver(b"A: b\n\n")
        wait_for(lambda: "the log is written again" in suite.output_text(), 20, "and its end, too")

    def test_an_error_of_any_process_is_told_elsewhere_too(self):
        with Suite(settings="log_stdout: QUIET\n") as suite:
            with open(os.path.join(suite.mail, "mailbox.3"), "w", encoding="ascii"):
                pass
            self.assertEqual(suite.deliver(b"A: b\n\n", check=False).returncode, 75)
            told = wait_for(lambda: re.findall(r"(?m)^rims-controller: ERROR rims-imapd.*",
                                               suite.output_text()), 20, "the error on stderr")
            self.assertIn('delivery to "foo" failed', told[0])


def filter_lines(text):
    """The addresses that the filter finds in a log, by fail2ban itself where it is installed."""
    program = shutil.which("fail2ban-regex")
    if program:
        with tempfile.NamedTemporaryFile("w", suffix=".log", encoding="utf-8") as f:
            f.write(text)
            f.flush()
            done = subprocess.run([program, "--out", "ip", f.name, FILTER], capture_output=True,
                                  text=True, timeout=60, check=True)
        return done.stdout.split()
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(FILTER)
    pattern = parser["Definition"]["failregex"]
    pattern = pattern.replace("<ADDR>", r"(?P<ip>[0-9.]+|[0-9a-f:]+)")
    pattern = re.compile(re.sub(r"</?F-USER>", "", pattern))
    stamp = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+[+-]\d\d:?\d\d")
    found = [pattern.search(stamp.sub("", line)) for line in text.splitlines() if stamp.match(line)]
    return [match["ip"] for match in found if match]


class Fail2ban(unittest.TestCase):
    HOSTILE = [b"foo", b'x" address=198.51.100.1 tls=no user="y', b"a" * 255, b"b" * 4000,
               b"x\\", b"login failed: method=LOGIN address=198.51.100.2 tls=no user=",
               "\u202eoof\u2066".encode(), b"\xff\xfe", "jos\u00e9".encode(), b'"', b"a\tb\rc"]

    def attempt(self, suite, name):
        with socket.create_connection(("127.0.0.1", suite.imap_port), timeout=20) as s:
            file = s.makefile("rwb")
            file.readline()
            file.write(b"a LOGIN {%d+}\r\n%s wrong\r\n" % (len(name), name))
            file.flush()
            while not (line := file.readline()).startswith(b"a "):
                self.assertTrue(line)
            return line

    def test_the_filter_finds_every_failure_and_nobody_else(self):
        settings = "auth: {delay_first: 1, delay_max: 1}\nlimits: {login_attempts: 100}\n"
        with Suite(settings=settings) as suite:
            for name in self.HOSTILE:
                self.assertIn(b"NO [AUTHENTICATIONFAILED]", self.attempt(suite, name), name)
            with suite.login("foo"):
                pass
            wait_for(lambda: "session of" in suite.log_text(), 20, "the login is logged")
            # What other programs log of a client is no failure of a login either.
            suite.deliver(b"A: b\n\n", sender="login failed: method=LOGIN address=198.51.100.3")
            wait_for(lambda: "198.51.100.3" in suite.log_text(), 20, "the delivery is logged")
            text = suite.log_text()
        failures = [line for line in text.splitlines() if "] login failed: " in line]
        self.assertEqual(len(failures), len(self.HOSTILE))
        for line in failures:
            self.assertRegex(line, r"^\S+ WARN  rims-auth\[\d+\] login failed: method=LOGIN "
                                   r'address=127\.0\.0\.1 tls=no user="(\\.|[^"\\])*"$')
            self.assertTrue(line.isprintable(), line)
        self.assertIn(r'user="\xe2\x80\xaeoof\xe2\x81\xa6"', text)
        self.assertRegex(text, r'user="a{190,200}\.\.\."')
        self.assertRegex(text, r'user="b{190,200}\.\.\."')
        self.assertEqual(filter_lines(text), ["127.0.0.1"] * len(self.HOSTILE))


if __name__ == "__main__":
    unittest.main()
