"""rims-ctl backup and restore, with a suite that runs and works

    an account under load is backed up again and again, restored into another base directory, and
    compared byte by byte; what a second run copies; a point in time against a model of it; kills
    at random points; flipped bits; refusals
"""

import contextlib
import hashlib
import imaplib
import json
import os
import random
import re
import signal
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from tests.system.harness import NOBODY, Suite, wait_for

SEED = int(os.environ.get("RIMS_TEST_SEED", "4711"))


def account_of(user):
    return hashlib.sha256(user.encode()).hexdigest()


def journal(base, user="foo"):
    number = account_of(user)
    return os.path.join(base, "mailbox.3", number[:2], number[2:], "journal")


def ctl(suite, *words, status=0, limit=60):
    """rims-ctl; what it prints. With --json: the report."""
    done = suite.command("sbin/rims-ctl", *words, limit=limit)
    text = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == status, f"{words}: status {done.returncode}, not {status}\n{text}"
    return json.loads(done.stdout) if "--json" in words else text


def backup(suite, *words, status=0):
    return ctl(suite, "backup", "--json", *words, status=status)["accounts"]


@contextlib.contextmanager
def other_base(users):
    """A suite with a base directory of its own, not started yet."""
    with tempfile.TemporaryDirectory(prefix="rims-other-") as directory:
        os.chmod(directory, 0o755)
        yield Suite(users=users, directory=directory)


def mailboxes(imap):
    names = []
    for line in imap.list()[1]:
        names.append(re.match(rb'\(.*?\) "/" "?(.*?)"?$', line).group(1).decode())
    return sorted(names)


def messages(imap, mailbox):
    """{uid: (flags, date, bytes)}, and UIDVALIDITY."""
    assert imap.select(f'"{mailbox}"', readonly=True)[0] == "OK", mailbox
    validity = int(imap.response("UIDVALIDITY")[1][0])
    found = {}
    if int(imap.untagged_responses["EXISTS"][-1] if "EXISTS" in imap.untagged_responses else 1):
        for part in imap.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
            if isinstance(part, tuple):
                head, body = part
                uid = int(re.search(rb"UID (\d+)", head).group(1))
                flags = re.search(rb"FLAGS \((.*?)\)", head).group(1).split()
                date = re.search(rb'INTERNALDATE "(.*?)"', head).group(1)
                found[uid] = (tuple(sorted(f for f in flags if f != b"\\Recent")), date, body)
    return validity, found


def everything(suite, user="foo"):
    with suite.login(user) as imap:
        return {name: messages(imap, name) for name in mailboxes(imap)}


def without_uids(state):
    """What a restored account shall equal: contents, flags, dates."""
    return {name: sorted(found.values()) for name, (_, found) in state.items()}


def mail(number, size=500):
    return (f"From: a@example.org\nSubject: mail {number}\n"
            f"Message-ID: <{number}@example.org>\n\n".encode() + b"x" * size + b"\n")


class Load:
    """Deliveries, flag changes and expunges until it is told to stop."""

    def __init__(self, suite):
        self.suite, self.ending, self.failures = suite, threading.Event(), []
        self.delivered = self.changed = 0
        self.threads = [threading.Thread(target=self.guard, args=(f,))
                        for f in (self.deliver, self.change)]

    def guard(self, work):
        try:
            work()
        except Exception as error:  # told by the main thread
            self.failures.append(error)

    def deliver(self):
        while not self.ending.is_set():
            self.suite.deliver(mail(self.delivered, size=random.randrange(20_000)))
            self.delivered += 1

    def change(self):
        with self.suite.login() as imap:
            imap.select()
            while not self.ending.is_set():
                imap.append("Archive", "(\\Seen load)", None, mail(10_000_000 + self.changed))
                imap.noop()
                uids = imap.uid("SEARCH", "ALL")[1][0].split()
                if uids:
                    some = b",".join(random.sample(uids, min(5, len(uids)))).decode()
                    imap.uid("STORE", some, random.choice(["+FLAGS", "-FLAGS", "FLAGS"]),
                             random.choice(["(\\Seen)", "(\\Flagged $Work)", "(\\Answered)"]))
                    if self.changed % 7 == 0:
                        imap.uid("STORE", uids[0].decode(), "+FLAGS", "(\\Deleted)")
                        imap.expunge()
                self.changed += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures


class Churn(Load):
    """Large messages that come and go, so that segments are begun, and compacted soon after."""

    def change(self):
        with self.suite.login() as imap:
            imap.select()
            while not self.ending.is_set():
                for _ in range(8):
                    imap.append("INBOX", "(\\Flagged)", None, mail(self.changed, size=20_000))
                    self.changed += 1
                uids = imap.uid("SEARCH", "ALL")[1][0].split()
                imap.uid("STORE", b",".join(u for u in uids[:-2] if int(u) % 8).decode() or "1",
                         "+FLAGS.SILENT", "(\\Deleted)")
                imap.expunge()


def same_beginning(suite, directory, user="foo"):
    """The backup is byte by byte a beginning of the account's journal."""
    number = account_of(user)
    with open(os.path.join(directory, number, "manifest.json"), encoding="utf-8") as f:
        manifest = json.load(f)
    for segment in manifest["segments"]:
        name = f"{segment['number']:08}"
        with open(os.path.join(directory, number, "journal", name), "rb") as f:
            copied = f.read(segment["size"])
        with open(os.path.join(journal(suite.mail, user), name), "rb") as f:
            assert f.read(len(copied)) == copied, name
    return manifest


def messages_of(suite, mailbox):
    with suite.login() as imap:
        return messages(imap, mailbox)


class BackupTest(unittest.TestCase):
    def test_live_backup(self):
        with Suite() as suite:
            directory = os.path.join(suite.directory, "backup")
            with Load(suite) as load:
                wait_for(lambda: load.delivered > 10 and load.changed > 10, 30, "the load runs")
                seqs = []
                for _ in range(12):
                    account, = backup(suite, "foo", directory)
                    assert account["good"] and account["problems"] == [] and account["notes"] == []
                    seqs.append(account["last_record"])
                    ctl(suite, "backup", "--verify", directory)
                    same_beginning(suite, directory)
                assert seqs == sorted(seqs) and seqs[-1] > seqs[0] + 10, seqs
                under_load = account
            assert load.delivered > 20 and load.changed > 20

            # What the last one under load has, as another account.
            live = everything(suite)
            with other_base(suite.users) as other:
                report = ctl(other, "restore", "--json", "--from", directory, "foo")
                assert report["good"] and report["new_account"], report
                assert report["last_record"] == under_load["last_record"]
                for name in sorted(os.listdir(journal(other.mail))):
                    with open(os.path.join(journal(other.mail), name), "rb") as f:
                        mine = f.read()
                    theirs_at = os.path.join(directory, account_of("foo"), "journal", name)
                    with open(theirs_at, "rb") as f:
                        theirs = f.read()
                    assert mine[:len(theirs)] == theirs, name
                with other.start():
                    restored = everything(other)
                for name, (validity, found) in restored.items():
                    assert validity == live[name][0], name
                    for uid, (_, date, body) in found.items():
                        if uid in live[name][1]:
                            assert (date, body) == live[name][1][uid][1:], (name, uid)

            # And at rest: everything equal.
            account, = backup(suite, "--all", directory)
            assert account["user"] == "foo" and account["copied_bytes"] > 0
            live = everything(suite)
            with other_base(suite.users) as other:
                ctl(other, "restore", "--from", directory, "foo")
                with other.start():
                    assert everything(other) == live
            account, = backup(suite, "foo", directory)
            assert account["copied_bytes"] == 0, account
            suite.deliver(mail(1, size=3000))
            account, = backup(suite, "foo", directory)
            assert 3000 < account["copied_bytes"] < 10_000, account
            for where, directories, files in os.walk(directory):
                assert stat.S_IMODE(os.stat(where).st_mode) == 0o700, where
                for name in files:
                    assert stat.S_IMODE(os.stat(os.path.join(where, name)).st_mode) == 0o600, name
            print(f"  {load.delivered} deliveries, {load.changed} changes under 12 backups")

    def test_live_backup_while_segments_are_compacted(self):
        settings = "storage:\n  segment_size: 64K\n  expunge_retention: 0\n"
        with Suite(settings=settings) as suite:
            directory = os.path.join(suite.directory, "backup")
            seqs = []

            def compactions():
                return suite.log_text().count("messages expunged for good")

            def one_more():
                account, = backup(suite, "foo", directory)
                assert account["good"] and account["problems"] == [] and account["notes"] == [], account
                ctl(suite, "backup", "--verify", directory)
                seqs.append(account["last_record"])
            with Churn(suite) as load:
                wait_for(lambda: load.changed > 100, 30, "the load runs")
                while compactions() < 10 or len(seqs) < 4:
                    one_more()
                for _ in range(3):
                    one_more()
            assert seqs == sorted(seqs) and seqs[-1] > seqs[0] + 10, seqs
            one_more()
            live = everything(suite)
            segments = len(os.listdir(journal(suite.mail)))
            assert segments > 10, segments
            with other_base(suite.users) as other:
                ctl(other, "restore", "--from", directory, "foo")
                with other.start():
                    assert everything(other) == live
            print(f"  {len(seqs)} backups, {load.changed} messages, {segments} segments, "
                  f"{compactions()} compactions")

    def test_point_in_time(self):
        randomly = random.Random(SEED)
        with Suite() as suite:
            directory = os.path.join(suite.directory, "backup")
            history = []

            def next_second():
                # Records carry whole seconds: what follows is of a later one.
                now = int(time.time())
                wait_for(lambda: int(time.time()) > now, 5, "the next second")

            def remember():
                history.append((int(time.time()), everything(suite)))
                next_second()
            with suite.login() as imap:
                imap.create("Work")
                for i in range(12):
                    imap.append(randomly.choice(["INBOX", "Work"]),
                                "(\\Seen)" if i % 2 else None, None, mail(i))
                remember()
                imap.select()
                imap.uid("STORE", "1:3", "+FLAGS", "(\\Flagged $Todo)")
                imap.uid("COPY", "1:2", "Work")
                imap.append("INBOX", None, None, mail(100))
                remember()
                imap.uid("STORE", "2:4", "+FLAGS", "(\\Deleted)")
                imap.expunge()
                imap.delete("Work")
                remember()
                imap.create("Later")
                imap.append("Later", "(\\Draft)", None, mail(200))
                imap.uid("STORE", "1:*", "FLAGS", "()")
                backup(suite, "foo", directory)
                remember()
                imap.append("INBOX", None, None, mail(300))
                remember()

                def at(moment):
                    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
                # The suite runs and has the account open; the tool takes it and gives it back.
                for turn in range(6):
                    moment, then = history[randomly.randrange(4)]
                    words = ["restore", "foo", "--at", at(moment), "--exact", "--json"]
                    if turn % 2:
                        words += ["--from", directory]
                    planned = ctl(suite, *words, "--dry-run")
                    assert planned["messages_restored"] == 0
                    report = ctl(suite, *words)
                    assert report["good"], report
                    assert without_uids(everything(suite)) == without_uids(then), (turn, report)
                    again = ctl(suite, *words)
                    assert all(again[count] == 0 for count in (
                        "messages_restored", "flags_changed", "messages_expunged",
                        "mailboxes_created", "mailboxes_removed")), again
                    next_second()

                # The same into an account that is not there: it is made, for one in user_list.
                moment, then = history[1]
                with other_base(suite.users) as other:
                    words = ["restore", "foo", "--from", directory, "--at", at(moment), "--mailbox",
                             "INBOX", "--uid", "2", "--into", "Found"]
                    planned = ctl(other, *words, "--dry-run", "--json")
                    assert planned["plan"][0]["missing"] == 1, planned
                    assert not os.path.exists(journal(other.mail))
                    ctl(other, *words)
                    with other.start():
                        found = everything(other)
                        assert list(found["Found"][1].values()) == [then["INBOX"][1][2]], found
                        assert found["INBOX"][1] == {} and "Trash" in found

                # One message of a mailbox of then, into a new one; what is there now stays.
                moment, then = history[1]
                before = without_uids(everything(suite))
                ctl(suite, "restore", "foo", "--at", at(moment), "--mailbox", "INBOX", "--uid", "2",
                    "--into", "Found")
                after = without_uids(everything(suite))
                assert after.pop("Found") == [then["INBOX"][1][2]]
                assert after == before

            # An account that is not there: uids and all, ending at that point.
            for moment, then in history[:4]:
                with other_base(suite.users) as other:
                    ctl(other, "restore", "foo", "--from", directory, "--at", at(moment))
                    with other.start():
                        assert everything(other) == then
                        other.deliver(mail(999))
                        # No uid of the future that was undone is given to another message.
                        _, found = messages_of(other, "INBOX")
                        assert max(found) >= max(history[3][1]["INBOX"][1]) + 1

    def test_killed_at_any_point(self):
        randomly = random.Random(SEED)
        kills = 0
        with Suite() as suite:
            with suite.login() as imap:
                for i in range(30):
                    imap.append("INBOX", None, None, mail(i, size=300_000))
            directory = os.path.join(suite.directory, "backup")
            began = time.monotonic()
            backup(suite, "foo", directory)
            takes = time.monotonic() - began
            who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if suite.drop else {}
            for turn in range(24):
                if turn % 8 == 0:
                    directory = os.path.join(suite.directory, f"backup-{turn}")
                else:
                    suite.deliver(mail(1000 + turn, size=200_000))
                child = subprocess.Popen(
                    [f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, "backup", "-q", "foo",
                     directory],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    cwd="/", **who)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(randomly.uniform(0, 1.2 * takes))
                if child.poll() is None:
                    child.send_signal(signal.SIGKILL)
                    kills += 1
                child.communicate()
                if os.path.exists(os.path.join(directory, account_of("foo"), "manifest.json")):
                    ctl(suite, "backup", "--verify", directory)  # the state before it, or after
                account, = backup(suite, "foo", directory)
                assert account["notes"] == [], account
                ctl(suite, "backup", "--verify", "foo", directory)
                same_beginning(suite, directory)
        assert kills >= 6, kills
        print(f"  {kills} backups killed and continued")

    def test_flipped_bits(self):
        randomly = random.Random(SEED)
        with Suite() as suite:
            for i in range(5):
                suite.deliver(mail(i, size=400))
            directory = os.path.join(suite.directory, "backup")
            backup(suite, "foo", directory)
            names = ["manifest.json", "journal/00000001"]
            restores = 0
            for turn in range(60):
                path = os.path.join(directory, account_of("foo"), names[turn % 2])
                with open(path, "rb") as f:
                    good = f.read()
                bad = bytearray(good)
                bad[randomly.randrange(len(bad))] ^= 1 << randomly.randrange(8)
                with open(path, "wb") as f:
                    f.write(bad)
                told = ctl(suite, "backup", "--verify", directory, status=1)
                assert os.path.basename(path) in told, told
                if turn < 12:
                    with other_base(suite.users) as other:
                        told = ctl(other, "restore", "foo", "--from", directory, status=1)
                        assert os.path.basename(path) in told, told
                        restores += 1
                with open(path, "wb") as f:
                    f.write(good)
            ctl(suite, "backup", "--verify", directory)
            print(f"  60 flipped bits, {restores} restores of them: all told")

    def test_refusals(self):
        with Suite() as suite:
            directory = os.path.join(suite.directory, "backup")
            suite.deliver(mail(1))
            backup(suite, "foo", directory)

            def told(text, *words, status=1):
                said = ctl(suite, *words, status=status)
                assert text in said, f"{words}: {said}"
            told("nobody has no account", "backup", "nobody", directory)
            told("nobody has no account; --from names a backup", "restore", "nobody", "--at",
                 "2026-01-01 00:00")
            told("has no backup of nobody", "restore", "nobody", "--from", directory)
            told("--from names the directory of a backup", "restore", "foo", "--from", directory + "/none")
            told("nobody has no account and is not in user_list", "restore", "nobody", "--from", directory,
                 "--mailbox", "INBOX")
            told('there was no mailbox "None" at that time', "restore", "foo", "--from", directory,
                 "--mailbox", "None")
            told('mailbox "INBOX" had no message with uid 7 at that time', "restore", "foo", "--from",
                 directory, "--mailbox", "INBOX", "--uid", "7")
            told("there is no record from 2001-01-01T00:00:00Z or before", "restore", "foo", "--from",
                 directory, "--at", "2001-01-01T00:00:00Z")
            told("no backup is here", "backup", "--verify", suite.run_dir)
            told('"soon" is not a time such as', "restore", "foo", "--at", "soon", status=2)
            told("need --from DIR, --at TIME or both", "restore", "foo", status=2)
            told("--uid and --into need --mailbox", "restore", "foo", "--from", directory, "--uid",
                 "1", status=2)
            told("need USER and DIR", "backup", "foo", status=2)
            own = os.path.join(directory, account_of("foo"))
            told("is a backup of foo, not of bar", "restore", "bar", "--from", own)
            with open(os.path.join(own, "manifest.json"), encoding="utf-8") as f:
                text = f.read()
            with open(os.path.join(own, "manifest.json"), "w", encoding="utf-8") as f:
                f.write(text.replace('"rims_backup": 1', '"rims_backup": 9'))
            for words in (("backup", "foo", directory), ("backup", "--verify", directory),
                          ("restore", "foo", "--from", directory)):
                told("format version 9, this program knows 1: not touched", *words)

    def test_root_leaves_nothing_of_its_own(self):
        """Root restores; what is made belongs to the owner of base_dir."""
        if os.geteuid() != 0:
            return
        with Suite() as suite:
            for i in range(3):
                suite.deliver(mail(i))
            with tempfile.TemporaryDirectory(prefix="rims-root-") as private:
                os.chmod(private, 0o700)
                directory = os.path.join(private, "backup")

                def as_root(*words):
                    subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, *words],
                                   check=True, timeout=60, stdin=subprocess.DEVNULL, cwd="/")
                as_root("backup", "-q", "foo", directory)
                with suite.login() as imap:
                    imap.select()
                    imap.uid("STORE", "1:2", "+FLAGS", "(\\Deleted)")
                    imap.expunge()
                as_root("restore", "-q", "foo", "--from", directory)
                with suite.login() as imap:
                    assert len(messages(imap, "INBOX")[1]) == 3
                with other_base(suite.users) as other:
                    subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", other.config, "restore",
                                    "-q", "foo", "--from", directory], check=True, timeout=60, cwd="/")
                    with other.start():
                        assert len(messages_of(other, "INBOX")[1]) == 3
                    for base in (suite.mail, other.mail):
                        for where, _, files in os.walk(os.path.join(base, "mailbox.3")):
                            for path in [where] + [os.path.join(where, name) for name in files]:
                                assert os.stat(path).st_uid == NOBODY, path


class Numbers(unittest.TestCase):
    """Numbers that clients may know are not given out again by a restore."""

    def test_a_newer_backup_of_an_older_copy_and_the_same_backup_twice(self):
        with Suite(users={"foo": "bar"}) as suite:
            def uids():
                with suite.login("foo") as imap:
                    highest = int(imap.select("INBOX", readonly=True) and
                                  imap.response("HIGHESTMODSEQ")[1][0])
                    found = imap.uid("FETCH", "1:*", "(BODY.PEEK[])")[1]
                texts = {int(re.search(rb"UID (\d+)", item[0]).group(1)): item[1]
                         for item in found if isinstance(item, tuple)}
                return highest, texts

            def deliver(what, count):
                for number in range(count):
                    suite.deliver(f"Subject: {what} {number}\n\n{what}\n".encode(), user="foo")

            account = os.path.dirname(journal(suite.mail))
            directory = f"{suite.directory}/backup"
            older = f"{suite.directory}/older"
            deliver("first", 3)
            suite.stop()
            subprocess.run(["cp", "-a", account, older], check=True)
            suite.start()
            deliver("second", 4)
            backup(suite, "foo", directory)
            known_highest, known = uids()
            suite.stop()
            # An older copy, and the backup that is newer.
            subprocess.run(["rm", "-r", account], check=True)
            subprocess.run(["cp", "-a", older, account], check=True)
            said = ctl(suite, "restore", "foo", "--from", directory)
            self.assertIn("the account is older than the backup", said)
            self.assertNotIn("older", ctl(suite, "restore", "foo", "--from", directory))
            self.assertIn("sound", ctl(suite, "check", "foo"))
            suite.start()
            deliver("third", 3)
            highest, now = uids()
            self.assertGreater(highest, known_highest)
            self.assertEqual(len(now), 10)
            for uid, text in now.items():
                self.assertEqual(known.get(uid, text), text, uid)
            # Lost twice, and made from the same backup twice.
            known.update(now)
            for what in ("fourth", "fifth"):
                suite.stop()
                # What the account had is not known any more: the second tells the two apart.
                began = int(time.time())
                wait_for(lambda: int(time.time()) > began, 10, "the next second")
                subprocess.run(["rm", "-r", account], check=True)
                ctl(suite, "restore", "foo", "--from", directory)
                suite.start()
                self.assertGreater(uids()[0], highest)
                deliver(what, 20)
                highest, now = uids()
                self.assertEqual(len(now), 27)
                for uid, text in now.items():
                    self.assertEqual(known.setdefault(uid, text), text, uid)


class WhatIsWrongIsSaid(unittest.TestCase):
    def filled(self, **more):
        suite = Suite(settings="storage:\n  segment_size: 64K\n", **more)
        self.addCleanup(suite.close)
        where = os.path.join(suite.directory, "backup")
        suite.start()
        with suite.login("foo") as imap:
            for n in range(30):
                imap.append("INBOX", None, None, b"Subject: %d\r\n\r\n" % n + b"x" * 78 * 100)
        backup(suite, "foo", where)
        suite.stop()
        return suite, where

    def test_a_segment_that_may_not_be_read_costs_what_is_in_it(self):
        suite, where = self.filled()
        segment = f"{where}/{account_of('foo')}/journal/00000002"
        os.chmod(segment, 0)
        os.rename(journal(suite.mail).removesuffix("/journal"), os.path.join(suite.directory, "away"))
        if os.geteuid() == 0:
            self.assertTrue(suite.drop)
        told = ctl(suite, "restore", "foo", "--from", where, status=1)
        self.assertIn("journal/00000002", told)
        self.assertIn("Permission denied", told)
        self.assertNotIn("is missing", told)
        with suite.start(), suite.login("foo") as imap:
            found = messages(imap, "INBOX")[1]
            self.assertGreater(len(found), 10)
            self.assertLess(len(found), 30)

    def test_a_copy_that_was_put_aside_does_not_keep_the_check_red(self):
        suite, where = self.filled()
        with open(f"{where}/{account_of('foo')}/manifest.json", "w", encoding="ascii") as f:
            f.write("nonsense")
        with suite.start():
            backup(suite, "foo", where)
            aside = [name for name in os.listdir(where) if ".aside-" in name]
            self.assertEqual(len(aside), 1)
            told = ctl(suite, "backup", "--verify", where)
            self.assertIn(f"{where}/{aside[0]} was put aside, remove it when nobody needs it", told)
            # Without the one that took its place it is what there is.
            os.rename(f"{where}/{account_of('foo')}", os.path.join(suite.directory, "away"))
            ctl(suite, "backup", "--verify", where, status=1)

    def test_a_place_or_a_time_that_is_none(self):
        suite, where = self.filled()
        self.assertIn("/nonexist: No such file or directory; --from names the directory of a backup",
                      ctl(suite, "restore", "foo", "--from", "/nonexist", status=1))
        self.assertIn(f"{suite.config} is not a directory; --from names the directory of a backup",
                      ctl(suite, "restore", "foo", "--from", suite.config, status=1))
        self.assertIn("--at 2099-01-01 00:00: that is in the future; it is ",
                      ctl(suite, "restore", "foo", "--from", where, "--at", "2099-01-01 00:00", status=2))


if __name__ == "__main__":
    unittest.main()
