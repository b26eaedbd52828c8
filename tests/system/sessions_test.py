"""rims-ctl who and kick; a reload ends the sessions of users whom it changed"""

import contextlib
import imaplib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
import unittest

from tests.system.harness import NOBODY, Suite, wait_for

USERS = {"foo": "bar", "baz": "secret"}


def ctl(suite, *words, status=0):
    done = suite.command("sbin/rims-ctl", *words)
    text = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == status, f"{words}: status {done.returncode}, not {status}\n{text}"
    return text


def who(suite, *words):
    return json.loads(ctl(suite, "who", "--json", *words))["sessions"]


def ended(test, imap, why):
    """The session has got BYE, without asking."""
    with test.assertRaisesRegex(imaplib.IMAP4.abort, why):
        for _ in range(3):
            imap.noop()


class Sessions(unittest.TestCase):
    def test_who_and_kick(self):
        settings = "processes:\n  imapd_workers: 3\n  login_workers: 2\n"
        with Suite(users=USERS, settings=settings) as suite, contextlib.ExitStack() as stack:
            self.assertEqual(who(suite), [])
            foo = stack.enter_context(suite.login("foo"))
            tls = stack.enter_context(suite.login("foo", security="tls"))
            baz = stack.enter_context(suite.login("baz", security="starttls"))
            foo.select("INBOX")
            foo.xatom("ID", '("name" "Mail" "version" "1.2")')
            waiting = stack.enter_context(socket.create_connection(("127.0.0.1", suite.imap_port)))
            waiting.recv(1000)
            told = {s["session"]: s for s in who(suite)}
            self.assertEqual(len(told), 4)
            mine = next(s for s in told.values() if s["client"])
            self.assertEqual((mine["user"], mine["mailbox"], mine["client"], mine["tls"],
                              mine["address"]), ("foo", "INBOX", "Mail 1.2", False, "127.0.0.1"))
            self.assertRegex(mine["process"], r"^rims-imapd [0-2]$")
            self.assertRegex(mine["since"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertEqual([s["user"] for s in told.values()].count("foo"), 2)
            self.assertTrue(next(s for s in told.values() if s["user"] == "baz")["tls"])
            # In another spelling; and for people.
            self.assertEqual(len(who(suite, "FOO")), 2)
            table = ctl(suite, "who")
            self.assertRegex(table, r"(?m)^session +user +from +tls +since")
            self.assertRegex(table, r"(?m)^s\d+\.\d+ +\(before login\) +127\.0\.0\.1 +no ")

            self.assertEqual(ctl(suite, "kick", mine["session"]), "sessions ended: 1\n")
            ended(self, foo, "the administrator has ended this session")
            tls.noop()
            self.assertEqual(ctl(suite, "kick", "Foo", "baz"), "sessions ended: 2\n")
            ended(self, tls, "the administrator has ended this session")
            ended(self, baz, "the administrator has ended this session")
            early = next(s["session"] for s in told.values() if s["user"] is None)
            self.assertEqual(ctl(suite, "kick", early), "sessions ended: 1\n")
            self.assertEqual(waiting.recv(1000),
                             b"* BYE the administrator has ended this connection\r\n")
            self.assertIn('"foo" has no session', ctl(suite, "kick", "foo", status=1))
            self.assertIn("need USER or SESSION", ctl(suite, "kick", status=2))
            # Nobody is kept out.
            with suite.login("foo") as again:
                again.noop()
            door = os.stat(os.path.join(suite.run_dir, "admin.sock"))
            self.assertEqual(stat.S_IMODE(door.st_mode), 0o600)
        self.assertFalse(os.path.exists(os.path.join(suite.run_dir, "admin.sock")))

    def test_a_client_that_does_not_read_is_cut(self):
        with Suite() as suite, suite.login("foo") as imap:
            body = b"Subject: large\r\n\r\n" + b"x" * 70 * 100_000
            imap.append("INBOX", None, None, body)
            imap.select("INBOX")
            imap.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            imap.send(b"a FETCH 1 BODY[]\r\n" * 5)
            wait_for(lambda: "FETCH" in suite.log_text(), 10, "the command is in work")
            self.assertEqual(ctl(suite, "kick", "foo"), "sessions ended: 1\n")
            self.assertEqual(who(suite), [])
            self.assertIn("did not end in 10 s and is cut", suite.log_text())
            wait_for(lambda: re.search(r'session of "foo" ended after \d+ commands, it was cut',
                                       suite.log_text()), 10, "the end of the session is in the log")
            imap.shutdown()

    def test_it_does_not_run(self):
        suite = Suite()
        self.addCleanup(suite.close)
        self.assertIn("rims does not run", ctl(suite, "who", status=3))
        self.assertIn("rims does not run", ctl(suite, "kick", "foo", status=3))

    def test_a_process_that_is_stopped_is_named(self):
        with Suite(settings="processes:\n  imapd_workers: 2\n") as suite, suite.login("foo"):
            worker = suite.pids("imapd")[0]
            os.kill(worker, signal.SIGSTOP)
            try:
                told = ctl(suite, "who", status=1)
            finally:
                os.kill(worker, signal.SIGCONT)
            self.assertRegex(told, rf"rims-imapd [01] does not answer: process {worker} is stopped by a signal")

    def test_a_stopped_rims_auth_is_not_one_that_has_ended(self):
        with Suite() as suite:
            auth = suite.pids("auth")[0]
            os.kill(auth, signal.SIGSTOP)
            try:
                told = suite.command("sbin/rims-ctl", "user", "list", limit=90)
            finally:
                os.kill(auth, signal.SIGCONT)
            self.assertIn("rims-auth does not answer", told.stderr.decode())
            self.assertEqual(told.returncode, 1)

    def test_a_kick_beside_a_process_that_is_stopped_takes_seconds_and_names_it(self):
        users = {f"user{n}": "x" for n in range(8)}
        with Suite(users=users, settings="processes:\n  imapd_workers: 2\n") as suite, \
                contextlib.ExitStack() as stack:
            for user in users:
                stack.enter_context(suite.login(user))
            at = {s["user"]: s["process"] for s in who(suite)}
            self.assertEqual(len(set(at.values())), 2, at)
            worker = suite.pids("imapd")[0]
            os.kill(worker, signal.SIGSTOP)
            try:
                began = time.monotonic()
                silent = re.search(r"(rims-imapd \d) does not answer", ctl(suite, "who", status=1))[1]
                held = next(user for user in users if at[user] == silent)
                free = next(user for user in users if at[user] != silent)
                told = ctl(suite, "kick", held, status=1)
                self.assertIn(f'"{held}" has no session in the processes that answer', told)
                self.assertIn(f"{silent} does not answer: process {worker} is stopped by a signal", told)
                told = ctl(suite, "kick", free, status=1)
                self.assertIn("sessions ended: 1\n", told)
                self.assertEqual(told.count(f"{silent} does not answer"), 1, told)
                # Three commands.
                self.assertLess(time.monotonic() - began, 27)
            finally:
                os.kill(worker, signal.SIGCONT)
            self.assertEqual(ctl(suite, "kick", held), "sessions ended: 1\n")
            wait_for(lambda: suite.log_text().count("ended after 0 commands") == 2, 10,
                     "both ends are in the log")

    def test_since_stays_what_it_was(self):
        with Suite() as suite, suite.login("foo"):
            first = who(suite)[0]
            end = time.monotonic() + 2.5
            seen = set()
            while time.monotonic() < end:
                seen.add(who(suite)[0]["since"])
            self.assertEqual(seen, {first["since"]})
            self.assertGreaterEqual(who(suite)[0]["seconds"], first["seconds"] + 2)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_only_root_and_the_user_of_the_suite_may_ask(self):
        with Suite() as suite:
            os.chmod(suite.directory, 0o755)
            os.chmod(suite.config, 0o644)
            done = subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, "who"],
                                  capture_output=True, timeout=60, cwd="/", check=False,
                                  user=1, group=1, extra_groups=[])
            self.assertEqual((done.returncode, b"permission denied" in done.stderr), (4, True),
                             done)
            # Not even where the file is open to all.
            door = os.path.join(suite.run_dir, "admin.sock")
            os.chmod(door, 0o666)
            done = subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, "who"],
                                  capture_output=True, timeout=60, cwd="/", check=False,
                                  user=1, group=1, extra_groups=[])
            self.assertEqual(done.returncode, 4, done)
            self.assertIn("admin.sock: user 1 is refused", suite.output_text())
            done = subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, "who"],
                                  capture_output=True, timeout=60, cwd="/", check=False)
            self.assertEqual(done.returncode, 0, done)
            self.assertEqual(os.stat(door).st_uid, NOBODY)


class Reloads(unittest.TestCase):
    def change(self, suite, *changes):
        with open(suite.config, encoding="utf-8") as f:
            text = f.read()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        with open(suite.config, "w", encoding="utf-8") as f:
            f.write(text)
        return ctl(suite, "reload")

    def test_a_reload_returns_when_it_is_in_force(self):
        settings = "processes:\n  imapd_workers: 3\n  login_workers: 3\n"
        with Suite(settings=settings) as suite:
            for n in range(15):
                old, new = (f"new{n - 1}" if n else "bar"), f"new{n}"
                told = self.change(suite, (f'pass: "{old}"', f'pass: "{new}"'))
                self.assertEqual(told, "the new configuration is in force\n")
                with suite.login("foo", new) as imap:
                    imap.noop()

    def test_a_reload_names_what_needs_a_restart(self):
        with Suite() as suite:
            told = self.change(suite, ("imap_host: 127.0.0.1", "imap_host: 127.0.0.2"),
                               ("hostname: localhost", "hostname: other"))
            self.assertRegex(told, rf"rims-ctl: {re.escape(suite.config)}:\d+:\d+: imap_host was changed: "
                                   "that takes effect at the next start\n")
            self.assertIn("the new configuration is in force\n", told)
            self.assertNotIn("hostname", told.replace(suite.config, ""))

    def test_a_reload_waits_for_no_process_that_is_stopped_for_long(self):
        with Suite(settings="processes:\n  imapd_workers: 2\n") as suite:
            worker = suite.pids("imapd")[0]
            os.kill(worker, signal.SIGSTOP)
            try:
                with open(suite.config, "a", encoding="utf-8") as f:
                    f.write("limits:\n  keywords: 70\n")
                began = time.monotonic()
                told = ctl(suite, "reload", status=1)
                self.assertLess(time.monotonic() - began, 20)
                self.assertRegex(told, rf"rims-imapd \d \(process {worker}\) has not taken the new "
                                       "configuration within 10 s")
                self.assertNotIn("is in force\n", told)
            finally:
                os.kill(worker, signal.SIGCONT)
            self.assertEqual(ctl(suite, "reload"), "the new configuration is in force\n")

    def test_a_changed_password_and_a_removed_user_end_their_sessions(self):
        with Suite(users={**USERS, "stays": "here"}) as suite, contextlib.ExitStack() as stack:
            foo, baz, stays = (stack.enter_context(suite.login(u)) for u in ("foo", "baz", "stays"))
            self.change(suite, ('pass: "bar"', 'pass: "new"'),
                        ('  - {user: "baz", pass: "secret"}\n', ""))
            wait_for(lambda: {s["user"] for s in who(suite)} == {"stays"}, 20, "they have ended")
            ended(self, foo, "the password was changed; log in again")
            ended(self, baz, "this user was removed")
            self.assertEqual(stays.noop()[0], "OK")
            lines = re.findall(r"the session of .* is ended: .*", suite.log_text())
            self.assertEqual(sorted(lines), [
                'the session of "baz" is ended: its user was removed',
                'the session of "foo" is ended: the password of its user was changed'])
            with suite.login("foo", "new") as again:
                again.noop()

    def test_unless_they_are_to_go_on(self):
        with Suite(settings="auth:\n  end_sessions_on_change: false\n") as suite:
            with suite.login("foo") as imap:
                self.change(suite, ('pass: "bar"', 'pass: "new"'))
                wait_for(lambda: "the configuration was read again" in suite.output_text(), 20,
                         "it is reloaded")

                def new_password():
                    with contextlib.suppress(imaplib.IMAP4.error), suite.login("foo", "new"):
                        return True
                    return False
                wait_for(new_password, 20, "rims-auth has it, too")
                self.assertEqual(imap.noop()[0], "OK")


if __name__ == "__main__":
    unittest.main()
