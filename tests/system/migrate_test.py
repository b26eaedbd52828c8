"""rims-ctl import and export: Maildir, mbox, Dovecot's Maildir, the original RIMS' GDBM files"""
# time limit: 300 s

import bz2
import contextlib
import ctypes
import ctypes.util
import glob
import gzip
import hashlib
import json
import lzma
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest
import zlib

from tests.system import dovecot
from tests.system.harness import NOBODY, TOP, Suite, wait_for

SEED = int(os.environ.get("RIMS_SEED", "7"))
KEYWORDS = ["$Junk", "$Forwarded", "work", "Projekt-7", "NonJunk"]


def message(rng, number, size=300):
    text = f"Message-ID: <{number}@example.org>\nSubject: number {number}\nX-Number: {number}\n\n"
    while len(text) < size:
        text += rng.choice(["From here it is text\n", ">From quoted\n", "\n", "Zeile ä ö ü\n",
                            "a" * rng.randrange(70) + "\n"])
    return text.encode()


def make_maildir(root, folders, rng):
    """folders: {directory below root: count}. Returns {mailbox: (uidvalidity, uidnext, {uid: (flags,
    keywords, date, bytes)})}."""
    made = {}
    number = 0
    for n, (directory, (mailbox, count)) in enumerate(folders.items()):
        where = os.path.join(root, directory)
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(where, part))
        uidvalidity, uid = 1_500_000_000 + n, 0
        lines, there = [], {}
        for _ in range(count):
            number += 1
            uid += rng.choice([1, 1, 1, 2, 7])
            body = message(rng, number, rng.randrange(150, 1200))
            flags = "".join(sorted(f for f in "DFRST" if rng.random() < 0.3))
            keywords = sorted(k for k in range(len(KEYWORDS)) if rng.random() < 0.2)
            if 1 in keywords:
                flags = "".join(sorted(flags + "P"))
            info = flags + "".join(chr(ord("a") + k) for k in keywords)
            date = 1_400_000_000 + rng.randrange(300_000_000)
            base = f"{date}.M{number}P1.host,S={len(body)}"
            path = os.path.join(where, "cur", f"{base}:2,{info}")
            with open(path, "wb") as f:
                f.write(body)
            os.utime(path, (date, date))
            lines.append(f"{uid} :{base}\n")
            there[uid] = (set(flags), {KEYWORDS[k] for k in keywords}, date, body)
        uidnext = uid + 5
        rng.shuffle(lines)
        with open(os.path.join(where, "dovecot-uidlist"), "w", encoding="utf-8") as f:
            f.write(f"3 V{uidvalidity} N{uidnext} G{'0' * 32}\n" + "".join(lines))
        with open(os.path.join(where, "dovecot-keywords"), "w", encoding="utf-8") as f:
            f.writelines(f"{i} {k}\n" for i, k in enumerate(KEYWORDS))
        made[mailbox] = (uidvalidity, uidnext, there)
    return made


def read_maildir(root):
    """The same of what is there."""
    found = {}
    for where in [root] + sorted(glob.glob(os.path.join(glob.escape(root), ".*"))):
        if not os.path.isdir(os.path.join(where, "cur")):
            continue
        name = os.path.basename(where) if where != root else ""
        with open(os.path.join(where, "dovecot-uidlist"), encoding="utf-8") as f:
            head, *lines = f.read().splitlines()
        uids = {}
        for line in lines:
            uid, base = line.split(" ", 1)
            uids[base.split(":", 1)[1]] = int(uid)
        keywords = {}
        if os.path.exists(os.path.join(where, "dovecot-keywords")):
            with open(os.path.join(where, "dovecot-keywords"), encoding="utf-8") as f:
                keywords = dict(line.split() for line in f)
        there = {}
        for file in os.listdir(os.path.join(where, "cur")):
            path = os.path.join(where, "cur", file)
            base, info = file.split(":2,")
            with open(path, "rb") as f:
                body = f.read()
            assert uids[base] not in there, f"{path}: a second message of this UID"
            there[uids[base]] = ({c for c in info if c.isupper()},
                                 {keywords[str(ord(c) - ord("a"))] for c in info if c.islower()},
                                 int(os.stat(path).st_mtime), body)
        found[name] = (int(re.search(r" V(\d+)", head)[1]), int(re.search(r" N(\d+)", head)[1]), there)
    return found


# The original RIMS: GDBM files with Marshal values --------------------------------------------

def packed(n):
    if n == 0:
        return b"\0"
    if 0 < n < 123:
        return bytes([n + 5])
    if -124 < n < 0:
        return struct.pack("b", n - 5)
    raw = n.to_bytes(4, "little").rstrip(b"\0")
    return bytes([len(raw)]) + raw


def symbol(name):
    return b":" + packed(len(name)) + name


def marshal_places(places):
    out = b"\x04\x08{" + packed(len(places))
    for n, (mailbox, uids) in enumerate(places.items()):
        out += b"i" + packed(mailbox) + b"o"
        out += symbol(b"Set") + packed(1) + symbol(b"@hash") if n == 0 else b";\0" + packed(1) + b";\x06"
        out += b"}" + packed(len(uids)) + b"".join(b"i" + packed(u) + b"T" for u in uids) + b"F"
    return out


def marshal_time(seconds, offset):
    t = time.gmtime(seconds)
    p = 1 << 31 | (t.tm_year - 1900) << 14 | (t.tm_mon - 1) << 10 | t.tm_mday << 5 | t.tm_hour
    s = t.tm_min << 26 | t.tm_sec << 20
    return (b"\x04\x08Iu" + symbol(b"Time") + packed(8) + struct.pack("<II", p, s) + packed(2)
            + symbol(b"offset") + b"i" + packed(offset) + symbol(b"zone") + b"0")


class Gdbm:
    class Datum(ctypes.Structure):
        _fields_ = [("dptr", ctypes.c_char_p), ("dsize", ctypes.c_int)]

    library = None

    def __init__(self, path, checksum=True):
        if Gdbm.library is None:
            Gdbm.library = ctypes.CDLL(ctypes.util.find_library("gdbm"))
            Gdbm.library.gdbm_open.restype = ctypes.c_void_p
            Gdbm.library.gdbm_store.argtypes = [ctypes.c_void_p, self.Datum, self.Datum, ctypes.c_int]
            Gdbm.library.gdbm_close.argtypes = [ctypes.c_void_p]
        self.checksum = checksum
        self.file = self.library.gdbm_open(path.encode(), 0, 3, 0o644, None)  # GDBM_NEWDB
        assert self.file, path

    def __setitem__(self, key, value):
        value = value.encode() if isinstance(value, str) else value
        if self.checksum:
            value = b"md5 " + hashlib.md5(value).hexdigest().encode() + b"\n" + value
        key = key.encode()
        if self.library.gdbm_store(self.file, self.Datum(key, len(key)),
                                   self.Datum(value, len(value)), 1) != 0:
            raise OSError("gdbm_store")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.library.gdbm_close(self.file)


class MigrateTest(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(users={"foo": "bar", "bar": "baz", "baz": "qux", "quux": "quuz"})
        self.addCleanup(self.suite.close)
        # Many small files, which nothing but this test reads: in memory, where there is room.
        room = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        files = tempfile.mkdtemp(prefix="rims-migrate-", dir=room)
        self.addCleanup(shutil.rmtree, files, ignore_errors=True)
        os.chmod(files, 0o755)
        self.out = os.path.join(files, "out")
        self.source = os.path.join(files, "source")
        for where in (self.out, self.source):
            os.mkdir(where)
            os.chmod(where, 0o755)
        if self.suite.drop:
            os.chown(self.out, NOBODY, NOBODY)
        self.rng = random.Random(SEED)

    @contextlib.contextmanager
    def running(self):
        self.suite.start()
        try:
            yield
        finally:
            self.suite.stop()

    def ctl(self, *words, status=0, limit=200):
        done = self.suite.command("sbin/rims-ctl", *words, "--json", limit=limit)
        self.assertEqual(done.returncode, status, done.stderr.decode() + done.stdout.decode())
        return json.loads(done.stdout), done.stderr.decode()

    @staticmethod
    def end(path):
        """Where the records of a segment end: zeros follow."""
        with open(path, "rb") as f:
            return len(f.read().rstrip(b"\0"))

    def exported(self, user, name):
        self.ctl("export", user, "--to", "maildir", f"{self.out}/{name}")
        return read_maildir(f"{self.out}/{name}")

    def assert_same(self, given, found, uids=True):
        """given by mailbox directory; what else is found must be empty."""
        for name, (uidvalidity, uidnext, there) in found.items():
            if name not in given:
                self.assertEqual(there, {}, name)
                continue
            wanted = given[name]
            if uids:
                self.assertEqual((uidvalidity, uidnext), wanted[:2], name)
                self.assertEqual(sorted(there), sorted(wanted[2]), name)
            self.assertEqual(len(there), len(wanted[2]), name)
            pairs = zip(sorted(there.items()), sorted(wanted[2].items()))
            for (uid, (flags, keywords, date, body)), (_, m) in pairs:
                # P and $Forwarded are one.
                flags, keywords = flags - {"P"}, keywords | ({"$Forwarded"} if "P" in flags else set())
                self.assertEqual((flags, keywords, date, body), (m[0] - {"P"}, m[1], *m[2:]),
                                 f"{name}, UID {uid}")
        self.assertEqual(set(given) - set(found), set())

    def test_a_maildir_of_10000_messages_there_and_back(self):
        given = make_maildir(self.source, {"": ("", 8000), ".Work.2026": (".Work.2026", 1500),
                                           ".&ANw-n&AO8-": (".&ANw-n&AO8-", 500)}, self.rng)
        with open(f"{self.source}/subscriptions", "w", encoding="utf-8") as f:
            f.write("V\t2\n\nWork\t2026\nnot there\n")
        report, _ = self.ctl("import", "foo", "--from", "maildir", self.source)
        self.assertEqual((report["messages"], report["complete"]), (10_000, True))
        print(f"import: {report['messages_per_second']} messages/s", flush=True)
        self.assert_same(given, self.exported("foo", "a"))
        with open(f"{self.out}/a/subscriptions", encoding="utf-8") as f:
            subscriptions = f.read().splitlines()
        self.assertIn("Work\t2026", subscriptions)
        self.assertIn("not there", subscriptions)

        # Both again: nothing is taken or written twice.
        report, _ = self.ctl("import", "foo", "--from", "maildir", self.source)
        self.assertEqual((report["messages"], report["taken_before"]), (0, 10_000))
        report, _ = self.ctl("export", "foo", "--to", "maildir", f"{self.out}/a")
        self.assertEqual((report["messages"], report["written_before"]), (0, 10_000))

        # What came in since is taken; the server shows it all.
        with open(f"{self.source}/new/1700000000.late.host", "wb") as f:
            f.write(b"Subject: late\n\nlate\n")
        report, _ = self.ctl("import", "foo", "--from", "maildir", self.source)
        self.assertEqual((report["messages"], report["taken_before"]), (1, 10_000))
        with self.running(), self.suite.login("foo") as imap:
            imap.select("INBOX")
            self.assertEqual(int(imap.response("UIDVALIDITY")[1][0]), given[""][0])
            _, data = imap.uid("search", None, "ALL")
            self.assertEqual([int(u) for u in data[0].split()],
                             sorted(given[""][2]) + [given[""][1]])
            uid = sorted(given[""][2])[4711]
            _, data = imap.uid("fetch", str(uid), "(FLAGS INTERNALDATE BODY.PEEK[])")
            self.assertEqual(data[0][1], given[""][2][uid][3].replace(b"\n", b"\r\n"))

    def test_mbox_there_and_back(self):
        given = make_maildir(self.source, {"": ("", 150), ".Work": (".Work", 50),
                                           ".Work.2026": (".Work.2026", 50)}, self.rng)
        self.ctl("import", "foo", "--from", "maildir", self.source)
        report, _ = self.ctl("export", "foo", "--to", "mbox", f"{self.out}/mbox")
        self.assertEqual(report["messages"], 250)
        self.assertTrue(os.path.isfile(f"{self.out}/mbox/Work.sbd/2026"))
        report, _ = self.ctl("export", "foo", "--to", "mbox", f"{self.out}/mbox")
        self.assertEqual((report["messages"], report["written_before"]), (0, 250))
        self.ctl("import", "bar", "--from", "mbox", f"{self.out}/mbox")
        self.assert_same(given, self.exported("bar", "b"))
        # One file, as a mailbox of another name, whose UIDs are new.
        report, _ = self.ctl("import", "foo", "--from", "mbox", f"{self.out}/mbox/Work",
                             "--mailbox", "Other")
        self.assertEqual(report["messages"], 50)
        self.assertEqual(len(report["notes"]), 1)
        found = self.exported("foo", "c")[".Other"]
        self.assertEqual([m[3] for _, m in sorted(found[2].items())],
                         [m[3] for _, m in sorted(given[".Work"][2].items())])
        # Somebody else's file is not overwritten.
        os.mkdir(f"{self.source}/other")
        with open(f"{self.source}/other/INBOX", "wb") as f:
            f.write(b"mine")
        if self.suite.drop:
            os.chown(f"{self.source}/other", NOBODY, NOBODY)
        report, _ = self.ctl("export", "foo", "--to", "mbox", f"{self.source}/other", status=1)
        self.assertEqual([n["where"] for n in report["not_taken"]], ["INBOX"])
        with open(f"{self.source}/other/INBOX", "rb") as f:
            self.assertEqual(f.read(), b"mine")

    def test_compressed_files_of_a_maildir(self):
        cur = f"{self.source}/cur"
        os.makedirs(cur)
        text = b"Subject: x\n\n" + b"text of a mail\n" * 500
        for n, packed in enumerate((gzip.compress(text), bz2.compress(text), lzma.compress(text))):
            for m, name in enumerate((f"{n}.host,S={len(text)},W={len(text) + 502}:2,S", f"{n}.other:2,S")):
                with open(f"{cur}/{name}", "wb") as f:
                    f.write(packed)
            with open(f"{cur}/{n}.short,S={len(text)}:2,", "wb") as f:
                f.write(packed[:-20])
        plain = gzip.compress(b"x")  # the mail itself, as its name says
        with open(f"{cur}/7.plain,S={len(plain)}:2,", "wb") as f:
            f.write(plain)
        with open(f"{cur}/8.secret,S=9:2,", "wb") as f:
            f.write(b"CRYPTED\x03\x07\x01\x02")
        bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
        with open(f"{cur}/9.bomb:2,", "wb") as f:
            for _ in range(300):
                f.write(bomb.compress(bytes(1 << 20)))
            f.write(bomb.flush())
        report, _ = self.ctl("import", "foo", "--from", "maildir", self.source, status=1)
        self.assertEqual((report["messages"], report["messages_not_taken"]), (7, 5))
        told = {os.path.basename(n["where"]).split(",")[0].split(":")[0]: n["reason"]
                for n in report["not_taken"]}
        self.assertEqual(sorted(told), ["0.short", "1.short", "2.short", "8.secret", "9.bomb"])
        for n, how in enumerate(("gzip", "bzip2", "xz")):
            self.assertEqual(told[f"{n}.short"], f"it is compressed ({how}), but it ends too early")
        self.assertIn("it is encrypted", told["8.secret"])
        self.assertIn("it becomes more than 268435456 bytes", told["9.bomb"])
        bodies = sorted(m[3] for m in self.exported("foo", "a")[""][2].values())
        self.assertEqual(bodies, sorted([text] * 6 + [plain]))

    def append(self, imap, mailbox, text, date='" 3-Jan-2026 10:05:34 +0900"', flags=None):
        status, data = imap.append(mailbox, flags, date, text)
        self.assertEqual(status, "OK", data)

    KEPT = (b"Subject: kept\r\nStatus: RO\r\nX-Status: D\r\nX-Keywords: $Junk\r\nX-UID: 99\r\nX-IMAPbase: 7 99\r\n"
            b"Content-Length: 3\r\nX-Mozilla-Status: 0009\r\nX-RIMS-Kept-Status: R\r\n\r\nStatus: RO\r\n")

    def test_what_a_sender_wrote_and_the_zone_of_a_date_come_back(self):
        with self.running(), self.suite.login("foo") as imap:
            self.append(imap, "INBOX", self.KEPT)
            self.append(imap, "INBOX", b"Subject: plain\r\n\r\nx\r\n", '" 3-Jan-2026 01:05:34 +0000"')
            self.append(imap, "INBOX", b"Subject: old\r\n\r\nx\r\n", '"11-Aug-1906 20:26:40 -0930"')
            imap.select("INBOX")
            imap.select("INBOX")  # without \\Recent
            given = imap.uid("fetch", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]
        for form in ("mbox", "maildir"):
            self.ctl("export", "foo", "--to", form, f"{self.out}/{form}")
            self.ctl("import", "bar", "--from", form, f"{self.out}/{form}")
            with self.running(), self.suite.login("bar") as imap:
                imap.select("INBOX")
                found = imap.uid("fetch", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]
                self.assertEqual(found, given, form)
            shutil.rmtree(f"{self.suite.mail}/mailbox.3/{hashlib.sha256(b'bar').hexdigest()[:2]}")
        with open(f"{self.out}/mbox/INBOX", "rb") as f:
            self.assertIn(b"\nX-RIMS-Kept-X-Status: D\n", f.read())

    def test_a_mailbox_whose_name_is_too_long_for_a_file_costs_no_other(self):
        for mailbox in ("A", "L" * 300, "M/" + "m" * 300, "Z"):
            with self.running(), self.suite.login("foo") as imap:
                self.assertEqual(imap.create(mailbox)[0], "OK")
                self.append(imap, mailbox, b"Subject: x\r\n\r\nx\r\n")
        for form, files in (("mbox", ["A", "Z"]), ("maildir", [".A/dovecot-uidlist", ".Z/dovecot-uidlist"])):
            report, errors = self.ctl("export", "foo", "--to", form, f"{self.out}/{form}", status=1)
            self.assertEqual([n["where"] for n in report["not_taken"]], ["L" * 300, "M/" + "m" * 300])
            self.assertEqual(report["messages"], 2)
            self.assertIn("File name too long", errors)
            for file in files:
                self.assertTrue(os.path.isfile(f"{self.out}/{form}/{file}"), file)
        hidden = [f for _, _, files in os.walk(f"{self.out}/mbox") for f in files if f.startswith(".")]
        self.assertEqual(sorted(hidden), [".rims-export", ".subscriptions"], "nothing half written is left")

    def test_the_original_rims(self):
        for checksum in (True, False):
            user = "foo" if checksum else "bar"
            digest = hashlib.sha256(user.encode()).hexdigest()
            where = f"{self.source}/mailbox.2/{digest[:2]}/{digest[2:]}"
            os.makedirs(where)
            texts = [f"Subject: {n}\r\n\r\ntext {n}\r\n" for n in range(200)]
            with Gdbm(f"{where}/meta.gdbm", checksum) as meta, \
                    Gdbm(f"{where}/message.gdbm", checksum) as store, \
                    Gdbm(f"{where}/mailbox_1.gdbm", checksum) as inbox, \
                    Gdbm(f"{where}/mailbox_300.gdbm", checksum) as work:
                meta["mbox_set"] = "1,300,301"
                meta["mbox_id2name-1"] = "INBOX"
                meta["mbox_id2name-300"] = "Ünï"
                meta["mbox_id2name-301"] = "empty"
                meta["mbox_id2uid-1"] = "500"
                for n, text in enumerate(texts):
                    store[str(n)] = text
                    places = {1: [2 * n + 1]}
                    inbox[str(2 * n + 1)] = f"{n},deleted" if n % 5 == 0 else str(n)
                    if n % 10 == 0:
                        places[300] = [n + 1, n + 2]
                        work[str(n + 1)] = work[str(n + 2)] = str(n)
                    meta[f"msg_id2mbox-{n}"] = marshal_places(places)
                    meta[f"msg_id2date-{n}"] = marshal_time(1_400_000_000 + n, 32400)
                    meta[f"msg_id2flag-{n}"] = "seen,recent" if n % 2 else "answered"
                store["999"] = "a message in no mailbox"
                meta["msg_id2date-999"] = marshal_time(1, 0)
            # As a crash leaves it: GDBM says that it needs recovery.
            with open(f"{where}/message.gdbm", "ab") as f:
                f.write(bytes(100))
            report, errors = self.ctl("import", user, "--from", "rims", self.source)
            self.assertEqual(report["not_taken"], [])
            self.assertIn("message.gdbm, message 999: it is in no mailbox", errors)
            self.assertIn("201 entries are read from a copy that was recovered", errors)
            self.assertEqual(report["messages"], 241)
            report, _ = self.ctl("import", user, "--from", "rims", self.source)
            self.assertEqual((report["messages"], report["taken_before"]), (0, 241))
            found = self.exported(user, user)
            self.assertEqual(found[""][:2], (1, 500))
            self.assertEqual(found[".&ANw-n&AO8-"][0], 300)
            self.assertEqual(found[".empty"][0], 301)
            self.assertEqual([m[2:] for m in found[".lost+found"][2].values()],
                             [(1, b"a message in no mailbox")])
            self.assertEqual(found[""][2], {
                2 * n + 1: (({"S"} if n % 2 else {"R"}) | ({"T"} if n % 5 == 0 else set()), set(),
                            1_400_000_000 + n, texts[n].replace("\r\n", "\n").encode())
                for n in range(200)})
            self.assertEqual(sorted(found[".&ANw-n&AO8-"][2]),
                             sorted(u for n in range(0, 200, 10) for u in (n + 1, n + 2)))
            with self.running(), self.suite.login(user) as imap:
                imap.select("INBOX")
                _, data = imap.uid("fetch", "1", "(INTERNALDATE)")
                self.assertIn(b'"14-May-2014 01:53:20 +0900"', data[0])
                imap.close()
                _, data = imap.lsub('""', "*")
                self.assertIn(b"empty", b"\n".join(data))

    def test_a_damaged_store_of_the_original_rims(self):
        with Gdbm(f"{self.source}/meta.gdbm") as meta, Gdbm(f"{self.source}/message.gdbm") as store, \
                Gdbm(f"{self.source}/mailbox_1.gdbm") as inbox:
            meta["mbox_set"] = "1,2,x"
            meta["mbox_id2name-1"] = "INBOX"
            meta["dirty"] = ""
            for n in range(4):
                store[str(n)] = f"Subject: {n}\r\n\r\n"
                meta[f"msg_id2mbox-{n}"] = marshal_places({1: [n + 1], 2: [n + 1]})
                meta[f"msg_id2date-{n}"] = marshal_time(1_400_000_000, 0)[:40 if n else 9]
                inbox[str(n + 1)] = str(n)
            inbox["5"] = "77"
            store.checksum = False
            store["1"] = b"md5 " + b"0" * 32 + b"\nSubject: 1\r\n\r\n"
        report, _ = self.ctl("import", "foo", "--from", "rims", self.source, status=1)
        told = {n["where"].removeprefix(self.source): n["reason"] for n in report["not_taken"]}
        self.assertIn('mailbox number "x"', told["/meta.gdbm"])
        self.assertIn("the checksum is wrong", told["/mailbox_1.gdbm, uid 2, message 1"])
        self.assertIn("no such message", told["/mailbox_1.gdbm, uid 5, message 77"])
        notes = [n["what"] for n in report["notes"]]
        self.assertTrue(any(re.match("its date: offset .*; the time of the file is taken", n) for n in notes),
                        notes)
        self.assertTrue(any("did not close it in order" in n for n in notes), notes)
        self.assertTrue(any("taken from meta.gdbm" in n for n in notes), notes)
        found = self.exported("foo", "a")
        self.assertEqual(sorted(found[""][2]), [1, 3, 4])
        self.assertEqual(sorted(found[".Recovered-2"][2]), [1, 3, 4])

    def test_keywords_have_limits(self):
        with open(f"{self.source}/mbox", "w", encoding="utf-8") as f:
            for n in range(503):
                f.write(f"From a@b Sat Jan  3 01:05:34 2026\nA: {n}\nX-Keywords: k{n} l{n}\n\nx\n\n")
            f.write("From a@b Sat Jan  3 01:05:34 2026\nX-Keywords: K0 no\\t\n\nx\n\n")
        report, _ = self.ctl("import", "foo", "--from", "mbox", f"{self.source}/mbox", status=1)
        self.assertEqual(report["messages"], 504)
        reasons = [n["reason"] for n in report["not_taken"]]
        self.assertEqual(len([r for r in reasons if "as many other keywords" in r]), 6, reasons)
        self.assertEqual(len([r for r in reasons if "no IMAP keyword" in r]), 1, reasons)
        report, _ = self.ctl("export", "foo", "--to", "maildir", f"{self.out}/a", status=1)
        self.assertEqual(len(report["not_taken"]), 1000 - 26)
        self.assertEqual(report["messages"], 504)

    def test_a_name_is_no_identity(self):
        def maildir(name, folder, text):
            for part in ("cur", "new", "tmp"):
                os.makedirs(f"{self.source}/{name}/{folder}/{part}", exist_ok=True)
            with open(f"{self.source}/{name}/{folder}/cur/1:2,S", "wb") as f:
                f.write(text)
        one, two = b"Subject: one\n\n1\n", b"Subject: two\n\n2\n"
        maildir("a", "", one)
        maildir("b", "", two)
        maildir("c", "", one)
        maildir("c", ".INBOX", two)
        for user, sources, counts in (("foo", "ab", [(1, 0), (1, 0)]), ("bar", "c", [(2, 0)])):
            for source, (messages, before) in zip(sources, counts):
                report, _ = self.ctl("import", user, "--from", "maildir", f"{self.source}/{source}")
                self.assertEqual((report["messages"], report["taken_before"]), (messages, before), source)
            # Again, in any order: each is there once.
            for source in sources:
                report, _ = self.ctl("import", user, "--from", "maildir", f"{self.source}/{source}")
                self.assertEqual((report["messages"], report["taken_before"]), (0, sum(counts[0])), source)
            bodies = sorted(m[3] for m in self.exported(user, user)[""][2].values())
            self.assertEqual(bodies, [one, two])

    def test_an_import_that_is_killed_goes_on(self):
        given = make_maildir(self.source, {"": ("", 2000), ".Work": (".Work", 1000)}, self.rng)
        digest = hashlib.sha256(b"foo").hexdigest()
        journal = f"{self.suite.mail}/mailbox.3/{digest[:2]}/{digest[2:]}/journal"

        def written():
            return sum(os.path.getsize(p) for p in glob.glob(f"{journal}/*"))
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.suite.drop else {}
        def interrupted(user, number):
            before = written()
            child = subprocess.Popen(
                [f"{self.suite.stage}/sbin/rims-ctl", "-c", self.suite.config, "import", user, "--from",
                 "maildir", self.source], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **who)
            more = self.rng.randrange(1, 200_000)
            wait_for(lambda: child.poll() is not None or written() >= before + more, 60,
                     "the import writes, or ends", step=0.0005)
            ended = child.poll() is not None
            if not ended:
                os.kill(child.pid, number)
            _, errors = child.communicate()
            if number == signal.SIGTERM and child.returncode != 0:
                self.assertIn(b"interrupted; run the same command again", errors)
            return not ended
        self.assertGreaterEqual(sum(interrupted("foo", signal.SIGTERM) for _ in range(4)), 1)
        report, _ = self.ctl("import", "foo", "--from", "maildir", self.source)
        self.assertEqual(report["messages"] + report["taken_before"], 3000)
        self.assert_same(given, self.exported("foo", "term"))
        # SIGKILL, and of what it wrote last only a part is there: a commit that was cut at any point.
        digest = hashlib.sha256(b"bar").hexdigest()
        journal = f"{self.suite.mail}/mailbox.3/{digest[:2]}/{digest[2:]}/journal"
        kills = cuts = 0
        while True:
            before = {p: self.end(p) for p in glob.glob(f"{journal}/*")}
            if not interrupted("bar", signal.SIGKILL):
                break
            kills += 1
            last = max(glob.glob(f"{journal}/*"), default=None)
            end = self.end(last) if last else 0
            # What the kill has left of this run, cut again where it was not flushed yet or might not be.
            if last and end - before.get(last, 1024) > 1 and kills % 4:
                cut = self.rng.randrange(before.get(last, 1024) + 1, end)
                with open(last, "r+b") as f:
                    f.truncate(cut)
                cuts += 1
            self.assertLess(kills, 200)
        self.assertGreaterEqual(min(kills, cuts), 5)
        report, _ = self.ctl("import", "bar", "--from", "maildir", self.source)
        self.assertEqual(report["messages"] + report["taken_before"], 3000)
        self.assertEqual(report["notes"], [])
        self.assert_same(given, self.exported("bar", "kill"))
        print(f"  {kills} imports killed, {cuts} of them cut in the middle of a commit", flush=True)

        # An export as well.
        for _ in range(2):
            before = len(glob.glob(f"{self.out}/a/**/*.rims,*", include_hidden=True, recursive=True))
            child = subprocess.Popen(
                [f"{self.suite.stage}/sbin/rims-ctl", "-c", self.suite.config, "export", "foo", "--to",
                 "maildir", f"{self.out}/a"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **who)
            wait_for(lambda: child.poll() is not None or before + 200 <= len(
                glob.glob(f"{self.out}/a/**/*.rims,*", include_hidden=True, recursive=True)), 60,
                     "the export writes, or ends")
            child.kill()
            child.communicate()
        self.assert_same(given, self.exported("foo", "a"))

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody else")
    def test_root_leaves_files_that_the_server_can_use(self):
        make_maildir(self.source, {"": ("", 3)}, self.rng)
        os.chmod(self.source, 0o700)
        os.chown(self.suite.mail, NOBODY, NOBODY)
        with open(self.suite.config, "a", encoding="utf-8") as f:
            f.write(f"process_privilege_user: {NOBODY}\nprocess_privilege_group: {NOBODY}\n")
        done = subprocess.run([f"{self.suite.stage}/sbin/rims-ctl", "-c", self.suite.config, "import", "foo",
                               "--from", "maildir", self.source], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        owners = {os.stat(os.path.join(where, name)).st_uid
                  for where, folders, files in os.walk(self.suite.mail) for name in folders + files}
        self.assertEqual(owners, {NOBODY})

    def test_the_server_lets_the_account_go(self):
        given = make_maildir(self.source, {".Work": (".Work", 20)}, self.rng)
        with self.running():
            with self.suite.login("foo") as imap:
                imap.select("INBOX")
                report, _ = self.ctl("import", "foo", "--from", "maildir", self.source)
                self.assertEqual(report["messages"], 20)
                imap.shutdown()
            with self.suite.login("foo") as imap:
                _, data = imap.select("Work")
                self.assertEqual(data, [b"20"])
                # While it is in use, too.
                self.assert_same(given, self.exported("foo", "a"))

    def test_a_source_that_is_none_leaves_no_account(self):
        done = self.suite.command("sbin/rims-ctl", "import", "foo", "--from", "maildir", self.source)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"no Maildir is here", done.stderr)
        self.assertNotIn(b"run the same command again", done.stderr)
        done = self.suite.command("sbin/rims-ctl", "export", "foo", "--to", "mbox", self.out)
        self.assertIn(b"no account", done.stderr)

    def test_a_dot_in_the_name_of_a_mailbox_is_told(self):
        with self.running(), self.suite.login("foo") as imap:
            imap.create("a.b/c")
            imap.append("a.b/c", None, None, b"A: b\r\n\r\nx\r\n")
        report, errors = self.ctl("export", "foo", "--to", "maildir", f"{self.out}/dots")
        self.assertTrue(os.path.isdir(f"{self.out}/dots/.a\\2eb.c/cur"), os.listdir(f"{self.out}/dots"))
        self.assertIn(".a\\2eb.c; Dovecot reads it as it was with its plugin listescape", errors)
        self.assertEqual({n["where"] for n in report["notes"]}, {"a.b", "a.b/c"})
        self.ctl("import", "bar", "--from", "maildir", f"{self.out}/dots")
        self.assertIn(".a\\2eb.c", self.exported("bar", "again"))

    def test_what_is_not_taken_is_told(self):
        make_maildir(self.source, {"": ("", 3)}, self.rng)
        cur = f"{self.source}/cur"
        os.symlink("/etc/passwd", f"{cur}/1.link:2,S")
        with open(f"{cur}/2.empty:2,", "wb"):
            pass
        with open(f"{cur}/3.letters:2,Sz", "wb") as f:
            f.write(b"A: b\n\n")
        os.makedirs(f"{self.source}/plain/cur")
        with open(f"{self.source}/plain/subscriptions", "wb"):
            pass
        report, errors = self.ctl("import", "foo", "--from", "maildir", self.source, status=1)
        self.assertEqual(report["messages"], 4)
        told = {n["where"]: n["reason"] for n in report["not_taken"]}
        self.assertEqual(told[f"{cur}/1.link:2,S"], "not a regular file")
        self.assertEqual(told[f"{cur}/2.empty:2,"], "it is empty")
        self.assertIn("the flag z of 1 messages", told[self.source])
        self.assertIn("import it separately", told[f"{self.source}/plain"])
        self.assertEqual(len(told), 4)
        self.assertEqual(errors.count("not taken: "), 4)
        # UIDs that the account has used are not given again.
        with self.running():
            self.suite.deliver(b"Subject: x\n\nx\n", user="bar")
        report, errors = self.ctl("import", "bar", "--from", "maildir", self.source, status=1)
        self.assertIn("UIDs are new in INBOX: the mailbox has messages", errors)
        for words, status, text in [
                (["import", "nobody-of-that-name", "--from", "maildir", self.source], 1, "user_list"),
                (["import", "foo", "--from", "maildir", "/nowhere"], 1, "no such directory"),
                (["import", "foo", "--from", "rims", self.source], 1, "meta.gdbm"),
                (["import", "foo", self.source], 2, "--from"),
                (["export", "foo", "--to", "maildir", "/nowhere/to/go"], 1, "/nowhere"),
                (["export", "nobody-of-that-name", "--to", "mbox", self.out], 1, "no account"),
                (["export", "foo"], 2, "DIRECTORY")]:
            done = self.suite.command("sbin/rims-ctl", *words)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(text, done.stderr.decode())

    @unittest.skipUnless(dovecot.INSTALLED, "Dovecot is not installed here")
    def test_dovecot_reads_an_exported_mbox(self):
        texts = [self.KEPT, b"Subject: 2\r\n\r\nFrom x\r\n", b"Subject: 3\r\n\r\nx\r\n"]
        with self.running(), self.suite.login("foo") as imap:
            self.append(imap, "INBOX", texts[0])
            self.append(imap, "INBOX", texts[1], '" 3-Jan-2026 01:05:34 +0000"', r"(\Flagged \Seen $Junk)")
            self.append(imap, "INBOX", texts[2], '" 2-Jan-2026 15:35:34 -0930"', r"(\Answered)")
        self.ctl("export", "foo", "--to", "mbox", f"{self.out}/mbox")
        home, doveadm = dovecot.make(self.suite.directory, "mbox:HOME/mbox:INBOX=HOME/mbox/INBOX")
        subprocess.run(["cp", "-a", f"{self.out}/mbox", home], check=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", str(NOBODY), home], check=True)
        found = doveadm("-f", "tab", "fetch", "uid flags date.received.unixtime", "mailbox", "INBOX").splitlines()
        self.assertEqual([line.replace(r" \Recent", "").replace(r"\Recent", "") for line in found[1:]], [
            "1\t\t1767402334", "2\t" + r"\Flagged \Seen $Junk" + "\t1767402334",
            "3\t" + r"\Answered" + "\t1767402334"])

    @unittest.skipUnless(dovecot.INSTALLED, "Dovecot is not installed here")
    def test_dovecot_s_compressed_maildir_with_folders_in_folders(self):
        texts = [f"Subject: {n}\n\n{'zeile ä ' * n}\n".encode() for n in (1, 100, 30_000)]
        folders = ["INBOX", "INBOX/sub", "x.y", "Ünï/deep/er"]
        for how, user in (("gz", "foo"), ("bz2", "bar"), ("lz4", "baz"), ("zstd", "quux")):
            home, doveadm = dovecot.make(self.suite.directory, "maildir:HOME/Maildir:LAYOUT=fs",
                                         f"mail_plugins = zlib\nplugin {{\n  zlib_save = {how}\n}}")
            doveadm("mailbox", "create", *folders[1:])
            doveadm("mailbox", "subscribe", folders[3])
            for folder in folders:
                for text in texts:
                    doveadm("save", "-m", folder, stdin=text)
            for path in glob.glob(f"{home}/Maildir/**/new/*", recursive=True):
                with open(path, "rb") as f:
                    self.assertNotIn(b"Subject", f.read(10), path)
            report, _ = self.ctl("import", user, "--from", "maildir", f"{home}/Maildir")
            self.assertEqual(report["messages"], len(texts) * len(folders))
            found = self.exported(user, user)
            for directory in ("", ".INBOX.sub", ".x\\2ey", ".&ANw-n&AO8-.deep.er"):
                self.assertEqual([m[3] for _, m in sorted(found[directory][2].items())], texts, directory)
            with open(f"{self.out}/{user}/subscriptions", encoding="utf-8") as f:
                self.assertIn("&ANw-n&AO8-\tdeep\ter\n", f.read())

    @unittest.skipUnless(dovecot.INSTALLED, "Dovecot is not installed here")
    def test_dovecot_s_encrypted_maildir(self):
        keys = tempfile.mkdtemp(prefix="keys-", dir=self.suite.directory)
        for words in (["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                       f"{keys}/private"], ["pkey", "-in", f"{keys}/private", "-pubout", "-out", f"{keys}/public"]):
            subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", str(NOBODY), keys], check=True)
        home, doveadm = dovecot.make(self.suite.directory, "maildir:HOME/Maildir", f"""mail_plugins = mail_crypt
plugin {{
  mail_crypt_global_private_key = <{keys}/private
  mail_crypt_global_public_key = <{keys}/public
  mail_crypt_save_version = 2
}}""")
        doveadm("save", "-m", "INBOX", stdin=b"Subject: secret\n\nx\n")
        report, _ = self.ctl("import", "foo", "--from", "maildir", f"{home}/Maildir", status=1)
        self.assertEqual((report["messages"], report["messages_not_taken"]), (0, 1))
        self.assertIn("it is encrypted", report["not_taken"][0]["reason"])
        # What doc/migration.md says to do about it.
        with open(os.path.join(TOP, "doc/migration.md"), encoding="utf-8") as f:
            words = re.search(r"`doveadm (-o plugin/mail_crypt\S+ backup) -u foo (maildir:)/tmp/foo`", f.read())
        doveadm(*words[1].split(), f"{words[2]}{home}/plain")
        report, _ = self.ctl("import", "foo", "--from", "maildir", f"{home}/plain")
        self.assertEqual(report["messages"], 1)
        self.assertEqual([m[3] for m in self.exported("foo", "a")[""][2].values()],
                         [b"Subject: secret\n\nx\n"])

    @unittest.skipUnless(dovecot.INSTALLED, "Dovecot is not installed here")
    def test_dovecot_s_maildir(self):
        home, doveadm = dovecot.make(self.suite.directory, "maildir:HOME/Maildir")
        doveadm("mailbox", "create", "Work/2026", "Ünï")
        doveadm("mailbox", "subscribe", "Work/2026")
        # Of today they might be those of the account that is made below.
        for n, name in enumerate(("INBOX", "Work/2026", "Ünï")):
            doveadm("mailbox", "update", "--uid-validity", str(1_600_000_000 + n), name)
        for n in range(12):
            doveadm("save", "-m", "Work/2026" if n % 3 == 0 else "INBOX",
                    stdin=f"Subject: {n}\n\ntext {n}\n".encode())
        doveadm("flags", "add", r"\Seen $Junk custom", "mailbox", "INBOX", "1:3")
        doveadm("flags", "add", r"\Answered \Flagged", "mailbox", "Work/2026", "2")
        doveadm("expunge", "mailbox", "INBOX", "uid", "2")
        doveadm("expunge", "mailbox", "INBOX", "uid", "8")
        given = {}
        for name, directory in (("INBOX", ""), ("Work/2026", ".Work.2026")):
            text = doveadm("-f", "tab", "fetch", "uid flags date.received.unixtime", "mailbox", name)
            status = doveadm("-f", "flow", "mailbox", "status", "uidvalidity uidnext", name)
            found = [int(re.search(rf"{k}=(\d+)", status)[1]) for k in ("uidvalidity", "uidnext")]
            given[directory] = (*found, [line.split("\t") for line in text.splitlines()[1:]])
        report, _ = self.ctl("import", "foo", "--from", "maildir", f"{home}/Maildir")
        self.assertEqual(report["messages"], 10)
        letters = {"R": r"\Answered", "F": r"\Flagged", "S": r"\Seen"}
        found = self.exported("foo", "a")
        for directory, (uidvalidity, uidnext, lines) in given.items():
            there = found[directory]
            self.assertEqual(there[:2], (uidvalidity, uidnext))
            self.assertEqual(
                {uid: ({letters[c] for c in m[0]} | m[1], m[2]) for uid, m in there[2].items()},
                {int(uid): (set(flags.split()) - {r"\Recent"}, int(date)) for uid, flags, date in lines})
        # And Dovecot reads what was exported.
        subprocess.run(["cp", "-a", f"{self.out}/a", f"{home}/back"], check=True)
        with open(f"{home}/dovecot.conf", encoding="utf-8") as f:
            config = f.read()
        with open(f"{home}/dovecot.conf", "w", encoding="utf-8") as f:
            f.write(config.replace(f"{home}/Maildir", f"{home}/back"))
        for name, directory in (("INBOX", ""), ("Work/2026", ".Work.2026")):
            text = doveadm("-f", "tab", "fetch", "uid flags date.received.unixtime", "mailbox", name)
            self.assertEqual([(u, sorted(set(f.split()) - {r"\Recent"}), d) for u, f, d in
                              (line.split("\t") for line in text.splitlines()[1:])],
                             [(u, sorted(set(f.split()) - {r"\Recent"}), d)
                              for u, f, d in given[directory][2]])


if __name__ == "__main__":
    unittest.main()
