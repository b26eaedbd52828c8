"""tests/crash/ledger.py - a load on the suite, and a book of what was promised under it

Every message has a number, and its bytes follow from it. The ledger holds, per message, what the
suite acknowledged: "yes" it must be there, "no" it must not, "maybe" the answer never came. A
line is written to the book before a request goes out and after its answer came, so an answer
that was lost leaves "maybe". Each message is changed by one thread only, one change at a time.

    inbox     it is in INBOX
    flagged   it carries \\Flagged there
    copied    it is in Archive

check() compares a stopped and restarted suite with the book. Wrong is: a "yes" that is missing,
a "no" that is there, a message twice, other bytes than were handed in, a number nobody sent, and a
UID that once meant one message and now means another.
"""

import collections
import contextlib
import hashlib
import imaplib
import queue
import random
import re
import socket
import threading
import time

from tests.clients.support import crlf

imaplib._MAXLINE = 10_000_000
LOST = (OSError, imaplib.IMAP4.error, EOFError)


def body_of(number):
    """The message as it is handed to the suite, lines ended by LF. About 300 B to 40 KB."""
    dice = random.Random(number)
    lines = [dice.randbytes(36).hex() for _ in range(dice.choice((1, 4, 20, 100, 550)))]
    return ("From: crash@example.org\nTo: foo@example.org\n"
            f"Subject: crash test {number}\nMessage-ID: <{number}.crash@example.org>\n"
            f"X-Number: {number}\n\n" + "\n".join(lines) + "\n").encode()


def digest(text):
    return hashlib.sha256(text).digest()


class Entry:
    def __init__(self):
        self.inbox = self.flagged = self.copied = "no"
        self.uid = None


class Ledger:
    def __init__(self, suite, users, seed=1, expunges=1):
        """`expunges`: how often a message is expunged, the other changes being 2 each. With 8 most of a
        journal is dead soon."""
        self.going = threading.Event()  # the clients rest while it is clear
        self.going.set()
        self.suite = suite
        self.weights = (2, 2, 2, 2, expunges)
        self.users = users
        self.entries = collections.defaultdict(Entry)
        self.owner = {}                # number -> user
        self.uids = {}                 # (user, mailbox, uidvalidity, uid) -> number
        self.wrong = []                # sentences
        self.blamed = collections.Counter()
        self.counts = collections.Counter()
        self.damage_allowed = False    # bytes on the disk were altered: missing is right, altered is not
        self._lock = threading.Lock()
        self._next = seed * 1_000_000
        self._ready = {user: queue.Queue() for user in users}
        self._stop = threading.Event()
        self._threads = []

    def blame(self, text, kind="other"):
        """`kind` is what the harnesses count: lost, duplicated, corrupt."""
        with self._lock:
            self.blamed[kind] += 1
            if len(self.wrong) < 200:
                self.wrong.append(text)

    # What is acknowledged -----------------------------------------------------------------------

    def new(self, user):
        with self._lock:
            self._next += 1
            self.owner[self._next] = user
            return self._next

    def see(self, user, mailbox, validity, uid, number):
        """Somebody was shown that `uid` is message `number`."""
        with self._lock:
            known = self.uids.setdefault((user, mailbox, validity, uid), number)
        if known != number:
            self.blame(f"{user} {mailbox} UID {uid} was message {known}, now it is {number}",
                       "corrupt")

    # The load -----------------------------------------------------------------------------------

    def start(self, deliverers=2, sessions=2):
        for user in self.users:
            for _ in range(deliverers // len(self.users) or 1):
                self._threads.append(threading.Thread(target=self._run, args=(self._deliver, user)))
            for _ in range(sessions):
                self._threads.append(threading.Thread(target=self._run, args=(self._session, user)))
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        self.going.set()
        for thread in self._threads:
            thread.join(60)
            if thread.is_alive():
                self.blame("a client hangs: no answer and no end of the connection for 60 s")

    def _run(self, work, user):
        while not self._stop.is_set():
            work(user)
            self.going.wait()

    def _deliver(self, user):
        number = self.new(user)
        entry = self.entries[number]
        entry.inbox = "maybe"
        try:
            done = self.suite.deliver(body_of(number), user=user, check=False, limit=40)
        except Exception as error:  # the time limit: rims-deliver must not hang
            self.blame(f"rims-deliver for {number}: {error}")
            return
        if done.returncode == 0:
            entry.inbox = "yes"
            self.counts["delivered"] += 1
            self._ready[user].put(number)
        elif done.returncode == 75:
            self.counts["delivery deferred"] += 1
            time.sleep(0.02)
        else:
            entry.inbox = "no"
            self.blame(f"rims-deliver: status {done.returncode}: {done.stderr.decode()}")

    def _session(self, user):
        dice = random.Random()
        try:
            imap = imaplib.IMAP4("127.0.0.1", self.suite.imap_port, timeout=30)
        except LOST:
            time.sleep(0.02)
            return
        try:
            imap.login(user, self.suite.users[user])
            self._select(imap)
            for _ in range(200):
                if self._stop.is_set():
                    break
                self._step(imap, user, dice)
                self.going.wait()
            imap.logout()
        except socket.timeout:
            self.blame("an IMAP command had no answer for 30 s, and its connection did not end")
        except LOST as error:
            self.counts["sessions lost"] += 1
            if "BAD" in str(error):
                self.blame(f"a right command was called wrong: {error}")
        finally:
            with contextlib.suppress(*LOST):
                imap.shutdown()

    def _select(self, imap):
        self._ok(imap.select("INBOX"))
        imap.validity = imap.response("UIDVALIDITY")[1][0].decode()

    @staticmethod
    def _ok(answer):
        if answer[0] != "OK":
            raise imaplib.IMAP4.error(f"refused: {answer}")
        return answer[1]

    def _step(self, imap, user, dice):
        number = None
        with contextlib.suppress(queue.Empty):
            number = self._ready[user].get_nowait()
        if number is None or dice.random() < 0.3:
            if number is not None:
                self._ready[user].put(number)
            self._append(imap, user)
            return
        entry = self.entries[number]
        self._ok(imap.noop())  # what others brought becomes visible
        if entry.uid is None and not self._find(imap, user, number, entry):
            return
        what, = dice.choices(("fetch", "flag", "unflag", "copy", "expunge"), self.weights)
        uid = entry.uid
        if what == "fetch":
            self._fetch(imap, user, number, uid)
        elif what in ("flag", "unflag"):
            before = entry.flagged
            wanted = "yes" if what == "flag" else "no"
            if before != wanted:
                entry.flagged = "maybe"
            self._ok(imap.uid("STORE", uid, "+FLAGS" if what == "flag" else "-FLAGS", r"(\Flagged)"))
            entry.flagged = wanted
        elif what == "copy" and entry.copied == "no":
            entry.copied = "maybe"
            self._ok(imap.uid("COPY", uid, "Archive"))
            entry.copied = "yes"
        elif what == "expunge":
            entry.inbox = "maybe"
            self._ok(imap.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)"))
            self._ok(imap.uid("EXPUNGE", uid))
            entry.inbox = "no"
            self.counts[what] += 1
            return  # nobody touches it again
        self.counts[what] += 1
        self._ready[user].put(number)

    def _append(self, imap, user):
        number = self.new(user)
        entry = self.entries[number]
        entry.inbox = "maybe"
        data = self._ok(imap.append("INBOX", r"(\Seen)", None, crlf(body_of(number))))
        entry.inbox = "yes"
        told = re.search(rb"APPENDUID (\d+) (\d+)", data[0])
        if told:
            entry.uid = told[2].decode()
            self.see(user, "INBOX", told[1].decode(), entry.uid, number)
        self.counts["append"] += 1
        self._ready[user].put(number)

    def _find(self, imap, user, number, entry):
        found = self._ok(imap.uid("SEARCH", "HEADER", "X-Number", str(number)))[0].split()
        if len(found) != 1:
            self.blame(f"message {number} of {user} was acknowledged, and SEARCH finds {found}",
                       "duplicated" if found else "lost")
            return False
        entry.uid = found[0].decode()
        self.see(user, "INBOX", imap.validity, entry.uid, number)
        return True

    def _fetch(self, imap, user, number, uid):
        data = self._ok(imap.uid("FETCH", uid, "(BODY.PEEK[])"))
        parts = [p for p in data if isinstance(p, tuple)]
        if not parts:
            self.blame(f"message {number} of {user}, UID {uid}, was acknowledged and is not there",
                       "lost")
        elif digest(parts[0][1]) != digest(crlf(body_of(number))):
            self.blame(f"message {number} of {user}, UID {uid}, came back altered", "corrupt")

    # The check ----------------------------------------------------------------------------------

    def check(self):
        """Compares all that is there with the book. Returns what is wrong, as sentences."""
        for user in self.users:
            found = {}
            for mailbox in ("INBOX", "Archive"):
                found[mailbox] = self._read(user, mailbox)
            for number, entry in list(self.entries.items()):
                if self.owner[number] != user:
                    continue
                self._compare(user, number, "INBOX", entry.inbox, found["INBOX"])
                self._compare(user, number, "Archive", entry.copied, found["Archive"])
                there = found["INBOX"].get(number)
                if there and entry.flagged != "maybe" and entry.inbox == "yes":
                    if (entry.flagged == "yes") != ("\\Flagged" in there[1]):
                        self.blame(f"message {number} of {user}: \\Flagged acknowledged as "
                                   f"{entry.flagged}, flags are {there[1]}", "lost")
        return self.wrong

    def _compare(self, user, number, mailbox, promised, found):
        if promised == "yes" and number not in found and not self.damage_allowed:
            self.blame(f"message {number} of {user}: acknowledged and not in {mailbox}", "lost")
        if promised == "no" and number in found:
            self.blame(f"message {number} of {user}: not to be in {mailbox}, and is there", "corrupt")

    def _read(self, user, mailbox):
        """{number: (uid, [flags])} of a mailbox; every byte compared."""
        found = {}
        with self.suite.login(user, limit=60) as imap:
            answer = imap.select(mailbox, readonly=True)
            if answer[0] != "OK":
                if not self.damage_allowed:
                    self.blame(f"{user} {mailbox}: refused: {answer[1]}")
                return found
            validity = imap.response("UIDVALIDITY")[1][0].decode()
            uids = self._ok(imap.uid("SEARCH", "ALL"))[0].split()
            for start in range(0, len(uids), 100):
                chunk = b",".join(uids[start:start + 100]).decode()
                answer = imap.uid("FETCH", chunk, "(UID FLAGS BODY.PEEK[])")
                answers = [answer] if answer[0] == "OK" else [
                    imap.uid("FETCH", u.decode(), "(UID FLAGS BODY.PEEK[])")
                    for u in uids[start:start + 100]]
                for status, data in answers:
                    if status != "OK":
                        self.counts["reads refused"] += 1
                        if not self.damage_allowed:
                            self.blame(f"{user} {mailbox}: FETCH refused: {data}")
                        continue
                    for part in data:
                        if isinstance(part, tuple):
                            self._read_one(user, mailbox, validity, part, found)
        return found

    def _read_one(self, user, mailbox, validity, part, found):
        head, text = part[0].decode(), part[1]
        number = re.search(rb"^X-Number: (\d+)\r$", text, re.M)
        number = int(number[1]) if number else None
        if number not in self.owner or digest(text) != digest(crlf(body_of(number))):
            self.blame(f"{user} {mailbox}: served altered bytes as good: {head[:80]}", "corrupt")
            return
        if self.owner[number] != user:
            self.blame(f"{user} has message {number} of {self.owner[number]}", "corrupt")
        uid = re.search(r"UID (\d+)", head)[1]
        self.see(user, mailbox, validity, uid, number)
        # (A FETCH that was refused half-way leaves its answers to the next one: the same UID.)
        if found.get(number, (uid,))[0] != uid:
            self.blame(f"message {number} of {user} is in {mailbox} twice", "duplicated")
        found[number] = (uid, re.search(r"FLAGS \(([^)]*)\)", head)[1].split())

