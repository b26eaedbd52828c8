"""rims-ctl user and domain: users that come and go while the suite runs, and what a kill leaves of them"""

import concurrent.futures
import contextlib
import imaplib
import json
import os
import subprocess
import time
import unittest

from tests.system.harness import NOBODY, Suite, wait_for
from tests.system.system_users import SystemUsers


def ctl(suite, *words, stdin=b"", status=0):
    done = suite.command("sbin/rims-ctl", *words, stdin=stdin)
    text = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == status, f"{words}: status {done.returncode}, not {status}\n{text}"
    return text


def add(suite, user, password, *words, status=0):
    return ctl(suite, "user", "add", *words, user, stdin=password.encode() + b"\n", status=status)


@contextlib.contextmanager
def login(suite, user, password):
    imap = imaplib.IMAP4("127.0.0.1", suite.imap_port, timeout=20)
    try:
        imap.login(user, password)
        yield imap
    finally:
        imap.shutdown()


def ended(test, imap, why):
    """The session has got BYE, without asking."""
    with test.assertRaisesRegex(imaplib.IMAP4.abort, why):
        for _ in range(3):
            imap.noop()


def gets_in(suite, user, password):
    try:
        with login(suite, user, password):
            return True
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error) or "UNAVAILABLE" in str(error), error
        assert "UNAVAILABLE" not in str(error), error
        return False


def messages(suite, user, password):
    with login(suite, user, password) as imap:
        return int(imap.select("INBOX", readonly=True)[1][0])


# Wrong passwords are tried on purpose.
FAST = "auth: {delay_first: 1, delay_max: 1}\n"
MAIL = b"Subject: hello\n\nhello\n"


class Users(unittest.TestCase):
    def test_a_user_comes_and_goes_without_a_reload(self):
        with Suite(settings=FAST) as suite:
            self.assertFalse(gets_in(suite, "alice", "secret"))
            self.assertEqual(suite.deliver(MAIL, user="alice", check=False).returncode, 67)
            add(suite, "Alice", "secret", "--address=info@example.org")
            self.assertIn("there is a user", add(suite, "alice", "x", status=1))
            self.assertIn("stands in the configuration", add(suite, "FOO", "x", status=1))
            for recipient in ("alice", "INFO@example.org", "info+lists@example.org"):
                suite.deliver(MAIL, user=recipient)
            self.assertEqual(messages(suite, "alice", "secret"), 3)

            # A password is never an argument, and what is stored of it is no password.
            with login(suite, "alice", "secret") as imap:
                ctl(suite, "user", "passwd", "alice", stdin=b"other\n")
                ended(self, imap, "the password was changed")
            self.assertFalse(gets_in(suite, "alice", "secret"))
            with login(suite, "alice", "other") as imap:
                ctl(suite, "user", "disable", "alice")
                ended(self, imap, "this user was disabled")
            self.assertFalse(gets_in(suite, "alice", "other"))
            suite.deliver(MAIL, user="alice")
            ctl(suite, "user", "enable", "alice")
            self.assertEqual(messages(suite, "alice", "other"), 4)

            with login(suite, "alice", "other") as imap:
                ctl(suite, "user", "del", "alice")
                ended(self, imap, "this user was removed")
            self.assertFalse(gets_in(suite, "alice", "other"))
            self.assertEqual(suite.deliver(MAIL, user="alice", check=False).returncode, 67)
            self.assertIn("can be restored", add(suite, "alice", "x", status=1))
            ctl(suite, "user", "restore", "alice")
            self.assertEqual(messages(suite, "alice", "other"), 4)
            ctl(suite, "user", "del", "--now", "alice")
            self.assertIn("there is no user", ctl(suite, "user", "restore", "alice", status=1))
            # Who has the name gets the mail, which the administrator is told.
            self.assertIn("there is mail of an earlier user \"Alice\"", add(suite, "Alice", "third"))
            self.assertEqual(messages(suite, "alice", "third"), 4)
            self.assertIn("can not be renamed", ctl(suite, "user", "rename", "a", "b", status=1))
            self.assertNotIn("secret", suite.log_text())
            self.assertNotIn("$argon2id", suite.log_text())

    def test_tools_for_accounts_know_users_of_the_directory(self):
        with Suite(settings=FAST) as suite:
            box = os.path.join(suite.directory, "box")
            with open(box, "w", encoding="ascii") as f:
                f.write("From a@b Sat Jan  3 01:05:34 2026\nSubject: x\n\nx\n\n")
            words = ("import", "--from", "mbox", "Alice", box)
            self.assertIn("no suite that runs has this user", ctl(suite, *words, status=1))
            self.assertNotIn("note", add(suite, "alice", "secret"))
            ctl(suite, *words)
            self.assertEqual(messages(suite, "alice", "secret"), 1)
            self.assertNotIn("not in the configuration", ctl(suite, "account", "list"))
            accounts = json.loads(ctl(suite, "account", "list", "--json"))["accounts"]
            self.assertEqual([(a["user"], a["configured"], a["in_directory"]) for a in accounts],
                             [("alice", False, True)])
            backup = os.path.join(suite.directory, "backup")
            ctl(suite, "backup", "alice", backup)
            add(suite, "bob", "secret")
            ctl(suite, "restore", "--mailbox", "INBOX", "--of", "alice", "bob", "--from", backup)
            self.assertEqual(messages(suite, "bob", "secret"), 1)
            add(suite, "carl", "x")
            self.assertNotIn("user_list", ctl(suite, "account", "rename", "bob", "carl"))

    def test_what_is_there_is_there_after_a_restart(self):
        with Suite(settings=FAST) as suite:
            add(suite, "alice", "secret", "--storage=1M", "--messages=none")
            ctl(suite, "user", "address", "add", "alice", "a@example.org")
            ctl(suite, "user", "address", "add", "alice", "b@example.org")
            ctl(suite, "user", "address", "del", "alice", "A@example.org")
            before = json.loads(ctl(suite, "user", "show", "--json", "alice"))
            suite.stop()
            self.assertIn("rims does not run", ctl(suite, "user", "list", status=3))
            suite.start()
            self.assertEqual(json.loads(ctl(suite, "user", "show", "--json", "alice")), before)
            self.assertEqual(before["addresses"], ["b@example.org"])
            self.assertEqual((before["quota_storage"], before["quota_messages"]), (1 << 20, 0))
            told = json.loads(ctl(suite, "user", "list", "--json"))["users"]
            self.assertEqual([(u["user"], u["state"]) for u in told],
                             [("foo", "configuration"), ("alice", "active")])
            self.assertIn("active         alice b@example.org", ctl(suite, "user", "list"))
            self.assertTrue(gets_in(suite, "alice", "secret"))
            directory = os.path.join(suite.mail, "users")
            self.assertEqual(os.stat(directory).st_mode & 0o022, 0)
            for where, _, files in os.walk(directory):
                for name in files:
                    self.assertEqual(os.stat(os.path.join(where, name)).st_mode & 0o077, 0)
            self.assertNotIn("damaged", suite.log_text())

    def test_a_quota_of_a_user_holds_at_once_and_in_a_new_worker(self):
        with Suite(settings=FAST + "quota:\n  messages: 3\n  delivery: reject\n") as suite:
            add(suite, "alice", "secret", "--messages=1")

            def over():
                return suite.deliver(MAIL, user="alice", check=False).returncode != 0
            self.assertFalse(over())
            self.assertTrue(over())
            ctl(suite, "user", "quota", "--messages=2", "alice")
            self.assertFalse(over())
            self.assertTrue(over())
            pid = suite.kill("imapd")
            wait_for(lambda: suite.pids("imapd") and pid not in suite.pids("imapd"), 20, "a new one")
            self.assertTrue(over())
            with login(suite, "alice", "secret") as imap:
                self.assertIn("MESSAGE 2 2", str(imap.getquotaroot("INBOX")))
            ctl(suite, "user", "quota", "--messages=default", "alice")
            self.assertFalse(over())
            self.assertTrue(over())
            ctl(suite, "user", "quota", "--messages=none", "alice")
            self.assertFalse(over())

    def test_domains(self):
        with Suite(settings=FAST) as suite:
            add(suite, "alice", "secret", "--address=\u00e4gid@example.org")
            ctl(suite, "domain", "add", "Example.org")
            ctl(suite, "domain", "alias", "b\u00fccher.example", "example.org")
            suite.deliver(MAIL, user="\u00c4gid+x@xn--bcher-kva.example")
            self.assertEqual(suite.deliver(MAIL, user="none@example.org", check=False).returncode, 67)
            ctl(suite, "domain", "catch-all", "example.org", "alice")
            suite.deliver(MAIL, user="none@b\u00fccher.example")
            self.assertEqual(messages(suite, "alice", "secret"), 2)
            self.assertEqual(json.loads(ctl(suite, "domain", "list", "--json"))["domains"],
                             [{"domain": "example.org", "alias_of": None, "catch_all": "alice"},
                              {"domain": "xn--bcher-kva.example", "alias_of": "example.org",
                               "catch_all": None}])
            ctl(suite, "domain", "catch-all", "--nobody", "example.org")
            self.assertEqual(suite.deliver(MAIL, user="none@example.org", check=False).returncode, 67)
            self.assertIn("remove that first", ctl(suite, "domain", "del", "example.org", status=1))
            ctl(suite, "domain", "del", "b\u00fccher.example")
            ctl(suite, "domain", "del", "example.org")
            self.assertIn("need list, add DOMAIN", ctl(suite, "domain", "alias", "x", status=2))

    def test_export_and_import(self):
        with Suite(settings=FAST) as suite:
            add(suite, "alice", "secret", "--address=a@example.org", "--storage=5K", "--disabled")
            add(suite, "bob", "secret")
            self.assertNotIn("hash", ctl(suite, "user", "export"))
            lines = ctl(suite, "user", "export", "--with-hashes")
            for user in ("alice", "bob"):
                ctl(suite, "user", "del", "--now", user)
            wrong = lines + "{}\n"
            self.assertIn("line 3: user: expected a name; nothing was imported",
                          ctl(suite, "user", "import", stdin=wrong.encode(), status=1))
            for more, why in (('"pasword": "p"', 'unknown key "pasword"; expected user, hash, '),
                              ('"quota_storage": "5G"', "quota_storage: expected a number, or null"),
                              ('"quota_messages": -1', "quota_messages: expected a number, or null"),
                              ('"addresses": "x@y.example"', "addresses: expected a list"),
                              ('"disabled": "true"', "disabled: expected true or false"),
                              ('"hash": 5', "hash: expected a text")):
                wrong = lines + '{"user": "carl", ' + more + "}\n"
                self.assertIn(f"line 3: {why}", ctl(suite, "user", "import", stdin=wrong.encode(), status=1))
            self.assertEqual(ctl(suite, "user", "import", stdin=lines.encode()), "users added: 2\n")
            self.assertEqual(ctl(suite, "user", "export", "--with-hashes"), lines)
            self.assertTrue(gets_in(suite, "bob", "secret"))
            # Who was removed does not come back by the way.
            ctl(suite, "user", "del", "bob")
            gone = ctl(suite, "user", "export", "--with-hashes")
            ctl(suite, "user", "del", "--now", "bob")
            self.assertIn("users left out, as they are removed: 1\n",
                          ctl(suite, "user", "import", stdin=gone.encode(), status=1))
            self.assertFalse(gets_in(suite, "bob", "secret"))
            text = ctl(suite, "user", "import", stdin=lines.encode(), status=1)
            self.assertIn("users added: 1", text)
            self.assertIn('"alice": there is a user "alice"', text)

    def test_only_root_and_the_user_of_the_suite_may_ask(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        settings = (FAST + "log_file: ../log/imap.log\nprocess_privilege_user: _rims\n"
                           "process_privilege_group: _rims\n")
        with SystemUsers() as ids, contextlib.ExitStack() as stack:
            suite = Suite(privileged=True, settings=settings)
            os.chown(suite.mail, ids["_rims"], ids["_rims"])
            stack.enter_context(suite)
            add(suite, "alice", "secret")
            self.assertTrue(gets_in(suite, "alice", "secret"))
            # The door is closed by its mode, and the directory belongs to rims-auth alone.
            os.chmod(suite.config, 0o644)
            done = subprocess.run(
                [os.path.join(suite.stage, "sbin/rims-ctl"), "-c", suite.config, "user", "list"],
                capture_output=True, timeout=30, check=False, cwd="/", user=NOBODY, group=NOBODY,
                extra_groups=[])
            self.assertNotEqual(done.returncode, 0)
            self.assertNotIn(b"alice", done.stdout)
            status = os.stat(os.path.join(suite.mail, "users"))
            self.assertEqual(status.st_uid, ids["_rimsauth"])
            self.assertEqual(status.st_mode & 0o022, 0)

    def test_no_change_that_was_answered_is_lost_by_a_kill(self):
        """rims-auth is killed again and again while users are added; each that was answered is there."""
        with Suite(settings=FAST) as suite:
            answered, refused = [], []
            end = time.monotonic() + 20

            def work(who):
                number = 0
                while time.monotonic() < end:
                    number += 1
                    name = f"u{who}x{number}"
                    done = suite.command("sbin/rims-ctl", "user", "add", "--no-password", name)
                    (answered if done.returncode == 0 else refused).append(name)
            kills = 0
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                work_done = [pool.submit(work, i) for i in range(3)]
                while not all(w.done() for w in work_done):
                    time.sleep(0.7)
                    with contextlib.suppress(IndexError, ProcessLookupError):
                        suite.kill("auth")
                        kills += 1
            for one in work_done:
                one.result()
            self.assertGreater(kills, 5)
            self.assertGreater(len(answered), 20)

            def told():
                done = suite.command("sbin/rims-ctl", "user", "list", "--json")
                return done.returncode == 0 and {u["user"] for u in json.loads(done.stdout)["users"]}
            users = wait_for(told, 60, "rims-auth is back", step=0.5)
            self.assertEqual(set(answered) - users, set())
            self.assertEqual(users - set(answered) - set(refused), {"foo"})
            suite.kill_all()
            suite.start()
            self.assertEqual(wait_for(told, 20, "it answers"), users)

    def test_damage_to_one_user_locks_out_nobody_else(self):
        with Suite(settings=FAST) as suite:
            for user in ("alice", "bobby", "carol"):
                add(suite, user, "secret")
            suite.stop()
            segment = os.path.join(suite.mail, "users/journal/00000001")
            with open(segment, "r+b") as f:
                where = f.read().index(b"bobby")
                f.seek(where)
                f.write(b"BO")
            suite.start()
            self.assertTrue(gets_in(suite, "alice", "secret"))
            self.assertTrue(gets_in(suite, "carol", "secret"))
            self.assertTrue(gets_in(suite, "foo", "bar"))
            self.assertFalse(gets_in(suite, "bobby", "secret"))
            self.assertRegex(suite.log_text(), r"ERROR rims-auth\[\d+\] damaged: .*/users/journal/00000001 "
                                               r"at offset \d+, ")
            self.assertIn("somebody may be enabled or have an earlier password again", suite.log_text())
            add(suite, "bobby", "again")
            self.assertTrue(gets_in(suite, "bobby", "again"))

    def test_a_directory_alone_is_enough(self):
        suite = Suite(settings="auth: {delay_first: 1, delay_max: 1, user_directory: people}\n")
        with open(suite.config, encoding="utf-8") as f:
            text = f.read()
        with open(suite.config, "w", encoding="utf-8") as f:
            f.write(text.replace('user_list:\n  - {user: "foo", pass: "bar"}\n', ""))
        with suite:
            self.assertFalse(gets_in(suite, "foo", "bar"))
            add(suite, "foo", "secret")
            self.assertTrue(gets_in(suite, "foo", "secret"))
            self.assertTrue(os.path.isdir(os.path.join(suite.mail, "people/journal")))


if __name__ == "__main__":
    unittest.main()
