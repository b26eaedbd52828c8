"""The first set-up as rims-ctl(8) tells it: users, directories, configuration, port 143

The example is taken from the manual page itself. It is followed on a machine of its own, as far as
name spaces go: fresh /run, /var/lib and /var/log, a network with nothing but loopback.
"""

import ctypes
import fcntl
import grp
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from tests.system.harness import NOBODY, TOP, stage_directory
from tests.system.mounts import bind, mount
from tests.system.system_users import SystemUsers

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def fresh_network():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise unittest.SkipTest("needs a network name space")
    with socket.socket() as s:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(s, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def fresh_directory(path):
    try:
        mount("none", path, "tmpfs", data="mode=755")
    except OSError as error:
        raise unittest.SkipTest(str(error)) from None


def without_services():
    """A system without the package netbase: the names of mail ports are known all the same."""
    if os.path.exists("/etc/services"):
        bind("/dev/null", "/etc/services")


def example():
    """The configuration of the manual page."""
    with open(os.path.join(TOP, "man", "rims-ctl.8"), encoding="utf-8") as f:
        blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", f.read(), flags=re.M | re.S)
    return next(block for block in blocks if block.startswith("base_dir:"))


class FirstSetup(unittest.TestCase):
    def run_as_root(self, *words, status=0, **more):
        done = subprocess.run(words, capture_output=True, timeout=60, cwd="/", check=False, **more)
        self.assertEqual(done.returncode, status, done)
        return done.stdout

    def imap(self, family, address, *commands):
        with socket.create_connection((address, 143), timeout=20) as s:
            file = s.makefile("rwb")
            self.assertTrue(file.readline().startswith(b"* OK"), family)
            answers = []
            for number, command in enumerate(commands):
                file.write(f"{number} {command}\r\n".encode())
                file.flush()
                while not (line := file.readline()).startswith(f"{number} ".encode()):
                    self.assertTrue(line, "the connection ended")
                    answers.append(line)
                self.assertIn(b" OK", line, command)
            return b"".join(answers)

    def test_as_the_manual_page_says(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        stage = stage_directory()
        with SystemUsers() as ids:
            fresh_network()
            without_services()
            for path in ("/run", "/var/lib", "/var/log"):
                fresh_directory(path)
            # As systemd-tmpfiles would; service_test tries the file itself.
            for path, user in (("/run/rims", None), ("/var/lib/rims", "_rims"),
                               ("/var/log/rims", "_rimslog")):
                os.mkdir(path, 0o755)
                if user:
                    os.chown(path, ids[user], ids[user])
            os.chown("/var/log/rims", ids["_rimslog"], grp.getgrnam("adm").gr_gid)
            os.chmod("/var/log/rims", 0o2750)
            hashed = self.run_as_root(f"{stage}/bin/rims", "pass-hash",
                                      input=b"bar\nbar\n").decode().split()[-1]
            text = example().replace("what rims pass-hash prints", hashed)
            self.assertIn("argon2id", text)
            directory = tempfile.mkdtemp(prefix="rims-first-")
            self.addCleanup(shutil.rmtree, directory)
            config = os.path.join(directory, "config.yml")
            with open(config, "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(config, 0o600)
            environment = {**os.environ, "RIMS_CONFIG": config}

            def ctl(*words, status=0):
                return self.run_as_root(f"{stage}/sbin/rims-ctl", *words, status=status,
                                        env=environment)
            ctl("check")
            ctl("start")
            try:
                self.assertIn(b"rims-imapd", ctl("status"))
                # The MTA's pipe: a user of the group, who may not read the configuration.
                message = b"Subject: first\r\n\r\nhello\r\n"
                clean = {k: v for k, v in os.environ.items() if k != "RIMS_CONFIG"}
                self.run_as_root(f"{stage}/bin/rims-deliver", "-S", "/run/rims/deliver.sock", "-d",
                                 "foo", "-f", "a@example.org", input=message, env=clean,
                                 user=NOBODY, group=ids["rimspost"], extra_groups=[])
                for family, address in (("IPv4", "127.0.0.1"), ("IPv6", "::1")):
                    if family == "IPv6" and not os.path.exists("/proc/net/if_inet6"):
                        continue
                    told = self.imap(family, address, "LOGIN foo bar", "SELECT INBOX",
                                     "FETCH 1 BODY.PEEK[]", "LOGOUT")
                    self.assertIn(b"hello", told)
                ctl("reload")
                ctl("restart")
                self.assertIn(b"hello", self.imap("again", "127.0.0.1", "LOGIN foo bar",
                                                  "SELECT INBOX", "FETCH 1 BODY.PEEK[]"))
            finally:
                began = time.monotonic()
                ctl("stop")
            self.assertLess(time.monotonic() - began, 10)
            ctl("status", status=3)
            self.assertEqual(os.listdir("/run/rims"), ["empty"])
            log = os.stat("/var/log/rims/imap.log")
            self.assertEqual((log.st_uid, log.st_gid, log.st_mode & 0o777),
                             (ids["_rimslog"], grp.getgrnam("adm").gr_gid, 0o640))


if __name__ == "__main__":
    unittest.main()
