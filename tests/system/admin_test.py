"""rims-ctl mailbox, check, dump and undelete, beside a suite that runs and on damaged files"""
# time limit: 300 s

import hashlib
import imaplib
import json
import os
import shutil
import subprocess
import unittest

from tests.system.harness import NOBODY, Suite

NUMBER = hashlib.sha256(b"foo").hexdigest()
RECORD = 1024  # where the first record of a segment begins


def ctl(suite, *words, status=0):
    """rims-ctl; what it prints. With --json: the report."""
    done = suite.command("sbin/rims-ctl", *words, limit=60)
    text = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == status, f"{words}: status {done.returncode}, not {status}\n{text}"
    return json.loads(done.stdout) if "--json" in words and words[0] != "dump" else text


def account(suite, *parts):
    return os.path.join(suite.mail, "mailbox.3", NUMBER[:2], NUMBER[2:], *parts)


def fill(suite, count=5):
    with suite.login() as imap:
        for i in range(count):
            body = f"Subject: message {i}\r\n\r\n" + "text\r\n" * (i + 1)
            assert imap.append("INBOX", "(\\Seen $Work)" if i % 2 else None, None,
                               body.encode())[0] == "OK"


@unittest.skipUnless(os.geteuid() == 0, "needs root, to become the mail user")
class ByRoot(unittest.TestCase):
    def test_what_root_changes_belongs_to_the_mail_user(self):
        """The suite runs as somebody, and has the account open; root's tool takes it."""
        with Suite() as suite:
            def root(*words):
                done = subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, *words],
                                      capture_output=True, timeout=60, cwd="/", check=False)
                self.assertEqual(done.returncode, 0, done.stderr.decode())
                strange = {path: os.stat(path).st_uid for where, _, files in os.walk(account(suite))
                           for path in [where, *(os.path.join(where, f) for f in files)]
                           if os.stat(path).st_uid != NOBODY}
                self.assertEqual(strange, {}, words)
                return done.stdout.decode()
            fill(suite)
            with suite.login() as imap:
                imap.select("INBOX")
                imap.uid("STORE", "1:3", "+FLAGS", "\\Deleted")
                imap.expunge()
                files = set(os.listdir(account(suite)))
                self.assertIn("3 messages", root("undelete", "--into", "Back/again", "foo"))
                with self.assertRaisesRegex(imaplib.IMAP4.abort, r"\[UNAVAILABLE\] the mailboxes are being maintained"):
                    for _ in range(3):
                        imap.noop()
            self.assertGreater(set(os.listdir(account(suite))) - files, set(), "something was made")
            os.remove(account(suite, "meta.gdbm"))
            root("check", "--repair", "foo")
            # And the suite goes on with it.
            with suite.login() as imap:
                self.assertEqual(imap.select("Back/again")[1], [b"3"])
            suite.deliver(b"Subject: after\n\ntext\n")


class Live(unittest.TestCase):
    """One suite for all; each test leaves it as it was, or says what it needs."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(users={"foo": "bar", "baz": "secret"}).start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.stop()
        cls.suite.close()

    def test_mailbox_list_and_status(self):
        suite = self.suite
        with suite.login("baz") as imap:
            imap.create("Work/2026")
            imap.append("Work/2026", None, None, b"Subject: x\r\n\r\ny\r\n")
            names = ctl(suite, "mailbox", "list", "baz").splitlines()
            self.assertEqual(names[0], "INBOX \\Subscribed")
            self.assertIn("Trash \\Trash \\Subscribed", names)
            self.assertIn("Work/2026", names)
            report = ctl(suite, "mailbox", "status", "--json", "baz")
            work = next(m for m in report["mailboxes"] if m["name"] == "Work/2026")
            told = imap.status("Work/2026", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)")[1][0].decode()
            for key, name in (("messages", "MESSAGES"), ("unseen", "UNSEEN"),
                              ("uidnext", "UIDNEXT"), ("uidvalidity", "UIDVALIDITY")):
                self.assertRegex(told, rf"{name} {work[key]}\b")
            self.assertEqual(work["bytes"], 17)
            self.assertGreater(work["highestmodseq"], 0)
            self.assertRegex(ctl(suite, "mailbox", "status", "baz"), r"(?m)^ +1 +1 +17 .*Work/2026$")
        self.assertIn("has no account", ctl(suite, "mailbox", "list", "nobody", status=1))
        ctl(suite, "mailbox", "nonsense", "baz", status=2)

    def test_undelete_while_a_session_has_the_account_open(self):
        suite = self.suite
        fill(suite)
        with suite.login() as imap:
            imap.select("INBOX")
            imap.uid("STORE", "2,4", "+FLAGS", "\\Deleted")
            imap.expunge()
            imap.uid("STORE", "1", "+FLAGS", "\\Deleted")
            imap.expunge()
            listed = ctl(suite, "undelete", "--list", "--json", "foo")["messages"]
            self.assertEqual([m["uid"] for m in listed], [2, 4, 1])
            self.assertEqual({m["mailbox"] for m in listed}, {"INBOX"})
            self.assertTrue(all(m["expunged"] for m in listed))
            self.assertEqual(imap.noop()[0], "OK")  # looking disturbs nobody

            done = ctl(suite, "undelete", "--mailbox", "inbox", "--uid", "2:3", "foo")
            self.assertEqual(done, "1 message is back in INBOX: uids 6\n")
            # The session was told; a new one sees the message.
            with self.assertRaisesRegex(imaplib.IMAP4.abort, r"\[UNAVAILABLE\] the mailboxes are being maintained"):
                for _ in range(3):
                    imap.noop()
        with suite.login() as imap:
            imap.select("INBOX")
            self.assertEqual(imap.uid("SEARCH", "ALL")[1], [b"3 5 6"])
            flags = imap.uid("FETCH", "6", "(FLAGS)")[1][0]
            self.assertIn(b"\\Seen", flags)
            self.assertIn(b"$Work", flags)
            self.assertNotIn(b"\\Deleted", flags)
            body = imap.uid("FETCH", "6", "(BODY.PEEK[])")[1][0][1]
            self.assertTrue(body.startswith(b"Subject: message 1\r\n"))
            imap.close()  # which expunges what is deleted
            imap.select("INBOX", readonly=True)
            self.assertEqual(imap.uid("SEARCH", "ALL")[1], [b"3 5 6"])
        done = ctl(suite, "undelete", "--into", "Restored", "--json", "foo")
        self.assertEqual(done, {"mailboxes": [
            {"mailbox": "Restored", "messages": 2, "uids": "1:2", "failed": 0}]})
        self.assertIn("nothing", ctl(suite, "undelete", "foo"))
        with suite.login() as imap:
            self.assertEqual(imap.select("Restored")[1], [b"2"])
        ctl(suite, "undelete", "--uid", "1", "foo", status=2)
        ctl(suite, "undelete", "--since", "tomorrow or so", "foo", status=2)
        self.assertIn("has no account", ctl(suite, "undelete", "nobody", status=1))

    def test_check_and_dump_beside_a_session(self):
        suite = self.suite
        with suite.login("baz") as imap:
            imap.append("INBOX", None, None, b"Subject: checked\r\n\r\n")
            text = ctl(suite, "check", "baz")
            self.assertRegex(text, "^baz: sound: .* index not checked: the account is open")
            self.assertEqual(imap.noop()[0], "OK")
            lines = ctl(suite, "dump", "baz").splitlines()
            self.assertTrue(any("append mailbox 1 uid" in line for line in lines))
            self.assertRegex(lines[1], r"^1 20\d\d-\d\d-\d\dT\S+Z 00000001\+1024 snapshot the account")
            records = [json.loads(line) for line in
                       ctl(suite, "dump", "--json", "--from", "3", "baz").splitlines()]
            self.assertEqual([r["record"] for r in records][:2], [3, 4])
        report = ctl(suite, "check", "--all", "--json")
        self.assertTrue(report["sound"])
        self.assertIn("baz", [a["user"] for a in report["accounts"]])
        # The account is taken from the session, and given back.
        with suite.login("baz") as imap:
            text = ctl(suite, "check", "--repair", "baz")
            self.assertRegex(text, "the index was (rebuilt|kept)")
            self.assertIn("index checked", text)
        with suite.login("baz") as imap:
            self.assertEqual(imap.select("INBOX")[0], "OK")

    def test_check_without_a_user_is_about_the_configuration(self):
        self.assertIn("no mistakes", ctl(self.suite, "check"))
        ctl(self.suite, "check", "--repair", status=2)
        ctl(self.suite, "check", "--all", "foo", status=2)


class Damaged(unittest.TestCase):
    """Each fault of the files has a message with file, offset and remedy, and exit status 1."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        cls.suite.start()
        fill(cls.suite)
        cls.suite.stop()  # in order: the journal ends in CLEAN
        cls.sound = cls.suite.directory + "/sound"
        shutil.copytree(account(cls.suite), cls.sound)

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def setUp(self):
        self.journal = account(self.suite, "journal", "00000001")
        where = os.stat(self.suite.mail)
        shutil.rmtree(account(self.suite))
        shutil.copytree(self.sound, account(self.suite))
        for directory, _, files in os.walk(account(self.suite)):
            for path in [directory] + [os.path.join(directory, f) for f in files]:
                if os.geteuid() == 0:
                    os.chown(path, where.st_uid, where.st_gid)

    def flip(self, path, offset):
        with open(path, "r+b") as f:
            f.seek(offset)
            byte = f.read(1)[0]
            f.seek(offset)
            f.write(bytes([byte ^ 4]))

    def damage(self, *expected):
        text = ctl(self.suite, "check", "foo", status=1)
        self.assertIn("foo: DAMAGED", text)
        for part in expected:
            self.assertIn(part, text)
        return text

    def test_sound_and_closed(self):
        self.assertRegex(ctl(self.suite, "check", "foo"),
                         "^foo: sound: 5 messages in 6 mailboxes, .* index checked\n")

    def test_a_flipped_bit_of_a_message_and_of_a_header(self):
        with open(self.journal, "rb") as f:
            at = f.read().rindex(b"Subject: message 3")  # before it in the structure
        self.flip(self.journal, at + 4)
        self.damage("journal/00000001 at offset ", "the message's checksum is wrong (message 4)",
                    "message 4 in \"INBOX\", uid 4: its bytes are damaged",
                    "restore what is missing from a backup (rims-ctl restore)")
        self.setUp()
        self.flip(self.journal, RECORD + 9)
        self.damage(f"journal/00000001 at offset {RECORD}, ", "record 1 (snapshot): its header has one wrong bit",
                    "all of it is served; \"rims-ctl check --repair\" writes it again")
        self.assertIn("1 records with one wrong bit were written again as they were", ctl(self.suite, "check", "--repair", "foo"))
        self.assertRegex(ctl(self.suite, "check", "foo"), "(?m)^foo: sound: 5 messages in 6 mailboxes")

    def test_repair_leaves_what_can_be_served(self):
        with open(self.journal, "rb") as f:
            at = f.read().rindex(b"Subject: message 3")
        for ahead in (4, 5):  # more than one bit
            self.flip(self.journal, at + ahead)
        text = ctl(self.suite, "check", "--repair", "foo", status=1)
        self.assertIn("the index was rebuilt", text)
        self.assertIn("index checked", text)
        self.suite.start()
        try:
            with self.suite.login() as imap:
                imap.select("INBOX")
                self.assertIn(b"message 0", imap.uid("FETCH", "1", "(BODY[])")[1][0][1])
        finally:
            self.suite.stop()

    def test_a_damaged_or_missing_index_is_rebuilt(self):
        os.remove(account(self.suite, "mailbox_1.gdbm"))
        self.damage("mailbox_1.gdbm: is damaged, or does not agree", "rebuilds the index")
        self.assertIn("sound", ctl(self.suite, "check", "--repair", "foo"))
        self.assertIn("index checked", ctl(self.suite, "check", "foo"))

    def test_missing_and_foreign_segments(self):
        os.rename(self.journal, self.journal[:-1] + "3")
        self.damage("00000003: says that it is segment 1")
        self.setUp()
        os.remove(self.journal)
        self.damage("journal: ends with record 0, but the index was made of ")
        self.setUp()
        with open(account(self.suite, "journal", "00000002"), "wb") as f:
            f.write(b"no segment of ours" * 500)
        self.damage("00000002 at offset 0, ", "both copies of the header are damaged or foreign")
        os.remove(account(self.suite, "journal", "00000002"))
        with open(account(self.suite, "journal", "notes.txt"), "wb") as f:
            f.write(b"hello")
        os.chmod(account(self.suite, "journal", "notes.txt"), 0o600)
        if os.geteuid() == 0:
            where = os.stat(self.suite.mail)
            os.chown(account(self.suite, "journal", "notes.txt"), where.st_uid, where.st_gid)
        self.assertIn("notes.txt: is not a segment of the journal", ctl(self.suite, "check", "foo"))

    def test_wrong_owner_and_mode(self):
        os.chmod(self.journal, 0o644)
        self.damage("journal/00000001: has mode 0644; chmod 0600 ")
        if os.geteuid() != 0:
            return
        os.chmod(self.journal, 0o600)
        os.chown(self.journal, 0, 0)
        self.damage("journal/00000001: belongs to user 0, the account to user ", "; chown ",
                    "Permission denied")

    def test_the_journal_names_a_user_whom_the_configuration_does_not_know(self):
        with open(self.suite.config, encoding="utf-8") as f:
            text = f.read()
        try:
            with open(self.suite.config, "w", encoding="utf-8") as f:
                f.write(text.replace('"foo"', '"other"'))
            self.assertIn("foo: sound", ctl(self.suite, "check", "--all"))
            self.assertIn("foo: the index was rebuilt", ctl(self.suite, "check", "--all", "--repair"))
        finally:
            with open(self.suite.config, "w", encoding="utf-8") as f:
                f.write(text)


class Renamed(unittest.TestCase):
    def test_a_new_name_that_is_no_user_is_told(self):
        suite = Suite(users={"foo": "bar", "new": "bar"})
        self.addCleanup(suite.close)
        with suite.start():
            suite.deliver(b"Subject: x\n\nx\n")
            told = ctl(suite, "account", "rename", "foo", "nobody-here")
            self.assertIn('"nobody-here" is not in user_list of ' + suite.config
                          + ": nobody can log in as this user", told)
            self.assertNotIn("user_list", ctl(suite, "account", "rename", "nobody-here", "new"))


if __name__ == "__main__":
    unittest.main()
