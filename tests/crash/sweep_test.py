"""Every system call that mail passes through fails: of a delivery, an APPEND, a flag change, an expunge, the
opening of an account, a start, an APPEND that rolls to a new segment, and a compaction

For each (operation, process, system call, n-th call of one thread) of a clean trace, and each error that
fits the call, strace lets the call fail, once or from then on. Whatever happens: an answer of the right
form (exit status 0 or 75; OK, NO or the end of the connection), nothing acknowledged is lost, nothing is
there twice or altered, and when the fault is over the next delivery and the next APPEND succeed.

All of them with RIMS_LONG=1; with RIMS_HARNESSES=1 each (operation, process, system call) once, and then
others; else as many as RIMS_SWEEP_SECONDS (20) are enough for. RIMS_CRASH_SEED says which; RIMS_SWEEP=operation/process/call leaves the
others out, RIMS_VERBOSE=1 names each.

Which thread makes the n-th call, and whether a timer comes between, is chance, so a fault may hit another
call than meant, or none. What is judged holds for each: it waits for an event, and the time limits are there
for what hangs.
"""

# time limit: 600 s

import collections
import contextlib
import hashlib
import imaplib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from tests.clients.support import crlf
from tests.crash import count
from tests.crash.ledger import LOST, body_of, digest
from tests.crash.lossy import journals, preload
from tests.system import harness
from tests.system.harness import Suite, wait_for

# In CI always the same choice, so that a change is judged by itself and not by luck.
SEED = int(os.environ.get("RIMS_CRASH_SEED", str(int(time.time())) if count.LONG else "1"))
SECONDS = count.size("RIMS_SWEEP_SECONDS", 20, 1 << 30)
ONLY = [word for word in os.environ.get("RIMS_SWEEP", "").split("/") if word]  # operation/process/call
# One thread waits for the disk: its n-th call is mostly the same each time.
SETTINGS = "processes:\n  imapd_workers: 1\n  login_workers: 1\n  io_threads: 1\n"
SMALL_SEGMENTS = SETTINGS + "storage:\n  segment_size: 64K\n  expunge_retention: 0\n"
LARGE = 36_000  # two messages of this size need two segments
PROGRAMS = ("rims-log", "rims-auth", "rims-login", "rims-imapd", "rims-deliverd")
PATIENCE = {False: 60, True: 2}  # seconds for an answer; nothing can be told to who is deaf for ever

_DISK = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "short")
_FILE = ("EIO", "ENOMEM", "EMFILE")
_NET = ("ENOMEM", "EINTR", "EAGAIN")
# What the kernel may answer. "short": the call writes nothing and says that it wrote nothing.
ERRORS = {
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "pwritev2"), _DISK),
    **dict.fromkeys(("read", "pread64", "readv", "preadv"), ("EIO", "EINTR")),
    **dict.fromkeys(("fsync", "fdatasync", "sync_file_range"), ("EIO", "ENOSPC", "EDQUOT")),
    **dict.fromkeys(("ftruncate", "fallocate", "rename", "renameat", "renameat2", "unlink", "unlinkat",
                     "mkdir", "mkdirat", "link", "linkat"), ("EIO", "ENOSPC", "EDQUOT")),
    **dict.fromkeys(("open", "openat", "openat2", "memfd_create", "dup", "dup2", "dup3", "eventfd2", "timerfd_create",
                     "epoll_create1", "pipe2", "signalfd4", "inotify_init1", "pidfd_open"), _FILE),
    **dict.fromkeys(("recvfrom", "recvmsg", "sendto", "sendmsg"), _NET),
    **dict.fromkeys(("accept4", "accept", "socket", "socketpair", "connect"), ("EMFILE", "ENOMEM", "EINTR")),
    **dict.fromkeys(("mmap", "mremap", "mprotect", "epoll_ctl", "bind", "listen"), ("ENOMEM",)),
    **dict.fromkeys(("fstat", "newfstatat", "statx", "getdents64", "fchmod", "fchmodat", "fchown"), ("EIO", "ENOMEM")),
    **dict.fromkeys(("epoll_wait", "epoll_pwait", "poll", "ppoll", "getrandom"), ("EINTR",)),
    "flock": ("EINTR",),
    **dict.fromkeys(("clone", "clone3", "fork", "vfork", "execve"), ("EAGAIN", "ENOMEM")),
}
# What has cost something once: always tried. (operation, process, call, error)
KNOWN = {("deliver", "imapd", "sendmsg", "ENOMEM"), ("deliver", "imapd", "recvmsg", "ENOMEM")}
# operation -> processes that take part
ROLES = {
    "deliver": ("deliver", "deliverd", "imapd", "log"),
    "append": ("imapd", "log"),
    "flags": ("imapd",),
    "expunge": ("imapd",),
    "open": ("imapd", "login", "auth"),
    "start": ("controller",),
    "roll": ("imapd",),
    "compaction": ("imapd",),
}
# settings of a suite -> the operations that it is for
SUITES = {
    SETTINGS: ("deliver", "append", "flags", "expunge", "open", "start"),
    SMALL_SEGMENTS: ("roll", "compaction"),
}
Fault = collections.namedtuple("Fault", "operation role call number error for_ever")


def inject(fault):
    what = "retval=0" if fault.error == "short" else f"error={fault.error}"
    return f"inject={fault.call}:{what}:when={fault.number}{'+' if fault.for_ever else ''}"


def by_chance(fault):
    """An order that the seed makes, in which a fault has its place whatever others there are."""
    return hashlib.sha256(repr((SEED, fault)).encode()).digest()


class Strace:
    """Attached to a process and its threads until the end of `with`."""

    def __init__(self, pid, output, *words):
        self.output = output
        self.child = subprocess.Popen(["strace", "-f", "-p", str(pid), "-yy", "-o", output, *words],
                                      stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        line = self.child.stderr.readline()
        if "attached" not in line:
            raise harness.Failure(f"strace: {line}")
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:  # it waits for a thread of a process that was killed
            self.child.kill()
            self.child.wait()
        self.child.stderr.close()

    def text(self):
        with open(self.output, encoding="utf-8", errors="replace") as f:
            return f.read()


def calls_of(trace, after=None):
    """{(call, n, error)} of the threads of a trace; those before the first line with `after` only count."""
    pairs, seen = set(), collections.Counter()
    for line in trace.splitlines():
        call = re.match(r"(?:(\d+)\s+)?(\w+)\(", line)
        if call is None:
            continue
        if after and after in line:
            after = None
        seen[call[1], call[2]] += 1
        # A wake-up of the own loop (an eventfd, a timer) has nothing under it that could fail.
        if after is None and not (call[2] in ("read", "write") and "<anon_inode:" in line.split(",")[0]):
            pairs |= {(call[2], seen[call[1], call[2]], error) for error in ERRORS.get(call[2], ())}
    return pairs


class Sweep:
    def __init__(self, suite, directory, dice):
        self.suite = suite
        self.trace = os.path.join(directory, "trace")
        self.dice = dice
        self.counts = collections.Counter()
        self.wrong = []
        self.fault = None
        self.over = True   # the fault is gone
        self.promised = {}  # number -> "yes", "no" or "maybe"
        self.flagged = {}   # number -> the same
        self.seen = set()   # numbers that were there once
        self.imap = None
        self.silent = False  # an operation got no answer in time

    def blame(self, kind, text):
        self.counts[kind] += 1
        self.wrong.append(f"{self.fault}: {text}")

    def new(self, least=0):
        """The number of a message that is at least so large."""
        number = max(self.promised, default=0) + 1
        while len(body_of(number)) < least:
            number += 1
        self.promised[number] = "maybe"
        return number

    # IMAP ---------------------------------------------------------------------------------------

    def connect(self):
        self.close()
        self.imap = imaplib.IMAP4("127.0.0.1", self.suite.imap_port,
                                  timeout=PATIENCE[not self.over and self.fault.for_ever])
        self.imap.login("foo", "bar")
        return self.imap.select("INBOX")[0] == "OK"

    def close(self):
        imap, self.imap = self.imap, None
        if imap is not None:
            with contextlib.suppress(*LOST):
                imap.shutdown()

    def asked(self, command):
        """"yes" when the answer is OK; "maybe" when it is NO or the connection ends."""
        try:
            kind, data = command()
            if kind == "BAD":
                self.blame("wrong", f"BAD {data}")
            return "yes" if kind == "OK" else "maybe"
        except TimeoutError:
            if not self.fault.for_ever:
                self.silent = True
            return "maybe"
        except imaplib.IMAP4.error as error:
            if "BAD" in str(error):
                self.blame("wrong", str(error))
            return "maybe"
        except LOST:
            return "maybe"

    def append_one(self, least=0):
        number = self.new(least)
        self.promised[number] = self.asked(
            lambda: self.imap.append("INBOX", None, None, crlf(body_of(number))))
        return number

    def look(self):
        """{number: (uid, flagged)} of all that is there; bytes compared."""
        found = {}
        data = self.imap.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")
        if data[0] != "OK":
            raise imaplib.IMAP4.error(str(data))
        for part in data[1]:
            if not isinstance(part, tuple):
                continue
            number = re.search(rb"^X-Number: (\d+)\r$", part[1], re.M)
            number = int(number[1]) if number else None
            if number not in self.promised or digest(part[1]) != digest(crlf(body_of(number))):
                self.blame("corrupt", f"is no message that was sent: {part[0]}")
            elif number in found:
                self.blame("duplicated", f"message {number}")
            else:
                found[number] = (re.search(rb"UID (\d+)", part[0])[1].decode(), b"\\Flagged" in part[0])
        return found

    # Operations: what is done before the fault is put in, and with it ------------------------------

    def before_deliver(self):
        pass

    def deliver(self):
        number = self.new()
        words = []
        if self.fault and self.fault.role == "deliver":
            words = ["strace", "-o", self.trace, "-e", inject(self.fault)]
        who = {"user": harness.NOBODY, "group": harness.NOBODY, "extra_groups": []} if self.suite.drop else {}
        try:
            done = subprocess.run([*words, f"{self.suite.stage}/bin/rims-deliver", "-d", "foo", "-f", "a@example.org"],
                                  input=body_of(number), capture_output=True, cwd="/", check=False,
                                  timeout=90 if self.fault is None or not self.fault.for_ever else 5,
                                  env={**self.suite.env, "RIMS_CONFIG": self.suite.config}, **who)
        except subprocess.TimeoutExpired:
            if not (self.fault and self.fault.for_ever):
                self.blame("hangs", "rims-deliver does not end")
            return
        if done.returncode == 0:
            self.promised[number] = "yes"
        elif done.returncode != 75:
            self.blame("wrong", f"rims-deliver: status {done.returncode}: {done.stderr.decode()}")

    def before_append(self):
        self.connect()

    def append(self):
        self.append_one()

    def before_flags(self):
        self.connect()
        found = self.look()
        self.target = self.dice.choice(sorted(found))
        self.uid, self.was = found[self.target]

    def flags(self):
        self.flagged[self.target] = "maybe"
        if self.asked(lambda: self.imap.uid("STORE", self.uid, "-FLAGS" if self.was else "+FLAGS",
                                            r"(\Flagged)")) == "yes":
            self.flagged[self.target] = "no" if self.was else "yes"

    def before_expunge(self):
        self.connect()
        found = self.look()
        self.target = self.dice.choice(sorted(found))
        self.uid = found[self.target][0]
        self.imap.uid("STORE", self.uid, "+FLAGS.SILENT", r"(\Deleted)")

    def expunge(self):
        self.promised[self.target] = "maybe"
        if self.asked(lambda: self.imap.uid("EXPUNGE", self.uid)) == "yes":
            self.promised[self.target] = "no"

    def before_open(self):
        self.close()
        self.replace("imapd")

    def open(self):
        def everything():
            self.connect()
            self.look()
            return "OK", []
        self.asked(everything)

    def before_roll(self):
        self.connect()
        self.append_one(LARGE)

    def roll(self):
        self.append_one(LARGE)

    def before_compaction(self):
        """Makes an account of which two segments are dead. It is looked through seconds after it was opened."""
        self.close()
        self.replace("imapd")
        shutil.rmtree(os.path.join(self.suite.mail, "mailbox.3"), ignore_errors=True)
        self.promised.clear()
        self.flagged.clear()
        self.seen.clear()
        self.connect()
        numbers = [self.append_one(LARGE) for _ in range(3)]
        self.imap.store("1:2", "+FLAGS.SILENT", r"(\Deleted)")
        if self.imap.expunge()[0] == "OK":
            self.promised.update(dict.fromkeys(numbers[:2], "no"))
        self.dead = {path: os.stat(path).st_ino for path in journals(self.suite.mail)[:-1]
                     if os.stat(path).st_size > LARGE}
        self.log_end = os.path.getsize(os.path.join(self.suite.mail, "imap.log"))

    def compaction(self):
        """Waits for its end, good or bad."""
        pids = self.suite.pids("imapd")

        def ended():
            if self.suite.pids("imapd") != pids or all(os.stat(p).st_ino != i for p, i in self.dead.items()):
                return True
            with open(os.path.join(self.suite.mail, "imap.log"), "rb") as f:
                f.seek(self.log_end)
                return b"nothing is freed now" in f.read()
        with contextlib.suppress(harness.Failure):
            wait_for(ended, 30 if self.fault is None else 8, "the end of a compaction")

    # One fault ----------------------------------------------------------------------------------

    def run(self, operation, role, words=()):
        """Does the operation under strace; returns the trace."""
        getattr(self, "before_" + operation)()
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.trace)
        if role == "deliver":
            self.deliver()
        else:
            pid = wait_for(lambda: self.suite.pids(role), 60, f"rims-{role} runs")[0]
            with Strace(pid, self.trace, *words):
                getattr(self, operation)()
        with contextlib.suppress(FileNotFoundError):
            with open(self.trace, encoding="utf-8", errors="replace") as f:
                return f.read()
        return ""

    def clean(self, operation, role):
        """(call, n, error) of the operation without a fault."""
        if operation == "start":
            return self.clean_start()
        if role == "deliver":
            self.fault = Fault(operation, role, "close", 65535, "EIO", False)
        trace = self.run(operation, role)
        self.fault = None
        self.settle()
        # What is of interest begins with the configuration; with the reading of the journal.
        begins = {("deliver", "deliver"): self.suite.config, ("compaction", "imapd"): "pread64("}
        return calls_of(trace, begins.get((operation, role)))

    def try_fault(self, fault):
        self.fault = fault
        self.over = False
        self.counts["tried"] += 1
        if fault.operation == "start":
            self.start(fault)
        else:
            trace = self.run(fault.operation, fault.role, ("-e", inject(fault), "-e", f"trace={fault.call}"))
            self.counts["faults"] += "INJECTED" in trace
            # Which thread does what is chance: the n-th call may have been a wake-up this time,
            # which never fails in earnest, and whoever it should have woken sleeps on. And a call that strace
            # leaves half-way ends with ENOSYS, which the kernel never gives.
            if any((fault.for_ever and "<detached" in line) or ("INJECTED" in line and "<anon_inode:" in line)
                   for line in trace.splitlines()):
                self.silent = False
                self.replace(fault.role)
        if self.silent:
            self.silent = False
            self.blame("hangs", f"no answer within {PATIENCE[False]} s")
        self.settle()

    def replace(self, role):
        old = self.suite.pids(role)  # none, if it has just ended by itself
        for pid in old:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: set(self.suite.pids(role)) - set(old), 60, f"a new rims-{role}")

    def settle(self):
        """The fault is over: all serves again, and what was promised is there."""
        self.over = True

        def works():
            try:
                if not self.connect():
                    return False
                number = self.new()
                if self.imap.append("INBOX", None, None, crlf(body_of(number)))[0] != "OK":
                    return False
                self.promised[number] = "yes"
                return True
            except LOST:
                return False
        began = time.monotonic()
        try:
            wait_for(works, 120, "the suite takes mail after the fault")
        except harness.Failure as failure:
            self.blame("wrong", str(failure))
            self.restart()
            return
        if time.monotonic() - began > 2:
            self.counts["slow recoveries"] += 1
        try:
            self.compare(self.look())
        except LOST as error:
            self.blame("lost", f"what is there cannot be read: {error}")
        number = self.new()
        done = self.suite.deliver(body_of(number), check=False, limit=90)
        if done.returncode != 0:
            self.blame("wrong", f"the next delivery: status {done.returncode}: {done.stderr.decode()}")
        else:
            self.promised[number] = "yes"
        self.counts["states"] += 1
        if len(self.promised) % 50 < 3:
            self.tidy()

    def compare(self, found):
        for number, promised in self.promised.items():
            if promised == "yes" and number not in found:
                self.blame("lost", f"message {number}")
            if promised == "no" and number in found:
                self.blame("corrupt", f"message {number} is there again")
            # What has never been seen may be under way still.
            if number in found:
                self.seen.add(number)
            if number in self.seen:
                self.promised[number] = "yes" if number in found else "no"
        for number, (_, flagged) in found.items():
            if self.flagged.get(number, "maybe") != "maybe" and (self.flagged[number] == "yes") != flagged:
                self.blame("lost", f"message {number}: \\Flagged was acknowledged as {self.flagged[number]}")
            self.flagged[number] = "yes" if flagged else "no"

    def tidy(self):
        """Few messages are looked at faster."""
        found = self.look()
        gone = sorted(found)[:-5]
        uids = ",".join(found[number][0] for number in gone)
        if gone and self.imap.uid("STORE", uids, "+FLAGS.SILENT", r"(\Deleted)")[0] == "OK" \
                and self.imap.expunge()[0] == "OK":
            for number in gone:
                self.promised[number] = "no"

    def restart(self):
        self.close()
        self.suite.kill_all()
        self.suite.start()

    # The start ------------------------------------------------------------------------------------

    def start_under(self, *words):
        """Starts the controller under strace; the trace so far, once it serves or has ended."""
        self.close()
        self.suite.stop()
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.trace)
        who = {"user": harness.NOBODY, "group": harness.NOBODY, "extra_groups": []} if self.suite.drop else {}
        ports = os.path.join(self.suite.run_dir, "ports")
        with contextlib.suppress(FileNotFoundError):
            os.remove(ports)
        trace = os.path.join(self.suite.directory, "trace")
        with contextlib.suppress(FileNotFoundError):
            os.remove(trace)
        with open(self.suite.output, "ab") as out:
            # -D: the controller is our child, not strace's.
            self.suite.child = subprocess.Popen(
                ["strace", "-D", "-o", trace, *words, f"{self.suite.stage}/libexec/rims/rims-controller",
                 "-c", self.suite.config],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=self.suite.env, cwd="/",
                start_new_session=True, **who)
        with contextlib.suppress(harness.Failure):
            wait_for(lambda: os.path.exists(ports) or self.suite.child.poll() is not None, 5, "a start")
        with contextlib.suppress(FileNotFoundError):
            with open(trace, encoding="utf-8", errors="replace") as f:
                return f.read()
        return ""

    def end_start(self):
        if self.suite.child.poll() is None:
            self.suite.kill_all()
        self.suite.start()

    def clean_start(self):
        trace = self.start_under()
        self.end_start()
        self.settle()
        # It begins when the libraries are loaded. strace can not read the strings of a process that hides
        # its memory.
        return calls_of(trace, "close_range(3")

    def start(self, fault):
        trace = self.start_under("-e", inject(fault))
        self.counts["faults"] += "INJECTED" in trace
        status = self.suite.child.poll()
        if status == 0:
            self.blame("wrong", "the start failed with status 0")
        self.end_start()


@contextlib.contextmanager
def sweeping(mutant, dice, settings=SETTINGS):
    with tempfile.TemporaryDirectory(prefix="rims-sweep-") as directory:
        suite = Suite(settings=settings, log_level="INFO")
        # strace makes a call fail by turning it into one that no filter of system calls allows.
        preload(suite, directory, mutant, PROGRAMS)
        os.chmod(directory, 0o777)  # rims-deliver is traced as the user nobody
        with suite:
            sweep = Sweep(suite, directory, dice)
            try:
                yield sweep
            finally:
                sweep.close()


class SweepTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if shutil.which("strace") is None:
            raise unittest.SkipTest("strace is not installed")
        if os.geteuid() != 0:
            raise unittest.SkipTest("strace needs root to look at processes that nobody may look at")

    def faults(self, sweep, operations):
        """All of them, those that cover every (operation, process, call) first, and how many those are."""
        first, rest = [], []
        for operation, role in ((o, r) for o in operations for r in ROLES[o]):
            if all(a == b for a, b in zip(ONLY, (operation, role))):
                calls = collections.defaultdict(list)
                for call, number, error in sweep.clean(operation, role):
                    if not ONLY[2:] or call in ONLY[2:]:
                        calls[call] += [Fault(operation, role, call, number, error, for_ever)
                                        for for_ever in (False, True)]
                self.assertTrue(calls or ONLY, f"rims-{role} takes no part in: {operation}")
                for faults in calls.values():
                    faults.sort(key=lambda f: ((f.operation, f.role, f.call, f.error) not in KNOWN or f.for_ever,
                                               by_chance(f)))
                    first.append(faults[0])
                    rest += faults[1:]
        print(f"{len(first)} calls, {len(first) + len(rest)} faults", flush=True)
        return sorted(first, key=by_chance) + sorted(rest, key=by_chance), len(first)

    def sweep(self, sweep, operations, seconds):
        sweep.settle()  # there is some mail
        faults, first = self.faults(sweep, operations)
        self.assertGreater(first, 0)
        began = time.monotonic()
        for done, fault in enumerate(faults):
            if (done >= first or not count.HARNESSES) and time.monotonic() - began > seconds:
                break
            if os.environ.get("RIMS_VERBOSE"):
                print(f"{time.monotonic() - began:.1f} {fault}", flush=True)
            sweep.try_fault(fault)

    def test_no_system_call_that_fails_costs_mail(self):
        print(f"seed {SEED}", flush=True)
        counts, wrong = collections.Counter(), []
        try:
            for settings, operations in SUITES.items():
                if ONLY and ONLY[0] not in operations:
                    continue
                with sweeping("no_seccomp", random.Random(SEED), settings) as sweep:
                    try:
                        self.sweep(sweep, operations, SECONDS / len(SUITES))
                    finally:
                        counts += sweep.counts
                        wrong += sweep.wrong
        finally:
            print(dict(counts), *wrong, sep="\n", flush=True)
            count.tell("sweep", runs=counts["tried"], states=counts["states"], faults=counts["faults"],
                       **{k: counts[k] for k in ("lost", "duplicated", "corrupt")})
        self.assertEqual(wrong, [])
        self.assertGreater(counts["faults"], counts["tried"] / 2)

    def test_the_harness_notices_errors_that_are_not_looked_at(self):
        with sweeping("no_errors", random.Random(SEED)) as sweep:
            sweep.settle()
            sweep.try_fault(Fault("append", "imapd", "pwritev", 1, "EIO", False))
            noticed = sweep.counts["lost"] > 0
            count.tell("sweep", mutants=(int(noticed), 1))
            self.assertTrue(noticed, sweep.wrong)


if __name__ == "__main__":
    unittest.main()
