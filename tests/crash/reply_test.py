"""Killed between the commit and the answer: the MTA tries again, and there is exactly one copy

Each round strace holds a process of the suite and kills it when it is about to write the answer of a
delivery that is durable: rims-imapd at its first answer, or rims-deliverd at the one to rims-deliver. Who
delivers hears nothing good, ends with 75, and tries again with the same queue id, as an MTA does,
until the answer is 0. RIMS_REPLY_KILLS says how many are killed (60; long: 1,000).

The mutant is the setting delivery.duplicate_window: 0, with which every attempt is a copy.
"""

# time limit: 300 s
# runs alone

import collections
import os
import shutil
import subprocess
import threading
import unittest

from tests.crash.count import size, tell
from tests.system.harness import Suite, wait_for

KILLS = size("RIMS_REPLY_KILLS", 60, 1000)
MUTANT_KILLS = 4
SETTINGS = "processes:\n  imapd_workers: 1\n"
AT_ONCE = 4            # deliveries under way when rims-imapd is killed
TRIES = 100


def message(number):
    return (f"From: mta@example.org\nTo: foo@example.org\nSubject: reply test\n"
            f"X-Number: {number}\n\nhello {number}\n").encode()


class Trap:
    """Kills a process when it makes its `when`-th sendmsg from now on: the links are written so."""

    def __init__(self, pid, when):
        self.strace = subprocess.Popen(
            ["strace", "-p", str(pid), "-e", "trace=sendmsg", "-o", "/dev/null",
             "-e", f"inject=sendmsg:signal=KILL:when={when}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = self.strace.stderr.readline()
        if b"attached" not in said:
            self.end()
            raise AssertionError(f"strace: {said!r}")

    def end(self):
        """Returns when the process that was held is dead, or is let go."""
        try:
            self.strace.wait(10)
        except subprocess.TimeoutExpired:
            self.strace.terminate()
            self.strace.wait(10)
        self.strace.stderr.close()


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("strace"),
                     "needs root and strace, to kill at a system call")
class Reply(unittest.TestCase):
    def deliver(self, suite, number, tries=TRIES):
        """As an MTA: the same again until it is taken. Returns how many attempts it took."""
        for attempt in range(1, tries + 1):
            done = suite.command("bin/rims-deliver", "-d", "foo", "-f", "mta@example.org",
                                 "-i", f"Q{number}", stdin=message(number), limit=60)
            if done.returncode == 0:
                return attempt
            self.assertEqual(done.returncode, 75, done.stderr.decode())
        self.fail(f"message {number} was not taken in {tries} attempts")

    def round(self, suite, role, when, numbers):
        """One kill; returns the attempts of all."""
        pids = wait_for(lambda: suite.pids(role), 20, f"rims-{role} runs")
        trap = Trap(pids[0], when)
        attempts = {}

        def one(number):
            attempts[number] = self.deliver(suite, number)
        threads = [threading.Thread(target=one, args=(n,)) for n in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        trap.end()
        self.assertEqual(sorted(attempts), sorted(numbers), "all were taken in the end")
        return attempts

    def copies(self, suite):
        found = collections.Counter()
        with suite.login() as imap:
            imap.select("INBOX", readonly=True)
            _, data = imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (X-NUMBER)])")
            for part in data:
                if isinstance(part, tuple):
                    found[int(part[1].split(b":")[1])] += 1
        return found

    def under_kills(self, kills, settings=""):
        """Delivers and kills. Returns what was sent, copies of each, attempts, duplicates logged."""
        with Suite(settings=SETTINGS + settings) as suite:
            self.deliver(suite, 0)
            sent, attempts, killed = [0], 1, 0
            while killed < kills:
                first = sent[-1] + 1
                if killed % 2 == 0:
                    numbers = list(range(first, first + AT_ONCE))
                    made = self.round(suite, "imapd", 1, numbers)
                else:
                    # It asks rims-auth, hands the message to rims-imapd, answers rims-deliver.
                    numbers = [first]
                    made = self.round(suite, "deliverd", 3, numbers)
                sent += numbers
                attempts += sum(made.values())
                # The kill was felt by who delivered.
                self.assertGreater(sum(made.values()), len(numbers))
                killed += 1
            found = self.copies(suite)
            known = suite.log_text().count("a duplicate: delivered")
            suite.stop()
            suite.start()
            self.assertEqual(self.copies(suite), found, "the same after a restart")
            return sent, found, attempts, known

    def test_exactly_one_copy_of_each(self):
        sent, found, attempts, known = self.under_kills(KILLS)
        lost = [n for n in sent if found[n] == 0]
        twice = [n for n in found if found[n] > 1]
        print(f"{KILLS} kills, {len(sent)} messages, {attempts} attempts, {known} known again",
              flush=True)
        tell("reply", runs=1, faults=KILLS, lost=len(lost), duplicated=len(twice))
        self.assertEqual((lost, twice), ([], []))
        self.assertEqual(len(found), len(sent))
        # Each kill came after a commit: there was something to recognise.
        self.assertGreaterEqual(known, KILLS)

    def test_the_harness_notices_a_server_that_remembers_nothing(self):
        sent, found, _, _ = self.under_kills(MUTANT_KILLS, "delivery:\n  duplicate_window: 0\n")
        twice = [n for n in sent if found[n] > 1]
        tell("reply", mutants=(1 if twice else 0, 1))
        self.assertGreaterEqual(len(twice), MUTANT_KILLS)


if __name__ == "__main__":
    unittest.main()
