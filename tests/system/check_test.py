"""rims-ctl check finds what a start would find, and a start says it as well, before anything else"""
# time limit: 300 s

import imaplib
import os
import signal
import socket
import subprocess
import unittest

from tests.system.harness import NOBODY, Suite, stage_directory, wait_for
from tests.system.mounts import bind, mount, umount
from tests.system.system_users import SystemUsers

READ_ONLY, REMOUNT, BIND = 1, 32, 4096


class Check(unittest.TestCase):
    def setUp(self):
        self.suite = Suite()
        self.addCleanup(self.suite.close)

    def check(self, status=6, suite=None):
        done = (suite or self.suite).command("sbin/rims-ctl", "check")
        self.assertEqual(done.returncode, status, done.stderr.decode())
        return done.stderr.decode()

    def refused(self, expected):
        """Both say it, in the same words."""
        self.assertIn(expected, self.check())
        with self.assertRaises(AssertionError) as failed:
            self.suite.start()
        self.assertIn(expected, str(failed.exception))

    def edit(self, old, new):
        with open(self.suite.config, encoding="utf-8") as f:
            text = f.read()
        self.assertIn(old, text)
        with open(self.suite.config, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))

    def weak_certificate(self):
        where = self.suite.directory
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", f"{where}/key.pem", "-out",
                        f"{where}/cert.pem"], check=True, capture_output=True, timeout=60)
        os.chmod(f"{where}/key.pem", 0o600)
        if self.suite.drop:
            os.chown(f"{where}/key.pem", NOBODY, NOBODY)

    def test_a_certificate_that_only_tls_refuses(self):
        self.weak_certificate()
        self.refused("cannot be used for TLS: the certificate: ee key too small")

    def test_a_reload_with_such_a_certificate_changes_nothing(self):
        with self.suite as suite:
            context = suite.tls_context()
            self.weak_certificate()
            done = suite.command("sbin/rims-ctl", "reload")
            self.assertEqual(done.returncode, 6)
            self.assertIn(b"ee key too small", done.stderr)
            suite.child.send_signal(signal.SIGHUP)
            wait_for(lambda: "the configuration stays as it was" in suite.log_text(), 20,
                     "the reload is refused")
            with imaplib.IMAP4_SSL("127.0.0.1", suite.imaps_port, timeout=30,
                                   ssl_context=context) as imap:
                imap.login("foo", "bar")

    def test_a_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.edit("imap_port: 0", f"imap_port: {port}")
            self.refused(f"imap_port: cannot listen on 127.0.0.1:{port}: bind: Address already in use")

    def test_its_own_ports_and_sockets_are_no_mistake(self):
        with self.suite as suite:
            self.edit("imap_port: 0", f"imap_port: {suite.imap_port}")
            self.edit("imaps_port: 0", f"imaps_port: {suite.imaps_port}")
            self.check(status=0)
            self.assertEqual(suite.command("sbin/rims-ctl", "reload").returncode, 0)

    def test_what_a_start_makes_is_no_mistake(self):
        os.rmdir(self.suite.mail)
        os.rmdir(self.suite.run_dir)
        self.edit(f"  run_dir: {self.suite.run_dir}", "  run_dir: run")
        self.check(status=0)
        self.assertEqual(self.suite.command("sbin/rims-ctl", "start").returncode, 0)
        self.assertEqual(self.suite.command("sbin/rims-ctl", "stop").returncode, 0)

    def test_directories_that_can_not_be_written(self):
        if os.geteuid() != 0:
            self.skipTest("root owns what another may not write")
        os.chown(self.suite.mail, 0, 0)
        self.refused(f"base_dir: cannot write {self.suite.mail}: Permission denied")
        os.chown(self.suite.mail, NOBODY, NOBODY)
        os.chown(self.suite.run_dir, 0, 0)
        self.refused(f"paths.run_dir: cannot write {self.suite.run_dir}: Permission denied")
        os.chown(self.suite.run_dir, NOBODY, NOBODY)
        log = os.path.join(self.suite.mail, "imap.log")
        with open(log, "w", encoding="ascii"):
            os.chmod(log, 0o600)
        self.refused(f"log_file: cannot write {self.suite.mail} or imap.log in it: Permission denied")

    def test_a_directory_that_can_not_be_made(self):
        self.edit(f"base_dir: {self.suite.mail}", "base_dir: /no/such/place")
        self.refused("base_dir: cannot make /no/such/place: No such file or directory; make the "
                     "directory above it")

    def test_users_that_are_missing(self):
        with SystemUsers(present=False):
            suite = Suite(privileged=True)
            self.addCleanup(suite.close)
            self.assertIn("these users are missing: ", self.check(suite=suite))

    def test_a_file_system_that_the_unit_may_not_write(self):
        """ProtectSystem=strict makes what is outside of ReadWritePaths read-only, also for root."""
        with SystemUsers() as ids:
            suite = Suite(privileged=True, tls=False, settings=(
                "process_privilege_user: _rims\nprocess_privilege_group: _rims\n"))
            self.addCleanup(suite.close)
            os.chown(suite.mail, ids["_rims"], ids["_rims"])
            for there in (True, False):
                with self.subTest(there=there):
                    self.look_at_read_only(suite, there)
                if there:
                    os.rmdir(suite.mail)

    def look_at_read_only(self, suite, there):
        expected = (
            f"base_dir: cannot {'write' if there else 'make'} {suite.mail}: Read-only file system; "
            f"for a unit of systemd, {'' if there else 'make the directory and '}let it write there: "
            "make /etc/systemd/system/rims.service.d/base_dir.conf with the lines \"[Service]\" and "
            f"\"ReadWritePaths={suite.mail}\", and run \"systemctl daemon-reload\"")
        bind(suite.directory, suite.directory)
        try:
            mount("none", suite.directory, flags=BIND | REMOUNT | READ_ONLY)
            self.assertIn(expected, self.check(suite=suite))
            done = subprocess.run(
                [f"{stage_directory()}/libexec/rims/rims-controller", "-c", suite.config],
                capture_output=True, timeout=60, check=False, cwd="/")
            self.assertEqual(done.returncode, 69, done.stderr)
            self.assertIn("FATAL " + suite.config, done.stderr.decode())
            self.assertIn(expected, done.stderr.decode())
        finally:
            umount(suite.directory)


if __name__ == "__main__":
    unittest.main()
