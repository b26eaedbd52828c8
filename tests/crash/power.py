"""tests/crash/power.py - the power goes at a random point of a real disk's life, many times over

A recording is the whole suite under the ledger's load on a file system on a Disk: every write and flush
that reached the disk, and in the ledger the length of that log whenever something was asked for or
acknowledged. A state is the disk as it may be if the power went at one point of the log. The file
system's own recovery mounts it, `reopen` (reopen/reopen.cc) opens the accounts as a server does, and the
ledger knows what must be there: what was acknowledged before that point, byte by byte.

Segments are small and most mail is expunged soon, so that segments roll and the running suite compacts
them while it takes mail: what the journals hold in a state tells whether the power went during one of these.
In one of ten states the power goes once more, during that recovery.

    Power("ext4").run(500)       counts and sentences in .counts, .wrong

RIMS_KEEP=DIRECTORY keeps the disk image of each state that is wrong.
"""

import collections
import contextlib
import fcntl
import hashlib
import os
import random
import subprocess
import tempfile
import time
import unittest

from tests.clients.support import crlf
from tests.crash import count, disk as disks, ledger as books
from tests.crash.disk import STYLES, WHOLE, Disk
from tests.crash.lossy import journals, preload
from tests.system import harness
from tests.system.harness import TOP, Suite, wait_for
from tests.system.mounts import alone

SIZE = 64 << 20
USERS = {"foo": "bar", "baz": "qux"}
SETTINGS = """
processes:
  imapd_workers: 2
  login_workers: 1
storage:
  segment_size: 64K
  expunge_retention: 1s
"""
PROMISES = ("inbox", "copied", "flagged")
# What reopen puts into INBOX and takes out again: the power may go in between.
PASSING = hashlib.sha256(b"Subject: after the crash\r\n\r\n").hexdigest()
FLAGGED = 4  # kFlagged of common/mail/types.h
SEAL, FIRST_RECORD = b"RIMSSEAL", 1024  # kSealMagic and kFirstRecord of common/journal/segment.h
COMPACTED = 3  # segments, before a recording ends


class Entry(books.Entry):
    """What was promised, and the length of the disk's log each time that changed."""

    def __init__(self, position):
        self.position = position
        self.history = {name: [(-1, "no")] for name in PROMISES}
        super().__init__()

    def __setattr__(self, name, value):
        if name in PROMISES and value != getattr(self, name, None):
            self.history[name].append((self.position() if name in self.__dict__ else -1, value))
        super().__setattr__(name, value)

    def then(self, name, at):
        """What was promised when the log was `at` long."""
        return [value for position, value in self.history[name] if position <= at][-1]


class Ledger(books.Ledger):
    def __init__(self, suite, users, position, **how):
        super().__init__(suite, users, **how)
        self.entries = collections.defaultdict(lambda: Entry(position))

    def digests(self):
        """{SHA-256 in hex: number} of every message there ever was."""
        return {books.digest(crlf(books.body_of(number))).hex(): number for number in self.owner}


def segments(base):
    """{path: inode} of the segments of all accounts below a base directory."""
    return {path: os.stat(path).st_ino for path in journals(base) if not path.endswith(".new")}


def under_way(base):
    """What the journals were being put through: "roll", "compaction"."""
    found = set()
    accounts = collections.defaultdict(list)
    for path in journals(base):
        if path.endswith(".new"):
            found.add("compaction")
        else:
            accounts[os.path.dirname(path)].append(path)
    for paths in accounts.values():
        with open(paths[-1], "rb") as f:
            last = f.read()
        # The last one has its footer, or has no record yet.
        if SEAL in last[FIRST_RECORD:] or (len(paths) > 1 and not last[FIRST_RECORD:].strip(b"\0")):
            found.add("roll")
    return found


def built_reopen():
    """The program, in the release build that build/stage was made from."""
    tree = os.path.join(TOP, "build", "release")
    with open(os.path.join(tree, "reopen.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["ninja", "-C", tree, "tests/crash/reopen/reopen"], check=True, stdout=subprocess.DEVNULL, timeout=900)
    return os.path.join(tree, "tests", "crash", "reopen", "reopen")


class Reopen:
    """The program, kept running."""

    def __init__(self, env=None):
        self.child = subprocess.Popen([built_reopen()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      cwd="/", env={**os.environ, **(env or {})}, bufsize=1)

    def close(self):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.wait(30)

    def __call__(self, place):
        """({(user, mailbox): (uidvalidity, {uid: (flags, digest)})}, [what is wrong])"""
        print(place, *USERS, file=self.child.stdin, flush=True)
        found, wrong, user, mailbox = {}, [], None, None
        for line in self.child.stdout:
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "end":
                return found, wrong
            if kind == "user":
                user = rest
            elif kind == "mailbox":
                validity, name = rest.split(" ", 1)
                mailbox = found[user, name] = (validity, {})
            elif kind == "message":
                uid, flags, text = rest.split(" ", 2)
                mailbox[1][uid] = (int(flags), text)
            elif kind == "wrong":
                wrong.append(f"{user}: {rest}")
        raise AssertionError(f"reopen ended with status {self.child.wait(30)}")


class Power:
    def __init__(self, kind, seed, mutant=None, styles=STYLES, compacted=COMPACTED):
        self.kind = kind
        self.random = random.Random(seed)
        self.mutant = mutant
        self.styles = styles
        self.compacted = compacted
        self.counts = collections.Counter()
        self.wrong = []

    def run(self, states, per_recording=100):
        while self.counts["states"] < states:
            with contextlib.ExitStack() as stack:
                directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="rims-power-"))
                os.chmod(directory, 0o755)
                disk = stack.enter_context(Disk(SIZE, directory))
                self.place = os.path.join(directory, "mail")
                os.mkdir(self.place)
                self.record(disk, directory)
                reopen = Reopen(self.preloaded)
                stack.callback(reopen.close)
                self.cut(disk, reopen, min(per_recording, states - self.counts["states"]))

    def record(self, disk, directory):
        disk.format(self.kind)
        with disk.mounted(self.kind, self.place):
            os.chown(self.place, harness.NOBODY, harness.NOBODY)
            os.chmod(self.place, 0o700)
        # From here on: what was before is on the disk for good.
        disk.log.clear()
        self.image = bytes(disk.bytes)
        suite = Suite(users=USERS, settings=SETTINGS, log_level="WARN")
        self.preloaded = {}
        if self.mutant:
            self.preloaded = preload(suite, directory, self.mutant)
        suite.mail_on(self.place)
        with disk.mounted(self.kind, self.place), suite:
            self.ledger = Ledger(suite, list(USERS), lambda: len(disk.log), expunges=20)
            self.ledger.start(deliverers=4)
            try:
                self.wait_for_load()
            finally:
                self.ledger.stop()
        self.wrong += self.ledger.wrong
        self.log = list(disk.log)
        self.digests = self.ledger.digests()
        self.counts["recordings"] += 1
        self.counts["acknowledged"] += self.ledger.counts["append"] + self.ledger.counts["delivered"]

    def wait_for_load(self):
        counts = self.ledger.counts
        first, replaced = {}, set()

        def taken():
            return counts["append"] + counts["delivered"]

        def compacted():
            for path, inode in segments(self.place).items():
                if first.setdefault(path, inode) != inode:
                    replaced.add(path)
            return len(replaced) >= self.compacted
        wait_for(lambda: taken() > 150 and counts["expunge"] > 5, 120, "150 messages")
        compacted()
        # rims-imapd looks through an account within seconds after it was opened. Until then no more mail:
        # each message is read twice in each state. If too little was dead by then, more of it will be.
        if self.compacted:
            self.ledger.going.clear()
            with contextlib.suppress(harness.Failure):
                wait_for(lambda: "compaction" in under_way(self.place) or compacted(), 15, "a compaction")
            self.ledger.going.set()
        enough = taken() + 30
        wait_for(lambda: compacted() and taken() > enough, 120, "a compaction, and 30 messages more")
        self.counts["segments"] += len(first)
        self.counts["compacted"] += len(replaced)

    def cut(self, disk, reopen, states):
        disk.bytes[:] = self.image
        done = 0
        # Right before a flush most is at stake.
        flushes = [i for i, entry in enumerate(self.log) if entry is None]
        points = [self.random.choice(flushes) if self.random.random() < 0.5
                  else self.random.randrange(len(self.log) + 1) for _ in range(states)]
        for at in sorted(points):
            safe = disk.last_flush(self.log, at)
            disk.replay(self.log, done, safe)
            done = safe
            for styles in (self.styles, WHOLE):
                with disk.trial():
                    self.counts["faults"] += disk.lose(self.log, safe, at, self.random, styles)
                    if self.random.random() < 0.1:
                        self.cut_again(disk, reopen, styles)
                    if self.state(disk, reopen, at):
                        self.counts["states"] += 1
                        break

    def cut_again(self, disk, reopen, styles):
        """The recovery of this state begins, and the power goes: that is the state then."""
        with disk.trial():
            try:
                with disk.mounted(self.kind, self.place):
                    reopen(self.place)
            except OSError:
                return  # state() tells of it
            log = disk.log
        at = self.random.randrange(len(log) + 1)
        safe = disk.last_flush(log, at)
        disk.replay(log, 0, safe)
        self.counts["faults"] += disk.lose(log, safe, at, self.random, styles)
        self.counts["during recovery"] += 1

    def state(self, disk, reopen, at):
        """Whether there was something to compare."""
        image = bytes(disk.bytes) if "RIMS_KEEP" in os.environ else None
        try:
            with disk.mounted(self.kind, self.place):
                for what in under_way(self.place):
                    self.counts[f"during {what}"] += 1
                found, wrong = reopen(self.place)
        except OSError as error:
            # Half of a block of its own (ext4: the superblock) is more than a file system must bear.
            self.counts["unmountable"] += 1
            print(f"state {self.counts['states']} of {self.kind}, {disk.style}: {error}", flush=True)
            return False
        before = sum(self.counts[k] for k in ("lost", "duplicated", "corrupt"))
        for sentence in wrong:
            self.blame("corrupt", sentence)
        self.compare(found, at)
        if image and sum(self.counts[k] for k in ("lost", "duplicated", "corrupt")) != before:
            name = f"{self.kind}-{self.counts['recordings']}-{self.counts['states']}.img"
            with open(os.path.join(os.environ["RIMS_KEEP"], name), "wb") as f:
                f.write(image)
        return True

    def blame(self, kind, sentence):
        self.counts[kind] += 1
        if len(self.wrong) < 50:
            self.wrong.append(f"recording {self.counts['recordings']} state {self.counts['states']}: {sentence}")

    def compare(self, found, at):
        """What must be there when the power went after `at` writes and flushes."""
        there = {}  # (user, mailbox) -> {number: flags}
        for (user, mailbox), (validity, messages) in found.items():
            numbers = there[user, mailbox] = {}
            for uid, (flags, digest) in messages.items():
                if digest == PASSING:
                    continue
                number = self.digests.get(digest)
                what = f"{user} {mailbox} UID {uid}"
                if number is None:
                    self.blame("corrupt", f"{what} is no message that was sent: {digest}")
                    continue
                if self.ledger.owner[number] != user:
                    self.blame("corrupt", f"{what} is a message of {self.ledger.owner[number]}")
                if self.ledger.uids.get((user, mailbox, validity, uid), number) != number:
                    self.blame("corrupt", f"{what} was another message")
                if number in numbers:
                    self.blame("duplicated", f"{what} is there twice")
                numbers[number] = flags
        for number, entry in self.ledger.entries.items():
            user = self.ledger.owner[number]
            for mailbox, name in (("INBOX", "inbox"), ("Archive", "copied")):
                promised = entry.then(name, at)
                present = number in there.get((user, mailbox), {})
                if promised == "yes" and not present:
                    self.blame("lost", f"message {number} of {user} is not in {mailbox}")
                if promised == "no" and present:
                    self.blame("corrupt", f"message {number} of {user} is in {mailbox} again, or too early")
            flags = there.get((user, "INBOX"), {}).get(number)
            promised = entry.then("flagged", at)
            if flags is not None and promised != "maybe" and entry.then("inbox", at) == "yes" and \
                    (promised == "yes") != bool(flags & FLAGGED):
                self.blame("lost", f"message {number} of {user}: \\Flagged was acknowledged as {promised}")


class PowerTest:
    """The tests of one kind of file system."""

    kind = None

    @classmethod
    def setUpClass(cls):
        reason = disks.missing([cls.kind])
        if reason:
            raise unittest.SkipTest(f"no block device to record: {reason}")
        alone()
        cls.seed = int(os.environ.get("RIMS_CRASH_SEED", str(int(time.time()))))
        print(f"seed {cls.seed}", flush=True)

    def test_no_power_cut_loses_what_was_acknowledged(self):
        power = Power(self.kind, self.seed)
        try:
            power.run(count.size("RIMS_STATES", 500, 10_000), per_recording=250)
        finally:
            print(dict(power.counts), *power.wrong, sep="\n", flush=True)
            harm = {k: power.counts[k] for k in ("lost", "duplicated", "corrupt", "states", "faults")}
            count.tell(f"power {self.kind}", runs=power.counts["recordings"], **harm)
        self.assertEqual(power.wrong, [])
        self.assertLess(power.counts["unmountable"], power.counts["states"] / 10 + 10)
        self.assertGreater(power.counts["during roll"], 0)
        self.assertGreater(power.counts["during compaction"], 0)

    def notices(self, mutant, kinds, styles=STYLES, compacted=0):
        power = Power(self.kind, self.seed, mutant, styles, compacted)

        def noticed():
            return any(power.counts[kind] for kind in kinds)
        # Chance decides what is torn: give it time.
        while not noticed() and power.counts["states"] < 600:
            power.run(power.counts["states"] + 60)
        print(dict(power.counts), *power.wrong[:3], flush=True)
        count.tell(f"power {self.kind}", mutants=(int(noticed()), 1))
        self.assertTrue(noticed())

    def test_the_harness_notices_a_journal_without_fdatasync(self):
        self.notices("no_fdatasync", ("lost",))

    def test_the_harness_notices_records_without_checksums(self):
        self.notices("no_checksum", ("corrupt",), styles=("torn",))

    def test_the_harness_notices_a_rewritten_segment_without_fsync(self):
        self.notices("no_rewrite_fsync", ("lost", "corrupt"), compacted=COMPACTED)
