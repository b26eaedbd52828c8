"""Killed processes, power cuts and damaged disks: nothing acknowledged is lost, altered or confused

RIMS_KILLS (500; long 10,000) says how many processes are killed, RIMS_CUTS (12; long 200) how often the
power goes, RIMS_CRASH_SEED which ones and when. Under kills segments are small and most mail is expunged soon:
they roll all the time, and every hundred kills one waits for a compaction. The same checks must fail when writes
are left out, the journal or its directory is not synced or its checksums are not looked at: a harness that
cannot fail proves nothing.
"""

# time limit: 900 s
# runs alone

import contextlib
import os
import random
import signal
import tempfile
import time
import unittest

from tests.crash import count
from tests.crash.ledger import Ledger
from tests.crash.lossy import Lossy, journals, preload
from tests.system import harness
from tests.system.harness import Suite, wait_for

KILLS = count.size("RIMS_KILLS", 500, 10_000)
CUTS = count.size("RIMS_CUTS", 12, 200)
SEED = int(os.environ.get("RIMS_CRASH_SEED", str(int(time.time()))))
USERS = {"foo": "bar", "baz": "qux"}
SETTINGS = "processes:\n  imapd_workers: 2\n  login_workers: 2\n"
SMALL_SEGMENTS = "storage:\n  segment_size: 64K\n  expunge_retention: 0\n"
ROLES = ("log", "auth", "login", "login", "imapd", "imapd", "imapd", "deliverd")


def serves(suite, users):
    """Whether everyone can log in and be delivered to: the suite is whole again."""
    for user in users:
        try:
            with suite.login(user, limit=10) as imap:
                if imap.select("INBOX", readonly=True)[0] != "OK":
                    return False
        except (OSError, harness.imaplib.IMAP4.error):
            return False
    return True


def harm(ledger):
    return {kind: ledger.blamed[kind] for kind in ("lost", "duplicated", "corrupt")}


class Crash(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        print(f"seed {SEED}", flush=True)

    def finish(self, suite, ledger):
        """Stops the load, starts the suite anew and compares."""
        ledger.stop()
        suite.stop()
        suite.start()
        wait_for(lambda: serves(suite, USERS), 30, "the suite serves after the last start")
        return ledger.check()

    def kill_some(self, suite):
        """Returns how many."""
        if self.random.random() < 0.03:
            killed = len(suite.pids())
            suite.kill_controller()
            suite.start()
            return killed
        killed = 0
        for _ in range(self.random.randint(1, 4)):
            pids = suite.pids(self.random.choice(ROLES))
            with contextlib.suppress(IndexError, ProcessLookupError):
                os.kill(self.random.choice(pids), signal.SIGKILL)
                killed += 1
        wait_for(lambda: serves(suite, USERS), 30, "the suite serves after a kill")
        return killed

    def kill_in_compaction(self, suite):
        """Waits until a segment is being written anew, and returns how many were killed then, and before."""
        def rewriting():
            return any(path.endswith(".new") for path in journals(suite.mail))

        def signal_all(what):
            pids = suite.pids("imapd")
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, what)
            return len(pids)

        def caught():
            if not rewriting():
                return False
            signal_all(signal.SIGSTOP)
            time.sleep(0.001)  # a call that was under way ends
            if not rewriting():
                signal_all(signal.SIGCONT)
                return False
            return signal_all(signal.SIGKILL)
        killed = 0
        for _ in range(10):
            # An account is looked through seconds after it was opened, and that may be over soon.
            with contextlib.suppress(harness.Failure):
                killed += wait_for(caught, 10, "a compaction")
                break
            killed += signal_all(signal.SIGKILL)
            wait_for(lambda: serves(suite, USERS), 30, "the suite serves after a kill")
        else:
            raise harness.Failure("no segment was written anew after any of 10 starts")
        wait_for(lambda: serves(suite, USERS), 30, "the suite serves after a kill")
        return killed

    def under_kills(self, kills, every, mutant=None):
        """How many processes were killed, and the ledger after it. `every` so many wait for a compaction."""
        with tempfile.TemporaryDirectory(prefix="rims-kill-") as directory:
            suite = Suite(users=USERS, settings=SETTINGS + SMALL_SEGMENTS)
            if mutant:
                preload(suite, directory, mutant)
            with suite:
                ledger = Ledger(suite, list(USERS), expunges=8)
                ledger.start()
                killed = compactions = 0
                try:
                    while killed < kills:
                        time.sleep(self.random.uniform(0, 0.15))
                        if killed < every * (compactions + 1):
                            killed += self.kill_some(suite)
                        else:
                            killed += self.kill_in_compaction(suite)
                            compactions += 1
                finally:
                    ledger.stop()
                self.finish(suite, ledger)
                print(f"killed {killed}, in compactions {compactions}, segments {len(journals(suite.mail))}: "
                      f"{dict(ledger.counts)}", flush=True)
                return killed, ledger

    def test_killed_processes_lose_nothing(self):
        done = 0
        while done < KILLS:
            # Anew after some, so that the accounts stay as small as the segments.
            killed, ledger = self.under_kills(min(KILLS - done, 500), every=100)
            done += killed
            count.tell("kill", runs=1, states=1, faults=killed, **harm(ledger))
            self.assertEqual(ledger.wrong, [])
            self.assertGreater(ledger.counts["delivered"], killed / 5)
            self.assertGreater(ledger.counts["append"], killed / 5)

    def test_the_harness_notices_writes_that_are_left_out(self):
        try:
            _, ledger = self.under_kills(30, every=31, mutant="dropped_writes")
            noticed = any(harm(ledger).values())
        except harness.Failure as failure:  # not even what is left is served
            noticed = "serves" in str(failure)
        count.tell("kill", mutants=(int(noticed), 1))
        self.assertTrue(noticed)

    def under_power_cuts(self, cuts, mutant=None):
        """The ledger after that many power cuts."""
        with tempfile.TemporaryDirectory(prefix="rims-lossy-") as directory:
            suite = Suite(users=USERS, settings=SETTINGS)
            lossy = Lossy(suite, directory, mutant)
            with suite:
                ledger = Ledger(suite, list(USERS), seed=2)
                ledger.start()
                touched = 0
                try:
                    for _ in range(cuts):
                        time.sleep(self.random.uniform(0.3, 1.0))
                        suite.kill_all()
                        touched += lossy.power_cut(self.random)
                        suite.start()
                finally:
                    ledger.stop()
                self.finish(suite, ledger)
                print(f"{cuts} power cuts took back {touched} writes: {dict(ledger.counts)}",
                      flush=True)
                self.assertGreater(ledger.counts["append"], cuts)
                return ledger

    def test_power_cuts_lose_nothing_acknowledged(self):
        ledger = self.under_power_cuts(CUTS)
        count.tell("cut", runs=1, states=CUTS, faults=CUTS, **harm(ledger))
        self.assertEqual(ledger.wrong, [])

    def notices(self, mutant):
        try:
            noticed = self.under_power_cuts(3, mutant).blamed["lost"] > 0
        except harness.Failure as failure:  # not even what is left is served
            noticed = "serves" in str(failure)
        count.tell("cut", mutants=(int(noticed), 1))
        self.assertTrue(noticed)

    def test_the_harness_notices_a_journal_without_fdatasync(self):
        self.notices("no_fdatasync")

    def test_the_harness_notices_a_directory_without_fsync(self):
        self.notices("no_directory_fsync")

    def under_damage(self, mutant=None):
        """How many bytes of the journal were altered, the ledger and the log's sentences after it."""
        with tempfile.TemporaryDirectory(prefix="rims-lossy-") as directory:
            suite = Suite(users=USERS, settings=SETTINGS)
            if mutant:
                Lossy(suite, directory, mutant)
            with suite:
                ledger = Ledger(suite, list(USERS), seed=3)
                ledger.start()
                try:
                    wait_for(lambda: ledger.counts["append"] > 150, 60, "150 messages")
                finally:
                    ledger.stop()
                suite.stop()
                flipped = self.flip(suite)
                suite.start()
                wait_for(lambda: serves(suite, USERS), 30, "the suite serves in spite of damage")
                ledger.damage_allowed = True
                ledger.check()
                print(f"{flipped} bytes altered, {ledger.counts['reads refused']} reads refused",
                      flush=True)
                # The log names what was found.
                noticed = [l for l in suite.log_text().splitlines()
                           if "damaged: " in l]
                return flipped, ledger, noticed

    def flip(self, suite):
        """Alters one bit in each of many places that hold bytes of messages."""
        flipped = 0
        for path in journals(suite.mail):
            with open(path, "r+b") as f:
                data = f.read()
                at = data.find(b"X-Number: ")
                while at >= 0:
                    if self.random.random() < 0.3:
                        place = at + 40  # in the body's hexadecimal digits
                        f.seek(place)
                        f.write(bytes([data[place] ^ 1]))
                        flipped += 1
                    at = data.find(b"X-Number: ", at + 1)
        return flipped

    def test_altered_bytes_are_never_served_as_good(self):
        flipped, ledger, noticed = self.under_damage()
        count.tell("damage", runs=1, states=1, faults=flipped, **harm(ledger))
        self.assertEqual(ledger.wrong, [])
        self.assertTrue(noticed, "the log says nothing of the damage")

    def test_the_harness_notices_a_journal_without_checksums(self):
        _, ledger, _ = self.under_damage("no_checksum")
        noticed = any("altered" in text for text in ledger.wrong)
        count.tell("damage", mutants=(int(noticed), 1))
        self.assertTrue(noticed, ledger.wrong)


if __name__ == "__main__":
    unittest.main()
