"""rims-ctl in small: what its tools list, tell, keep and leave alone, on accounts of a few messages"""

import contextlib
import glob
import hashlib
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

from tests.system.harness import NOBODY, Suite, wait_for

RECORD = 1024  # where the first record of a segment begins
DATE = '"01-Jan-2020 00:00:00 +0000"'
EPOCH = 1577836800


def ctl(suite, *words, status=0):
    """rims-ctl; what it prints. With --json: the report, of dump a list."""
    done = suite.command("sbin/rims-ctl", *words, limit=60)
    text = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == status, f"{words}: status {done.returncode}, not {status}\n{text}"
    assert b"\033" not in done.stderr and b"\r" not in done.stderr, f"{words}: progress in a pipe: {text}"
    if "--json" not in words:
        return text
    if words[0] == "dump":
        return [json.loads(line) for line in done.stdout.decode().splitlines()]
    return json.loads(done.stdout)


def account(suite, user, *parts):
    number = hashlib.sha256(user.encode()).hexdigest()
    return os.path.join(suite.mail, "mailbox.3", number[:2], number[2:], *parts)


def replace(path, old, new):
    with open(path, "rb") as f:
        content = f.read()
    assert old in content, path
    with open(path, "r+b") as f:
        f.write(content.replace(old, new))


def flip(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 4]))


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def mail(text):
    return f"Subject: {text}\r\n\r\n{text}\r\n".encode()


def uids(imap, mailbox):
    assert imap.select(mailbox)[0] == "OK", mailbox
    return [int(u) for u in imap.uid("SEARCH", "ALL")[1][0].split()]


def expunge(imap, mailbox, which):
    imap.select(mailbox)
    imap.uid("STORE", which, "+FLAGS", "\\Deleted")
    imap.expunge()


class Tools(unittest.TestCase):
    """One suite for all, a user for each test."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(users={f"user{n}": "bar" for n in range(1, 16)}).start()
        cls.directory = cls.suite.directory

    @classmethod
    def tearDownClass(cls):
        cls.suite.stop()
        cls.suite.close()

    def test_mailboxes_are_listed_as_they_are(self):
        suite = self.suite
        with suite.login("user1") as imap:
            for name in ("Lists/a", "Plain"):
                imap.create(name)
            imap.delete("Lists")
            imap.subscribe("Plain")
            imap.append("Plain", "(\\Seen)", None, mail("x"))
            imap.append("INBOX", None, None, mail("y"))
        listed = ctl(suite, "mailbox", "list", "--json", "user1")["mailboxes"]
        made = {name: (f"\\{name}", False, True) for name in ("Archive", "Drafts", "Junk", "Sent", "Trash")}
        self.assertEqual({m["name"]: (m["special_use"], m["noselect"], m["subscribed"]) for m in listed},
                         {**made, "INBOX": ("", False, True), "Lists": ("", True, False),
                          "Lists/a": ("", False, False), "Plain": ("", False, True)})
        self.assertIn("Lists \\Noselect", ctl(suite, "mailbox", "list", "user1").splitlines())
        report = ctl(suite, "mailbox", "status", "--json", "user1")["mailboxes"]
        plain = next(m for m in report if m["name"] == "Plain")
        appended = [r["record"] for r in ctl(suite, "dump", "--json", "user1") if r["type"] == "append"]
        self.assertEqual(plain["highestmodseq"], appended[0])
        self.assertRegex(ctl(suite, "mailbox", "status", "user1"), r"(?m)^ +2 +1 +34  in all$")

    def test_undelete_chooses_what_is_asked_for(self):
        suite = self.suite
        with suite.login("user2") as imap:
            imap.create("A")
            for n in range(1, 4):
                imap.append("INBOX", None, None, mail(f"number {n}"))
            imap.append("A", None, None, mail("number 4"))
            imap.select("INBOX")
            imap.uid("COPY", "1", "A")
            expunge(imap, "INBOX", "1:2")
            expunge(imap, "A", "1:2")
            imap.rename("A", "B")

        def listed(*words):
            found = ctl(suite, "undelete", "--list", "--json", *words, "user2")["messages"]
            return sorted((m["mailbox"], m["uid"]) for m in found)
        self.assertEqual(listed(), [("A", 1), ("A", 2), ("INBOX", 2)])
        self.assertEqual(listed("-m", "A"), [("A", 1), ("A", 2)])
        self.assertEqual(listed("-m", "inbox"), [("INBOX", 1), ("INBOX", 2)])
        self.assertEqual(listed("--since", "2099-01-01T00:00:00Z"), [])
        self.assertEqual(len(listed("--since", "2001-01-01T00:00:00Z")), 3)
        # Each goes where it was last, under the name that this has now.
        done = ctl(suite, "undelete", "--json", "user2")["mailboxes"]
        self.assertEqual({m["mailbox"]: m["messages"] for m in done}, {"B": 2, "INBOX": 1})
        # What can not come back is told.
        with suite.login("user2") as imap:
            expunge(imap, "INBOX", "3")
        path = account(suite, "user2", "journal", "00000001")
        with open(path, "rb") as f:
            at = f.read().rindex(b"Subject: number 3")
        flip(path, at + 4)
        self.assertIn('"INBOX" uid 3 can not be brought back: ', ctl(suite, "undelete", "user2", status=1))

    def test_dump_shows_every_record(self):
        suite = self.suite
        with suite.login("user3") as imap:
            imap.append("INBOX", "(\\Seen Work)", None, mail("x"))
            expunge(imap, "INBOX", "1")
        last = ctl(suite, "mailbox", "list", "--json", "user3")["last_record"]
        self.assertEqual([r["record"] for r in ctl(suite, "dump", "--json", "user3")],
                         list(range(1, last + 1)))
        for words, first in ((), 1), (("--from", "4"), 4):
            text = ctl(suite, "dump", *words, "user3")
            self.assertEqual([int(n) for n in re.findall(r"(?m)^(\d+) ", text)],
                             list(range(first, last + 1)))

    def test_every_tool_tells_damage(self):
        suite = self.suite
        with suite.login("user4") as imap:
            for n in range(3):
                imap.append("INBOX", None, None, mail(f"number {n}"))
        path = account(suite, "user4", "journal", "00000001")
        with open(path, "rb") as f:
            at = f.read().rindex(b"Subject: number 1")
        flip(path, at + 4)
        for form in ("maildir", "mbox"):
            report = ctl(suite, "export", "--json", "user4", "--to", form, f"{self.directory}/4{form}",
                         status=1)
            self.assertEqual([n["where"] for n in report["not_taken"]], ["INBOX, UID 2"])
            self.assertEqual((report["messages"], report["complete"]), (2, False))
        flip(path, RECORD + 9)
        self.assertIn("this is what is left", ctl(suite, "mailbox", "list", "user4", status=1))
        for words in (["-l"], []):
            self.assertEqual(ctl(suite, "undelete", *words, "user4", status=1).count("damaged: "), 1)
        self.assertIn("damaged: ", ctl(suite, "dump", "user4"))
        self.assertIn(RECORD, [r["offset"] for r in ctl(suite, "dump", "--json", "user4") if "damage" in r])
        report = ctl(suite, "export", "--json", "user4", "--to", "mbox", f"{self.directory}/4", status=1)
        self.assertIn("user4", [n["where"] for n in report["not_taken"]])

    def test_progress_is_for_a_terminal(self):
        suite = self.suite
        suite.deliver(b"A: b\n\n", user="user5")
        terminal, end = pty.openpty()
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if suite.drop else {}
        try:
            for words in (("export", "user5", "--to", "mbox", f"{self.directory}/5"),
                          ("backup", "user5", f"{self.directory}/5b")):
                subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, *words], stderr=end,
                               stdout=subprocess.DEVNULL, timeout=60, check=True, cwd="/", **who)
                self.assertIn(b"\r\033[K", os.read(terminal, 65536))
        finally:
            os.close(end)
            os.close(terminal)

    def test_an_export_is_continued_and_harms_nothing(self):
        suite = self.suite
        with suite.login("user6") as imap:
            imap.create("Work")
            for n in range(2):
                imap.append("INBOX", None, None, mail(f"number {n}"))
            imap.append("Work", None, None, mail("work"))

        def export(form, name, *words, status=0):
            return ctl(suite, "export", "--json", *words, "user6", "--to", form,
                       f"{self.directory}/6/{name}", status=status)

        def files(pattern):
            return sorted(glob.glob(f"{self.directory}/6/{pattern}", include_hidden=True))
        self.assertEqual(export("maildir", "one", "--mailbox", "Work")["messages"], 1)
        self.assertEqual(export("mbox", "onebox", "--mailbox", "Work")["messages"], 1)
        self.assertEqual(len(files("one/.Work/cur/*")) + len(files("onebox/Work")), 2)
        self.assertEqual(files("one/cur") + files("onebox/INBOX"), [])
        self.assertEqual(export("maildir", "all")["messages"], 3)
        self.assertEqual(export("mbox", "box")["messages"], 3)
        with suite.login("user6") as imap:
            imap.select("INBOX")
            imap.uid("STORE", "1", "+FLAGS", "\\Flagged")
        # A power loss may leave a name without its bytes.
        second, = files("all/cur/*U2.rims,*")
        with open(second, "r+b") as f:
            f.truncate(0)
        report = export("maildir", "all")
        self.assertEqual((report["messages"], report["written_before"]), (1, 2))
        self.assertGreater(os.path.getsize(second), 0)
        self.assertEqual(len(files("all/cur/*U1.rims,*:2,F")), 1)
        for _ in range(2):  # a change of the mailbox, and then of the file
            report = export("mbox", "box")
            self.assertEqual((report["messages"], report["written_before"]), (2, 1))
            with open(f"{self.directory}/6/box/INBOX", "r+b") as f:
                content = f.read()
                f.write(b"more")
            self.assertIn(b"X-Status: F\n", content)
            self.assertNotIn(b"more", content)
        write(f"{self.directory}/6/other/dovecot-uidlist", "3 V77 N1\n")
        if suite.drop:
            os.chown(f"{self.directory}/6/other", NOBODY, NOBODY)
        report = export("maildir", "other", status=1)
        self.assertIn("another mailbox is here", {n["where"]: n["reason"] for n in report["not_taken"]}["INBOX"])

    def test_an_import_of_odd_maildirs(self):
        suite = self.suite
        root = f"{self.directory}/7"
        # The same name in two mailboxes is two messages, in one mailbox it is one.
        for name in ("cur/1.same.host:2,", ".A/cur/1.same.host:2,", "cur/5.y:2,S", "new/5.y", ".INBOX/cur/2.x",
                     ".B/cur/7.z:2,", ".B/cur/8.new:2,"):
            write(f"{root}/{name}", f"Subject: {name}\n\n")
        write(f"{root}/courierimapsubscribed", "INBOX.A\nINBOX.gone\n")
        write(f"{root}/.B/dovecot-uidlist", "3 V1500000000 N50\n3 :7.z\nnonsense\n")
        words = ("import", "--json", "user7", "--from", "maildir", root)
        report = ctl(suite, *words, status=1)
        self.assertEqual(report["messages"], 6)
        self.assertEqual([n["reason"] for n in report["not_taken"]],
                         ["another file has the same name before its flags"])
        notes = "\n".join(n["what"] for n in report["notes"])
        self.assertIn("a second mailbox becomes INBOX: its UIDs are new", notes)
        self.assertIn("a line is not understood: nonsense", notes)
        with suite.login("user7") as imap:
            # 4 to 49 were given to others.
            self.assertEqual(uids(imap, "B"), [3, 50])
            self.assertEqual(imap.response("RECENT")[1], [b"0"])
            self.assertEqual(len(uids(imap, "INBOX")) + len(uids(imap, "A")), 4)
            names = b"\n".join(imap.lsub('""', "*")[1])
            self.assertIn(b"A", [line.split()[-1].strip(b'"') for line in names.splitlines()])
            self.assertIn(b"gone", names)
        write(f"{root}/.B/cur/6.old:2,", "Subject: old\n\n")
        write(f"{root}/.B/dovecot-uidlist", "3 V1500000000 N51\n2 :6.old\n3 :7.z\n50 :8.new\n")
        report = ctl(suite, *words, status=1)
        self.assertEqual((report["messages"], report["taken_before"]), (1, 6))
        self.assertIn("1 messages got new UIDs: theirs were already used", [n["what"] for n in report["notes"]])
        # Subscriptions go through mbox files, too.
        ctl(suite, "export", "user7", "--to", "mbox", f"{self.directory}/7box")
        ctl(suite, "import", "user8", "--from", "mbox", f"{self.directory}/7box")
        with suite.login("user8") as imap:
            self.assertEqual(b"\n".join(imap.lsub('""', "*")[1]), names)

    def test_an_import_of_courier_s_maildir(self):
        suite = self.suite
        root = f"{self.directory}/courier"
        for name in ("cur/1100000001.M1.h:2,S", "cur/1100000002.M2P2.h:2,", ".Sent/cur/1.a:2,"):
            write(f"{root}/{name}", f"Subject: {name}\n\n")
        write(f"{root}/courierimapuiddb", "1 1100000000 8\n3 1100000001.M1.h\n7 1100000002.M2P2.h\n")
        write(f"{root}/courierimapkeywords/:list", "$Forwarded\n\n1100000002.M2P2.h:0\n")
        write(f"{root}/courierimapsubscribed", "INBOX.Sent\n")
        self.assertEqual(ctl(suite, "import", "--json", "user12", "--from", "maildir", root)["messages"], 3)
        with suite.login("user12") as imap:
            self.assertEqual(imap.status("INBOX", "(UIDVALIDITY UIDNEXT)")[1],
                             [b'INBOX (UIDNEXT 8 UIDVALIDITY 1100000000)'])
            self.assertEqual(uids(imap, "INBOX"), [3, 7])
            self.assertIn(b"$Forwarded", imap.uid("FETCH", "7", "(FLAGS)")[1][0])
            self.assertIn(b"Sent", b"\n".join(imap.lsub('""', "*")[1]))

    def test_subscriptions_below_inbox_survive_an_export_and_import(self):
        suite = self.suite
        with suite.login("user13") as imap:
            imap.create("INBOX/Sub")
            imap.subscribe("INBOX/Sub")
            before = sorted(imap.lsub('""', "*")[1])
        for form in ("maildir", "mbox"):
            out = f"{self.directory}/out-{form}"
            ctl(suite, "export", "user13", "--to", form, out)
            user = {"maildir": "user14", "mbox": "user15"}[form]
            ctl(suite, "import", user, "--from", form, out)
            with suite.login(user) as imap:
                self.assertEqual(sorted(imap.lsub('""', "*")[1]), before, form)

    def test_an_import_of_an_odd_mbox(self):
        suite = self.suite
        separator = "From a@b Sat Jan  3 01:05:34 2026\n"
        write(f"{self.directory}/9", separator + "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
              "X-IMAP: 1500000001 0000000009\n\ntext\n\n"
              + separator + "A: 5\nX-UID: 5\n\n>From y\n>>From x\n\n" + separator + "A: 3\nX-UID: 3\n\nx\n\n")
        report = ctl(suite, "import", "--json", "user9", "--from", "mbox", f"{self.directory}/9", "--mailbox",
                     "Box", "--quoting", "mboxo")
        self.assertEqual(report["messages"], 2)
        with suite.login("user9") as imap:
            # UIDs that do not ascend are none.
            self.assertEqual(uids(imap, "Box"), [10, 11])
            body = imap.uid("FETCH", "10", "(BODY[TEXT])")[1][0][1]
            self.assertEqual(body, b"From y\r\n>>From x\r\n")

    def test_the_backup_of_one_user_is_verified(self):
        suite = self.suite
        where = f"{self.directory}/10"
        for user in ("user10", "user11"):
            suite.deliver(b"A: b\n\n", user=user)
            ctl(suite, "backup", user, where)
        number = hashlib.sha256(b"user11").hexdigest()
        flip(f"{where}/{number}/journal/00000001", RECORD + 9)
        self.assertNotIn("user11", ctl(suite, "backup", "--verify", "user10", where))
        self.assertIn("user11", ctl(suite, "backup", "--verify", "user11", where, status=1))
        ctl(suite, "backup", "--verify", where, status=1)
        # A moment that is over, and after the last record of the backup.
        ended = int(time.time())
        wait_for(lambda: int(time.time()) > ended, 10, "the next second")
        # gmtime() by itself asks a clock that may be some milliseconds behind.
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time()))
        report = ctl(suite, "restore", "--json", "-n", "user10", "--from", where, "--at", now)
        self.assertIn("the backup ends earlier, with record ", report["notes"][0])


class Restored(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(settings="use_key_value_store_checksum: false\n")
        self.addCleanup(self.suite.close)
        self.backup = f"{self.suite.directory}/backup"

    def test_an_index_that_lies_is_made_anew(self):
        suite = self.suite
        with suite, suite.login() as imap:
            imap.append("INBOX", None, DATE, mail("x"))
            suite.stop()
            replace(account(suite, "foo", "mailbox_1.gdbm"), struct.pack("<I", EPOCH), struct.pack("<I", EPOCH + 1))
            self.assertIn("does not agree with the journal", ctl(suite, "check", "foo", status=1))
            self.assertIn("sound", ctl(suite, "check", "--repair", "foo"))
            self.assertIn("index checked", ctl(suite, "check", "foo"))

    def test_a_backup_of_an_account_that_was_made_anew(self):
        suite = self.suite
        suite.start()
        with suite.login() as imap:
            imap.append("INBOX", None, DATE, mail("first"))
        ctl(suite, "backup", "foo", self.backup)
        suite.stop()
        shutil.rmtree(account(suite, "foo"))
        suite.start()
        # The same numbers and dates, and other bytes.
        with suite.login() as imap:
            imap.append("INBOX", None, DATE, mail("other"))
        ctl(suite, "restore", "foo", "--from", self.backup)
        with suite.login() as imap:
            found = uids(imap, "INBOX")
            texts = [imap.uid("FETCH", str(u), "(BODY[])")[1][0][1] for u in found]
            self.assertEqual(texts, [mail("other"), mail("first")])
        suite.stop()

    def test_a_damaged_message_is_replaced(self):
        suite = self.suite
        suite.start()
        with suite.login() as imap:
            for n in range(3):
                imap.append("INBOX", "(\\Flagged Key)", DATE, mail(f"number {n}"))
        ctl(suite, "backup", "foo", self.backup)
        suite.stop()
        path = account(suite, "foo", "journal", "00000001")
        with open(path, "rb") as f:
            flip(path, f.read().rindex(b"Subject: number 1") + 4)
        self.assertIn("its bytes are damaged", ctl(suite, "check", "foo", status=1))
        # Of the message alone: its segment is left as it is.
        with open(path, "rb") as f:
            hurt = f.read()
        words = ("restore", "foo", "--from", self.backup, "--mailbox", "INBOX")
        report = ctl(suite, *words, "-n", "--json")["plan"]
        self.assertEqual([m["damaged"] for m in report if m["name"] == "INBOX"], [1])
        self.assertIn("foo: 1 damaged messages were replaced", ctl(suite, *words))
        report = ctl(suite, *words, "--json")
        for number in ("messages_restored", "damaged_replaced", "flags_changed", "messages_expunged"):
            self.assertEqual(report[number], 0, number)
        said = ctl(suite, "check", "foo")
        self.assertNotIn("its bytes are damaged", said)
        self.assertIn("no mailbox has this message any more", said)
        with open(path, "rb") as f:
            self.assertEqual(f.read(len(hurt.rstrip(b"\0"))), hurt.rstrip(b"\0"))
        with suite.start(), suite.login() as imap:
            self.assertEqual(uids(imap, "INBOX"), [1, 3, 4])
            told = imap.uid("FETCH", "4", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
            self.assertEqual(told[0][1], mail("number 1"))
            head = b" ".join(part if isinstance(part, bytes) else part[0] for part in told)
            for part in (b"\\Flagged", b"Key", b'" 1-Jan-2020 00:00:00 +0000"'):
                self.assertIn(part, head)

    def test_a_journal_is_made_whole_from_its_backup(self):
        suite = Suite(settings="storage:\n  segment_size: 64K\n")
        self.addCleanup(suite.close)
        suite.start()
        with suite.login() as imap:
            for n in range(30):
                imap.append("INBOX", "(\\Flagged Key)", DATE, mail(f"number {n}") + b"x" * 8000)
            ctl(suite, "backup", "foo", self.backup)
            imap.append("INBOX", None, DATE, mail("later"))
        suite.stop()
        flip_at = account(suite, "foo", "journal", "00000001")
        with open(flip_at, "rb") as f:
            flip(flip_at, f.read().rindex(b"Subject: number 1\r") + 4)
        os.remove(account(suite, "foo", "journal", "00000003"))
        self.assertIn("the segments from 00000003 to here are missing", ctl(suite, "check", "foo", status=1))
        words = ("restore", "foo", "--from", self.backup)
        said = ctl(suite, *words, "-n")
        self.assertRegex(said, "journal/00000001 would be mended, as far as it can be, from the backup")
        self.assertRegex(said, "journal/00000003 would be put back from the backup")
        ctl(suite, "check", "foo", status=1)
        # The server may have the account.
        suite.start()
        with suite.login() as imap:
            imap.select("INBOX")
            said = ctl(suite, *words, "--json")
        suite.stop()
        self.assertEqual([line.partition("journal/")[2] for line in said["segments_mended"]],
                         ["00000001 was mended from the backup", "00000003 was put back from the backup"])
        self.assertEqual((said["messages_restored"], said["problems"]), (0, []))
        # All is as it was, and nobody speaks of damage any more.
        self.assertIn("sound", ctl(suite, "check", "foo"))
        ctl(suite, "backup", "foo", self.backup)
        with suite.start(), suite.login() as imap:
            self.assertEqual(uids(imap, "INBOX"), list(range(1, 32)))
            for uid in (2, 15, 31):
                self.assertIn(b"later" if uid == 31 else f"number {uid - 1}\r".encode(),
                              imap.uid("FETCH", str(uid), "BODY[]")[1][0][1])

    def test_a_backup_that_lacks_something_never_gives_it_back_in_silence(self):
        suite = Suite(settings="storage:\n  segment_size: 64K\n")
        self.addCleanup(suite.close)
        suite.start()
        with suite.login() as imap:
            for n in range(30):
                imap.append("INBOX", None, DATE, mail(f"number {n}") + b"x" * 8000)
        suite.stop()
        path = account(suite, "foo", "journal", "00000001")
        with open(path, "rb") as f:
            flip(path, f.read().rindex(b"Subject: number 1\r") + 4)
        # Each run says what it found once, the one that makes the account, too.
        for _ in range(2):
            self.assertIn("damaged in the account: ", ctl(suite, "backup", "foo", self.backup, status=1))
        os.rename(account(suite, "foo"), os.path.join(suite.directory, "away"))
        said = ctl(suite, "restore", "foo", "--from", self.backup, status=1)
        self.assertIn("it was so in the account when it was copied", said)
        # The end of the backup is lost.
        last = sorted(glob.glob(os.path.join(self.backup, "*", "journal", "0*")))[-1]
        os.truncate(last, 1024)
        for words in (("-n",), ()):
            said = ctl(suite, "restore", "foo", "--from", self.backup, *words, status=1)
            self.assertIn("has 1024 of ", said)
            self.assertIn("the backup had records", said)
        os.remove(last)
        shutil.rmtree(account(suite, "foo"))
        self.assertIn("is missing: the backup had records", ctl(suite, "restore", "foo", "--from", self.backup, status=1))

    def test_a_restore_that_would_take_back_or_double_something_is_refused(self):
        suite = Suite(settings="storage:\n  segment_size: 64K\n")
        self.addCleanup(suite.close)
        suite.start()
        with suite.login() as imap:
            for n in range(30):
                imap.append("INBOX", None, DATE, mail(f"number {n}") + b"x" * 8000)
            expunge(imap, "INBOX", "3:5")
        suite.stop()
        ctl(suite, "backup", "foo", self.backup)
        # The backup has lost what the account has.
        copy, = glob.glob(os.path.join(self.backup, "*", "journal", "00000003"))
        os.rename(copy, copy + ".away")
        words = ("restore", "foo", "--from", self.backup)
        self.assertIn("the backup has lost records, and the account has them: nothing was restored",
                      ctl(suite, *words, status=1))
        os.rename(copy + ".away", copy)
        # What is in it comes back when the link is gone.
        path = account(suite, "foo", "journal", "00000002")
        os.rename(path, path + ".away")
        os.symlink("00000002.away", path)
        said = ctl(suite, *words, status=1)
        self.assertIn("00000002", said)
        self.assertIn("is a symbolic link", said)
        self.assertIn("nothing was restored", said)
        os.remove(path)
        os.rename(path + ".away", path)
        ctl(suite, *words)
        with suite.start(), suite.login() as imap:
            self.assertEqual(uids(imap, "INBOX"), [1, 2, *range(6, 31)])

    def test_a_directory_without_an_account_is_not_sound_in_silence(self):
        os.makedirs(self.suite.mail, mode=0o700, exist_ok=True)
        for words in (("check", "--all"), ("backup", "--all", self.backup)):
            self.assertIn(f"{self.suite.mail} has no account", ctl(self.suite, *words))

    def test_what_was_given_back_is_told_by_a_restore_that_makes_the_account(self):
        suite = Suite(settings="storage:\n  segment_size: 64K\n  expunge_retention: 0\n")
        self.addCleanup(suite.close)
        suite.start()
        with suite.login() as imap:
            for n in range(12):
                imap.append("INBOX", None, DATE, mail(f"number {n}") + b"x" * 8000)
            moment = int(time.time())
            wait_for(lambda: int(time.time()) > moment, 5, "the next second")
            expunge(imap, "INBOX", "2:6")
            # They are given back when enough is dead, by what else is done.
            for n in range(200):
                imap.append("Sent", None, DATE, mail(f"filler {n}") + b"x" * 8000)
                expunge(imap, "Sent", "1:*")
                if "messages expunged for good" in suite.log_text():
                    break
            wait_for(lambda: "messages expunged for good" in suite.log_text(), 30, "their bytes are given back")
        suite.stop()
        ctl(suite, "backup", "foo", self.backup)
        shutil.rmtree(account(suite, "foo"))
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
        said = ctl(suite, "restore", "foo", "--from", self.backup, "--at", at, status=1)
        for uid in range(2, 7):
            self.assertIn(f"INBOX: the message with uid {uid} has no bytes in the backup", said)
        self.assertEqual(said.count("has no bytes in the backup"), 5, said)
        with suite.start(), suite.login() as imap:
            self.assertEqual(uids(imap, "INBOX"), list(range(1, 13)))
            for uid in (1, 7, 12):
                self.assertIn(f"number {uid - 1}".encode(), imap.uid("FETCH", str(uid), "BODY[]")[1][0][1])

    def test_files_that_the_server_can_not_reach_are_told(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to give files away")
        suite = Suite()
        self.addCleanup(suite.close)
        suite.start()
        suite.deliver(mail("x"))
        suite.stop()
        for path in (account(suite, "foo"), os.path.dirname(account(suite, "foo"))):
            os.chown(path, 1234, 1234)
            done = subprocess.run([os.path.join(suite.stage, "sbin/rims-ctl"), "-c", suite.config, "check", "foo"],
                                  capture_output=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn(f"belongs to user 1234, base_dir to user {NOBODY}; chown -R {NOBODY}",
                          (done.stdout + done.stderr).decode())
            os.chown(path, NOBODY, NOBODY)
        ctl(suite, "check", "foo")

    def test_a_repair_that_can_not_write_says_so(self):
        suite = Suite()
        self.addCleanup(suite.close)
        suite.start()
        suite.deliver(mail("x"))
        suite.stop()
        where = account(suite, "foo")
        os.chmod(where, 0o500)
        self.addCleanup(os.chmod, where, 0o700)
        said = ctl(suite, "check", "--repair", "foo", status=1)
        self.assertIn("can not be written", said)
        self.assertNotIn("rebuilt", said)

    def test_an_account_gets_another_name(self):
        suite = Suite(users={"old": "bar", "new": "bar"})
        self.addCleanup(suite.close)
        suite.start()
        suite.deliver(mail("first"), user="old")
        with suite.login("old") as imap:
            imap.append("Sent", "(\\Seen)", DATE, mail("second"))
            before = imap.status("INBOX", "(UIDVALIDITY UIDNEXT MESSAGES)")[1]
        ctl(suite, "backup", "old", self.backup)
        self.assertEqual(ctl(suite, "account", "rename", "old", "new"), "the mail of old is that of new now\n")
        with suite.login("new") as imap:
            self.assertEqual(imap.status("INBOX", "(UIDVALIDITY UIDNEXT MESSAGES)")[1], before)
            self.assertEqual(uids(imap, "Sent"), [1])
        with suite.login("old") as imap:
            self.assertEqual(uids(imap, "INBOX"), [])
        said = ctl(suite, "account", "rename", "old", "new", status=1)
        self.assertIn("new has an account already", said)
        self.assertIn("--yes says that this is meant", ctl(suite, "account", "remove", "old", status=2))
        self.assertEqual(ctl(suite, "account", "remove", "--yes", "old"), "the mail of old is removed\n")
        self.assertIn("old has no account", ctl(suite, "account", "remove", "--yes", "old", status=1))
        found = ctl(suite, "account", "list", "--json")["accounts"]
        self.assertEqual([(a["user"], a["configured"], a["misplaced"]) for a in found], [("new", True, False)])
        # The backup of a name that is gone.
        said = ctl(suite, "restore", "new", "--from", self.backup, status=1)
        self.assertIn("has no backup of new", said)
        ctl(suite, "account", "remove", "--yes", "new")
        ctl(suite, "restore", "new", "--of", "old", "--from", self.backup)
        with suite.login("new") as imap:
            self.assertEqual(uids(imap, "INBOX"), [1])
        suite.stop()
        # Of whom nobody knows any more.
        ctl(suite, "account", "rename", "new", "gone")
        self.assertIn("  gone  (not in the configuration)", ctl(suite, "account", "list"))
        self.assertEqual(ctl(suite, "check", "--all", "--json")["accounts"][0]["user"], "gone")

    def test_another_users_mail_is_refused(self):
        suite = Suite(users={"foo": "x", "bar": "x"})
        self.addCleanup(suite.close)
        suite.start()
        for user in ("foo", "bar"):
            suite.deliver(mail(user), user=user)
        suite.stop()
        ctl(suite, "backup", "--all", self.backup)
        foo, bar, aside = account(suite, "foo"), account(suite, "bar"), f"{suite.mail}/aside"
        for old, new in ((foo, aside), (bar, foo), (aside, bar)):
            os.rename(old, new)
        for words in (["backup", "--all", f"{suite.directory}/other"], ["backup", "foo", self.backup],
                      ["mailbox", "list", "foo"], ["export", "foo", "--to", "mbox", f"{suite.directory}/mbox"],
                      ["undelete", "-l", "foo"], ["restore", "-n", "foo", "--from", self.backup],
                      ["check", "foo"], ["restore", "foo", "--from", self.backup]):
            self.assertIn('holds the mail of "bar", whose place is ', ctl(suite, *words, status=1), words)
        ctl(suite, "dump", "foo")
        # One that is in the wrong place does not keep the others from their backup.
        os.rename(foo, aside)
        subprocess.run(["cp", "-a", bar, foo], check=True)
        said = ctl(suite, "backup", "--all", f"{suite.directory}/other", status=1)
        self.assertRegex(said, r"(?m)^foo: .* new, ")
        self.assertIn(f"bar: mailbox.3/{os.path.relpath(bar, suite.mail + '/mailbox.3')} holds the mail of "
                      '"foo"', said)
        self.assertIn("is a backup of foo, not of bar",
                      ctl(suite, "restore", "bar", "--from",
                          f"{self.backup}/{hashlib.sha256(b'foo').hexdigest()}", status=1))
        shutil.rmtree(bar)
        os.symlink(aside, bar)
        for words in (["restore", "bar", "--from", self.backup], ["backup", "bar", self.backup],
                      ["check", "bar"]):
            self.assertIn("symbolic link, which is not followed: put the directory",
                          ctl(suite, *words, status=1), words)

    def test_no_uid_of_a_future_that_was_undone_is_given_again(self):
        suite = self.suite
        root = f"{suite.directory}/source"
        work = f"{root}/.Work"
        write(f"{work}/cur/5.host:2,", "Subject: 5\n\n")
        write(f"{work}/dovecot-uidlist", "3 V1500000000 N6\n5 :5.host\n")
        words = ("import", "foo", "--from", "maildir", root)
        ctl(suite, *words)
        moment = int(time.time())
        wait_for(lambda: int(time.time()) > moment, 5, "the next second")
        write(f"{work}/cur/6.host:2,", "Subject: 6\n\n")
        write(f"{work}/dovecot-uidlist", "3 V1500000000 N90001\n5 :5.host\n90000 :6.host\n")
        ctl(suite, *words)
        ctl(suite, "backup", "foo", self.backup)
        shutil.rmtree(account(suite, "foo"))
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
        ctl(suite, "restore", "foo", "--from", self.backup, "--at", at)
        with suite.start(), suite.login() as imap:
            imap.append("Work", None, None, mail("later"))
            found = uids(imap, "Work")
            self.assertEqual(found[0], 5)
            self.assertGreater(found[1], 90_000)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become the mail user")
    def test_what_root_restores_belongs_to_the_mail_user(self):
        suite = self.suite
        with suite, tempfile.TemporaryDirectory(prefix="rims-root-") as private:
            suite.deliver(b"A: b\n\n")

            def root(*words):
                subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, *words], check=True,
                               timeout=60, stdin=subprocess.DEVNULL, cwd="/")
            root("backup", "-q", "foo", private)
            files = set(os.listdir(account(suite, "foo")))
            root("restore", "-q", "foo", "--from", private, "--mailbox", "INBOX", "--into", "Back")
            self.assertGreater(set(os.listdir(account(suite, "foo"))) - files, set(), "something was made")
            self.assert_of_the_mail_user(account(suite, "foo"))
            # An account that is made for a mailbox.
            suite.stop()
            shutil.rmtree(account(suite, "foo"))
            root("restore", "-q", "foo", "--from", private, "--mailbox", "INBOX")
            self.assert_of_the_mail_user(account(suite, "foo"))
            suite.start()
            with suite.login() as imap:
                self.assertEqual(imap.select("INBOX")[1], [b"1"])

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become the mail user")
    def test_a_restore_has_none_of_roots_groups(self):
        """What a group of the caller may write, the mail user may not."""
        suite, adm = self.suite, 4
        with suite, tempfile.TemporaryDirectory(prefix="rims-root-") as private:
            suite.deliver(b"A: b\n\n")

            def restore(*scope):
                return subprocess.run(
                    [f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, "restore", "-q", "foo", "--from",
                     private, *scope], capture_output=True, timeout=60, cwd="/", check=False,
                    stdin=subprocess.DEVNULL, extra_groups=[adm])
            subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, "backup", "-q", "foo", private],
                           check=True, timeout=60)
            suite.stop()
            shutil.rmtree(account(suite, "foo"))
            store = os.path.join(suite.mail, "mailbox.3")
            os.rename(store, store + ".away")
            os.mkdir(store)
            os.chown(store, 0, adm)
            os.chmod(store, 0o775)
            for scope in ((), ("--mailbox", "INBOX")):
                done = restore(*scope)
                self.assertEqual(done.returncode, 4, done.stderr.decode())
                self.assertIn("Permission denied", done.stderr.decode())
                self.assertEqual(os.listdir(store), [])
            os.rmdir(store)
            os.rename(store + ".away", store)
            self.assertEqual(restore().returncode, 0)
            self.assert_of_the_mail_user(account(suite, "foo"))

    def assert_of_the_mail_user(self, directory):
        for where, _, names in os.walk(directory):
            for path in [where] + [os.path.join(where, name) for name in names]:
                with contextlib.suppress(FileNotFoundError):
                    self.assertEqual(os.stat(path).st_uid, NOBODY, path)


if __name__ == "__main__":
    unittest.main()
