"""tests/system/two_suites_test.py - two configurations, one run directory: who means which suite

A command for one configuration must never act on the suite of another, and mail must never go there.
"""

import imaplib
import os
import shutil
import subprocess
import tempfile
import unittest

from tests.system.first_setup_test import fresh_directory, fresh_network
from tests.system.harness import NOBODY, Suite, stage_directory
from tests.system.system_users import SystemUsers


class OneRunDirectory(unittest.TestCase):
    def test_commands_for_another_configuration_leave_the_suite_alone(self):
        with Suite() as suite:
            other = os.path.join(suite.directory, "other.yml")
            os.mkdir(f"{suite.directory}/mail2")
            with open(suite.config, encoding="utf-8") as f:
                text = f.read()
            with open(other, "w", encoding="utf-8") as f:
                f.write(text.replace(f"base_dir: {suite.mail}\n", f"base_dir: {suite.directory}/mail2\n"))
            os.chmod(other, 0o600)
            if suite.drop:
                os.chown(other, NOBODY, NOBODY)
                os.chown(f"{suite.directory}/mail2", NOBODY, NOBODY)
            before = suite.pids()
            with suite.login() as imap:
                for words, status in ((["start"], 1), (["reload"], 6), (["restart"], 6), (["stop"], 1), (["status"], 1),
                                      (["check"], 6), (["who"], 1), (["kick", "foo"], 1),
                                      (["user", "list"], 1), (["user", "del", "--now", "foo"], 1),
                                      (["domain", "add", "example.org"], 1)):
                    done = suite.command("sbin/rims-ctl", "-c", other, *words)
                    self.assertEqual(done.returncode, status, (words, done))
                    self.assertIn(f"is a suite with the configuration {suite.config}, not {other}; both have the run "
                                  f"directory {suite.run_dir}: give one of them another paths.run_dir",
                                  done.stderr.decode(), words)
                done = suite.command("bin/rims-deliver", "-c", other, "-d", "foo", stdin=b"Subject: x\n\nx\n")
                self.assertEqual(done.returncode, 75, done)
                self.assertIn(f"runs with the configuration {suite.config}, not {other}", done.stderr.decode())
                self.assertEqual(imap.select("INBOX"), ("OK", [b"0"]))
            self.assertEqual(suite.pids(), before)
            # A link is another name for the same.
            link = os.path.join(suite.directory, "link.yml")
            os.symlink(suite.config, link)
            self.assertEqual(suite.command("sbin/rims-ctl", "-c", link, "status").returncode, 0)
            path = os.path.join(suite.run_dir, "configuration")
            with open(path, encoding="utf-8") as f:
                self.assertEqual(f.read(), suite.config + "\n")
        self.assertFalse(os.path.exists(path))


class RootsRunDirectory(unittest.TestCase):
    """/run/rims, which rims-deliver and rims-ctl know without being told."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.stage = stage_directory()
        self.directory = tempfile.mkdtemp(prefix="rims-two-")
        self.addCleanup(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o755)

    def write(self, name, text, owner=0, mode=0o644):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chown(path, owner, owner)
        os.chmod(path, mode)
        return path

    def deliver(self, config, user, status):
        clean = {k: v for k, v in os.environ.items() if k != "RIMS_CONFIG"}
        done = subprocess.run([f"{self.stage}/bin/rims-deliver", "-c", config, "-d", user], input=b"Subject: x\n\nx\n",
                              user=NOBODY, group=NOBODY, extra_groups=[], env=clean, capture_output=True, timeout=60,
                              cwd="/", check=False)
        self.assertEqual(done.returncode, status, (config, done.stderr))
        return done.stderr.decode()

    def ctl(self, *words, status=0, **who):
        done = subprocess.run([f"{self.stage}/sbin/rims-ctl", *words], capture_output=True, timeout=60, cwd="/",
                              check=False, **who)
        self.assertEqual(done.returncode, status, (words, done))
        return (done.stdout + done.stderr).decode()

    def test_mail_for_another_suite_does_not_go_to_root_s(self):
        with SystemUsers():
            fresh_network()
            fresh_directory("/run")
            settings = ("imap_host: 127.0.0.1\nimap_port: 0\nlisten: { deliver_socket_mode: 0666 }\n"
                        "process_privilege_user: nobody\nprocess_privilege_group: nogroup\n"
                        "user_list: [ { user: alice, pass: pw } ]\n")
            roots = self.write("roots.yml", f"base_dir: {self.directory}/mail\n" + settings)
            os.mkdir(f"{self.directory}/own", 0o755)
            os.chown(f"{self.directory}/own", NOBODY, NOBODY)
            own = self.write("own/config.yml", f"base_dir: {self.directory}/own/mail\n" + settings, NOBODY)
            other = self.write("other.yml", f"base_dir: {self.directory}/mail2\n" + settings)
            secret = self.write("secret.yml", f"base_dir: {self.directory}/mail2\n" + settings, mode=0o600)
            self.ctl("-c", roots, "start")
            try:
                self.deliver(roots, "alice", 0)
                # The suite of a user's file does not run; root's is none of its business.
                self.assertIn(f"{self.directory}/own/mail/run/deliver.sock", self.deliver(own, "alice", 75))
                for config in (other, secret):
                    self.assertIn(f"runs with the configuration {roots}, not {config}",
                                  self.deliver(config, "alice", 75))
                # Also who is not root sees root's suite where it is.
                shown = self.ctl("-c", roots, "status", user=NOBODY, group=NOBODY, extra_groups=[])
                self.assertIn("rims runs, with process", shown)
                with open("/run/rims/ports", encoding="ascii") as f:
                    port = int(f.read().split()[1])
                with imaplib.IMAP4("127.0.0.1", port, timeout=30) as imap:
                    imap.login("alice", "pw")
                    self.assertEqual(imap.select("INBOX"), ("OK", [b"1"]))
            finally:
                self.ctl("-c", roots, "stop")


if __name__ == "__main__":
    unittest.main()
