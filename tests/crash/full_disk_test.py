"""A full disk: new mail waits at the MTA, nothing acknowledged is lost, and it recovers by itself

The suite's mail lies on a small ext4 file system of its own, and so does its log. A filler takes all blocks,
or all inodes, or leaves less than storage.free_space_floor. While it is there, RIMS_REFUSALS (1,000)
deliveries are tried: each gets 75. When it is gone the next one is stored, by the same processes.
The ledger (tests/crash/ledger.py) knows what was promised; it is checked after a restart.

The mutant writes with every error of a write called a success (tests/crash/lossy_io.c).
"""

# time limit: 300 s

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

from tests.clients.support import crlf
from tests.crash import count, disk
from tests.crash.ledger import Ledger, body_of
from tests.crash.lossy import preload
from tests.system import mounts
from tests.system.harness import NOBODY, Suite, wait_for
from tests.system.submit import DELIVERED, DOUBTFUL, Submitter

REFUSALS = int(os.environ.get("RIMS_REFUSALS", "1000"))
HANDS = 4                   # deliveries under way at a time
DISK = 24 << 20
USERS = {"foo": "bar", "new": "bar"}
ROOM = 7000                 # a message that does not fit into what the journal has ahead
WORKERS = "processes:\n  imapd_workers: 1\n"


def missing():
    if shutil.which("mount") is None:
        return "mount is not installed"
    return disk.missing(["ext4"])


@contextlib.contextmanager
def small_disk(*options):
    """The mount point of an empty ext4 file system."""
    room = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="rims-full-", dir=room) as directory:
        os.chmod(directory, 0o755)
        image, place = os.path.join(directory, "image"), os.path.join(directory, "place")
        with open(image, "wb") as f:
            f.truncate(DISK)
        subprocess.run([*disk.MAKE["ext4"], "-m", "0", *options, image], check=True,
                       capture_output=True, timeout=60)
        os.mkdir(place)
        # The loop device goes with the mount, and the mount with this process (mounts.alone).
        subprocess.run(["mount", "-o", "loop,nosuid,nodev,noatime", image, place], check=True,
                       capture_output=True, timeout=60)
        try:
            yield place
        finally:
            disk.umount(place)


class Full:
    """A suite on a small disk, what it has promised, and the filler."""

    def __init__(self, place, settings="", mutant=None):
        self.place = place
        mail = os.path.join(place, "mail")
        os.mkdir(mail, 0o700)
        os.chown(mail, NOBODY, NOBODY)
        self.suite = Suite(users=USERS, settings=WORKERS + settings)
        self.suite.mail_on(mail)
        if mutant:
            preload(self.suite, self.suite.directory, mutant)
        self.ledger = Ledger(self.suite, list(USERS))
        self.refused = 0

    def number(self, user="foo", least=0):
        """A message that nobody has sent yet."""
        while True:
            number = self.ledger.new(user)
            if len(body_of(number)) >= least:
                return number

    def deliver(self, mta, user="foo", least=0, number=None):
        """Hands a new message over. Returns (exit status, reason); the ledger knows."""
        if number is None:
            number = self.number(user, least)
        status, reason = mta.submit(crlf(body_of(number)), user=self.ledger.owner[number],
                                    delivery_id=f"Q{number}")
        # Nothing died: what was refused is not there.
        self.ledger.entries[number].inbox = "yes" if status == DELIVERED else "no"
        return status, re.sub(r"^\d+ bytes(: )?", "", reason)

    def some(self, how_many=5):
        with Submitter(self.suite) as mta:
            for _ in range(how_many):
                status, reason = self.deliver(mta)
                assert status == DELIVERED, reason

    def until_refused(self, user="foo", least=ROOM):
        """Uses up what is left. Returns the reason."""
        with Submitter(self.suite) as mta:
            for _ in range(500):
                status, reason = self.deliver(mta, user, least)
                if status != DELIVERED:
                    return reason
        raise AssertionError("500 deliveries to a full disk were taken")

    def refusals(self, user="foo", least=ROOM, how_many=REFUSALS):
        """Tries so many deliveries. Returns the different (exit status, reason) there were."""
        found = set()

        def work(numbers):
            with Submitter(self.suite) as mta:
                for number in numbers:
                    found.add(self.deliver(mta, number=number))
        numbers = [self.number(user, least) for _ in range(how_many)]
        threads = [threading.Thread(target=work, args=(numbers[i::HANDS],)) for i in range(HANDS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.refused += how_many
        return found

    # The filler -------------------------------------------------------------------------------

    def fill(self, leave=0):
        """Takes all blocks but `leave` bytes."""
        with open(os.path.join(self.place, "filler"), "wb") as f:
            size, piece = 0, DISK
            while piece >= 4096:
                s = os.statvfs(self.place)
                free = s.f_bfree * s.f_frsize - leave
                if free < piece and leave:
                    piece //= 2
                    continue
                try:
                    os.posix_fallocate(f.fileno(), size, piece)
                    size += piece
                except OSError:
                    piece //= 2
            os.fsync(f.fileno())

    def fill_inodes(self):
        os.mkdir(os.path.join(self.place, "fillers"))
        with contextlib.suppress(OSError):
            for n in range(DISK):
                os.close(os.open(os.path.join(self.place, "fillers", str(n)), os.O_CREAT | os.O_WRONLY))

    def make_room(self):
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(self.place, "filler"))
        shutil.rmtree(os.path.join(self.place, "fillers"), ignore_errors=True)
        os.sync()

    # Who reads --------------------------------------------------------------------------------

    def read(self, imap):
        """A message that is known, whole. Returns (uid, number)."""
        uids = imap.uid("SEARCH", "ALL")[1][0].split()
        number = int(imap.uid("FETCH", uids[0], "(BODY.PEEK[HEADER.FIELDS (X-NUMBER)])")[1][0][1]
                     .split(b":")[1])
        assert imap.uid("FETCH", uids[0], "(BODY.PEEK[])")[1][0][1] == crlf(body_of(number))
        return uids[0].decode(), number

    def append(self, imap):
        number = self.number(least=ROOM)
        status, data = imap.append("INBOX", None, None, crlf(body_of(number)))
        self.ledger.entries[number].inbox = "yes" if status == "OK" else "no"
        return status, data[0]

    def change(self, imap, number, what, *words):
        """A STORE or an EXPUNGE: done, or clearly refused and then not done."""
        status, data = imap.uid(*words)
        if status == "OK":
            setattr(self.ledger.entries[number], *what)
        else:
            assert status == "NO" and data[0].startswith(b"[UNAVAILABLE] "), (words, status, data)
        return status


@unittest.skipIf(missing(), missing())
class FullDisk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        mounts.alone()

    def finish(self, full, runs=1, processes=None):
        """A restart, and the books compared."""
        if processes is not None:
            self.assertEqual(full.suite.pids(), processes, "nobody died")
        full.suite.stop()
        full.suite.start()
        wrong = full.ledger.check()
        blamed = full.ledger.blamed
        count.tell("full disk", runs=runs, states=1, faults=full.refused, lost=blamed["lost"],
                   duplicated=blamed["duplicated"], corrupt=blamed["corrupt"] + blamed["other"])
        self.assertEqual(wrong, [])

    def taken_again(self, full, limit=0, **more):
        """The next delivery is stored; within `limit` seconds where the floor is looked at."""
        with Submitter(full.suite) as mta:
            if not limit:
                self.assertEqual(full.deliver(mta, **more)[0], DELIVERED)
            wait_for(lambda: full.deliver(mta, **more)[0] == DELIVERED, limit or 1, "mail is taken")

    def test_no_block_is_left(self):
        with small_disk() as place:
            full = Full(place, "storage:\n  free_space_floor: 0\n")
            with full.suite as suite:
                full.some(8)
                processes = suite.pids()
                full.fill()
                self.assertEqual(full.until_refused(), "no space left")
                self.assertEqual(full.refusals(), {(DOUBTFUL, "no space left")})
                with suite.login() as imap:
                    imap.select("INBOX")
                    uid, number = full.read(imap)
                    status, why = full.append(imap)
                    self.assertEqual((status, why), ("NO", b"[UNAVAILABLE] no space left"))
                    # Small changes go on in what is left of the journal's room, until that is used up.
                    changes = []
                    while "NO" not in changes:
                        self.assertLess(len(changes), 2000)
                        on = len(changes) % 2 == 0
                        changes.append(full.change(
                            imap, number, ("flagged", "yes" if on else "no"),
                            "STORE", uid, "+FLAGS" if on else "-FLAGS", r"(\Flagged)"))
                    self.assertGreater(len(changes), 2)
                    # The session lives: what needs no room works.
                    self.assertEqual(full.read(imap), (uid, number))
                    full.change(imap, number, ("copied", "yes"), "COPY", uid, "Archive")
                # Stopped and started while it is full.
                self.assertEqual(suite.pids(), processes, "nobody died")
                suite.stop()
                suite.start()
                processes = suite.pids()
                with suite.login() as imap:
                    imap.select("INBOX")
                    full.read(imap)
                self.assertEqual(full.refusals(how_many=50), {(DOUBTFUL, "no space left")})
                full.make_room()
                self.taken_again(full)
                self.all_commands_work(full)
                self.finish(full, processes=processes)

    def all_commands_work(self, full):
        with full.suite.login() as imap:
            imap.select("INBOX")
            uid, number = full.read(imap)
            self.assertEqual(full.append(imap)[0], "OK")
            imap.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)")
            self.assertEqual("OK", full.change(imap, number, ("inbox", "no"), "EXPUNGE", uid))

    def test_no_inode_is_left(self):
        with small_disk("-N", "64") as place:
            full = Full(place, "storage:\n  free_space_floor: 0\n")
            with full.suite as suite:
                full.some()
                processes = suite.pids()
                full.fill_inodes()
                # No account can be made, and those that are there go on.
                found = full.refusals("new", least=0)
                self.assertEqual({status for status, _ in found}, {DOUBTFUL}, found)
                with Submitter(suite) as mta:
                    self.assertEqual(full.deliver(mta), (DELIVERED, ""))
                self.all_commands_work(full)
                full.make_room()
                self.taken_again(full, user="new")
                self.finish(full, processes=processes)

    def test_below_the_floor(self):
        with small_disk("-N", "256") as place:
            full = Full(place, "storage:\n  free_space_floor: 20\n")
            with full.suite as suite:
                full.some(10)
                processes = suite.pids()
                # Of 24 MiB, and then of the inodes, less than a fifth is free.
                for make_full in (lambda: full.fill(3 << 20), full.fill_inodes):
                    make_full()
                    with Submitter(suite) as mta:
                        wait_for(lambda mta=mta: full.deliver(mta)[0] == DOUBTFUL, 20,
                                 "the floor is noticed")
                    self.assertEqual(full.refusals(least=0, how_many=REFUSALS // 4),
                                     {(DOUBTFUL, "no room for new mail now")})
                    with suite.login() as imap:
                        imap.select("INBOX")
                        uid, number = full.read(imap)
                        self.assertEqual(full.append(imap),
                                         ("NO", b"[UNAVAILABLE] no room for new mail now"))
                        self.assertEqual("OK", full.change(imap, number, ("flagged", "yes"), "STORE",
                                                           uid, "+FLAGS", r"(\Flagged \Deleted)"))
                        self.assertEqual("OK", full.change(imap, number, ("inbox", "no"), "EXPUNGE", uid))
                    full.make_room()
                    self.taken_again(full, limit=20)
                self.assertIn("(storage.free_space_floor): new mail is refused", suite.log_text())
                self.assertIn("new mail is taken again", suite.log_text())
                self.finish(full, processes=processes)

    def test_the_harness_notices_writes_whose_errors_nobody_sees(self):
        with small_disk() as place:
            full = Full(place, "storage:\n  free_space_floor: 0\n", mutant="no_errors")
            with full.suite as suite:
                full.some()
                full.fill()
                for _ in range(100):
                    with Submitter(suite) as mta:
                        full.deliver(mta, least=ROOM)
                full.make_room()
                suite.kill_all()
                suite.start()
                full.ledger.check()
                noticed = full.ledger.blamed["lost"] > 0
                count.tell("full disk", mutants=(int(noticed), 1))
                self.assertTrue(noticed, full.ledger.wrong)


if __name__ == "__main__":
    unittest.main()
