"""Killed between the commit and the answer: the MTA tries again, and there is exactly one copy

Each round kills a process of the suite with SIGKILL when it is about to write the answer of a delivery that is
durable: rims-imapd at its first answer, or rims-deliverd at the one to rims-deliver. It stands at that write
because tests/crash/reply_gate.c holds it there. Who delivers hears nothing good, which is status 75, and
tries again with the same queue id, as an MTA does, until the answer is 0. RIMS_REPLY_KILLS says how many
are killed (1,000); in each twentieth round the deliveries are made by rims-deliver itself.

The mutant is the setting delivery.duplicate_window: 0, with which every attempt is a copy.
"""

# time limit: 300 s
# runs alone

import collections
import contextlib
import mmap
import os
import signal
import struct
import subprocess
import tempfile
import time
import unittest

from tests.clients.support import crlf
from tests.crash.count import size, tell
from tests.crash.lossy import preload_library
from tests.system.harness import NOBODY, Suite, wait_for
from tests.system.submit import DELIVERED, DOUBTFUL, Submitter

KILLS = size("RIMS_REPLY_KILLS", 1000, 1000)
MUTANT_KILLS = 4
KILLS_OF_ONE = 100     # then another user's: an account is read again after each
SETTINGS = "processes:\n  imapd_workers: 1\n"
AT_ONCE = 4            # deliveries under way when rims-imapd is killed
TRIES = 100
REPLY = {"imapd": 4, "deliverd": 2}   # the types of the answers in common/ipc/deliver_link.h
SENDER = "mta@example.org"


def message(number):
    return (f"From: mta@example.org\nTo: foo@example.org\nSubject: reply test\n"
            f"X-Number: {number}\n\nhello {number}\n").encode()


class Gate:
    """Where a process stops before it writes an answer that says "delivered"."""

    def __init__(self, path):
        with open(path, "w+b") as f:
            f.write(bytes(8))
            f.flush()
            os.chmod(path, 0o666)
            self._map = mmap.mmap(f.fileno(), 8)
        self.path = path

    def shut(self):
        self._map[:] = struct.pack("=II", 1, 0)

    def stands(self):
        """The process that stands there, or 0."""
        return struct.unpack_from("=I", self._map, 4)[0]

    def close(self):
        self._map.close()


class ByProgram:
    """One attempt by rims-deliver."""

    def __init__(self, suite):
        self.suite = suite
        self.child = None

    def send(self, number, user):
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.suite.drop else {}
        self.child = subprocess.Popen(
            [f"{self.suite.stage}/bin/rims-deliver", "-d", user, "-f", SENDER, "-i", f"Q{number}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            env={**self.suite.env, "RIMS_CONFIG": self.suite.config}, **who)
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.write(message(number))
            self.child.stdin.close()

    def status(self):
        return self.child.wait(60)

    def close(self):
        pass


class BySocket:
    """The same without a process of its own."""

    def __init__(self, suite):
        self.mta = Submitter(suite)

    def send(self, number, user):
        self.mta.send(crlf(message(number)), user=user, sender=SENDER, delivery_id=f"Q{number}")

    def status(self):
        return self.mta.answer()[0]

    def close(self):
        self.mta.close()


class Reply(unittest.TestCase):
    def round(self, suite, gate, hands, numbers, user):
        """One kill; returns how many attempts it took in all, and the process that was killed."""
        gate.shut()
        for hand, number in zip(hands, numbers):
            hand.send(number, user)
        pid = wait_for(gate.stands, 30, "a process is about to answer")
        os.kill(pid, signal.SIGKILL)
        attempts = 0
        for hand, number in zip(hands, numbers):
            for attempt in range(1, TRIES + 1):
                if attempt > 1:
                    hand.send(number, user)
                status = hand.status()
                if status == DELIVERED:
                    break
                self.assertEqual(status, DOUBTFUL)
                self.assertLess(attempt, TRIES, f"message {number} is not taken")
            attempts += attempt
        return attempts, pid

    def copies(self, suite, users):
        found = collections.Counter()
        for user in users:
            with suite.login(user) as imap:
                imap.select("INBOX", readonly=True)
                _, data = imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (X-NUMBER)])")
                for part in data:
                    if isinstance(part, tuple):
                        found[user, int(part[1].split(b":")[1])] += 1
        return found

    def under_kills(self, kills, settings=""):
        """Delivers and kills. Returns what was sent, copies of each, attempts, duplicates logged."""
        users = [f"user{n}" for n in range(-(-kills // KILLS_OF_ONE))]
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="rims-reply-"))
            suite = Suite(users=dict.fromkeys(users, "bar"), settings=SETTINGS + settings)
            gates = {role: Gate(os.path.join(directory, role)) for role in REPLY}
            preload_library(suite, directory, "reply_gate.c",
                            {f"rims-{role}": {"RIMS_GATE": gate.path, "RIMS_GATE_REPLY": REPLY[role]}
                             for role, gate in gates.items()})
            for gate in gates.values():
                stack.callback(gate.close)
            stack.enter_context(suite)
            sent, attempts, known = [], 0, 0
            by_socket = [BySocket(suite) for _ in range(AT_ONCE)]
            by_program = [ByProgram(suite) for _ in range(AT_ONCE)]
            for hand in by_socket:
                stack.callback(hand.close)
            killed = set()
            for kill in range(kills):
                user = users[kill // KILLS_OF_ONE]
                role, together = (("imapd", AT_ONCE), ("deliverd", 1))[kill % 2]
                numbers = range(len(sent), len(sent) + together)
                hands = by_program if kill % 20 in (0, 1) else by_socket
                made, pid = self.round(suite, gates[role], hands, numbers, user)
                # The kill was felt by who delivered.
                self.assertGreater(made, together)
                attempts += made
                killed.add(pid)
                sent += [(user, number) for number in numbers]
            self.assertEqual(len(killed), kills, "each time another process")
            found = self.copies(suite, users)
            known = suite.log_text().count("a duplicate: delivered")
            suite.stop()
            suite.start()
            self.assertEqual(self.copies(suite, users), found, "the same after a restart")
            return sent, found, attempts, known

    def test_exactly_one_copy_of_each(self):
        began = time.monotonic()
        sent, found, attempts, known = self.under_kills(KILLS)
        lost = [n for n in sent if found[n] == 0]
        twice = [n for n in found if found[n] > 1]
        print(f"{KILLS} kills, {len(sent)} messages, {attempts} attempts, {known} known again, "
              f"{(time.monotonic() - began) / KILLS * 1000:.0f} ms per kill", flush=True)
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
