"""rims-ctl import: sdbox and mdbox of a real Dovecot, compared with what doveadm says of them"""
# time limit: 240 s

import contextlib
import glob
import json
import os
import re
import random
import shutil
import subprocess
import unittest

from tests.system import dovecot
from tests.system.harness import NOBODY, Suite
from tests.system.migrate_test import read_maildir

LETTERS = {"R": r"\Answered", "F": r"\Flagged", "S": r"\Seen", "T": r"\Deleted", "D": r"\Draft", "P": "$Forwarded"}
MAILBOXES = {"INBOX": "", "Work/2026": ".Work.2026", "Ünï & Co": ".&ANw-n&AO8- &- Co"}
# Dovecot then writes its indexes anew, and begins new logs, after a few changes.
RESTLESS = """mail_index_rewrite_min_log_bytes = 1
mail_index_log_rotate_min_size = 512
mail_index_log_rotate_max_size = 1024
mail_index_log_rotate_min_age = 0
mail_index_log2_max_age = 1 h
"""


def text(number, size=200, end="\n"):
    rng = random.Random(number)
    words = "".join(rng.choice(["Zeile ä ö ü\n", "From here\n", "\x01\x02N\n", f"{rng.random()}\n"]) for _ in range(size // 15))
    return f"Subject: {number}\nX-Number: {number}\n\n{words}".replace("\n", end).encode()


@unittest.skipUnless(dovecot.INSTALLED, "Dovecot is not installed here")
class DboxTest(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(users={"foo": "bar", "bar": "baz", "baz": "qux", "qux": "quux"})
        self.addCleanup(self.suite.close)
        self.out = os.path.join(self.suite.directory, "out")
        os.mkdir(self.out)
        if self.suite.drop:
            os.chown(self.out, NOBODY, NOBODY)
        self.exports = 0

    def ctl(self, *words, status=0):
        done = self.suite.command("sbin/rims-ctl", *words, "--json", limit=100)
        self.assertEqual(done.returncode, status, done.stderr.decode() + done.stdout.decode())
        return json.loads(done.stdout)

    def exported(self, user):
        self.exports += 1
        where = f"{self.out}/{self.exports}"
        self.ctl("export", user, "--to", "maildir", where)
        return {directory: (uidvalidity, uidnext,
                            {uid: ({LETTERS[c] for c in m[0]} | m[1], m[2], m[3]) for uid, m in there.items()})
                for directory, (uidvalidity, uidnext, there) in read_maildir(where).items()}

    def filled(self, kind, settings="", location=""):
        """Three mailboxes with flags, keywords, other dates, copies, moved and expunged messages."""
        home, doveadm = dovecot.make(self.suite.directory, f"{kind}:HOME/mail{location}", settings)
        doveadm("mailbox", "create", *list(MAILBOXES)[1:])
        doveadm("mailbox", "subscribe", "Work/2026")
        for n, name in enumerate(MAILBOXES):
            doveadm("mailbox", "update", "--uid-validity", str(1_600_000_000 + n), name)
        # Dates of their own come with an import from a Maildir.
        for part in ("cur", "new", "tmp"):
            os.makedirs(f"{home}/from/{part}")
        for n in range(6):
            with open(f"{home}/from/cur/{n}.x:2,{'SF' if n % 2 else ''}", "wb") as f:
                f.write(text(100 + n))
            os.utime(f.name, (1_400_000_000 + 1000 * n, 1_400_000_000 + 1000 * n))
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", str(NOBODY), f"{home}/from"], check=True)
        doveadm("import", f"maildir:{home}/from", "", "all")
        for n in range(12):
            doveadm("save", "-m", list(MAILBOXES)[n % 3], stdin=text(n, 100 * n, end="\r\n" if n % 5 == 0 else "\n"))
        doveadm("flags", "add", r"\Seen $Junk custom", "mailbox", "INBOX", "1:3")
        doveadm("flags", "add", r"\Answered \Draft", "mailbox", "Work/2026", "2")
        doveadm("flags", "remove", r"\Seen Custom", "mailbox", "INBOX", "2")
        doveadm("fetch", "modseq size.virtual", "mailbox", "INBOX", "all")
        doveadm("copy", "Work/2026", "mailbox", "INBOX", "uid", "5")
        doveadm("move", "Work/2026", "mailbox", "INBOX", "uid", "4")
        doveadm("flags", "add", "$Forwarded second", "mailbox", "Work/2026", "all")
        for uid, mailbox in (("2", "INBOX"), ("1", "Work/2026"), ("7", "INBOX")):
            doveadm("expunge", "mailbox", mailbox, "uid", uid)
        doveadm("flags", "replace", r"\Flagged third", "mailbox", "INBOX", "uid", "6")
        doveadm("save", "-m", "INBOX", stdin=text(50, 3000))
        return home, doveadm

    def assert_same(self, user, doveadm):
        found = self.exported(user)
        for name, directory in MAILBOXES.items():
            self.assertEqual(found[directory], dovecot.what_it_has(doveadm, name), name)
        return found

    def test_all_that_doveadm_says_is_taken_once(self):
        for kind, user in (("sdbox", "foo"), ("mdbox", "bar")):
            with self.subTest(kind):
                home, doveadm = self.filled(kind)
                report = self.ctl("import", user, "--from", kind, f"{home}/mail")
                found = self.assert_same(user, doveadm)
                taken = sum(len(m[2]) for m in found.values())
                self.assertGreater(taken, 12)
                self.assertEqual((report["messages"], report["not_taken"], report["notes"]), (taken, [], []))
                with open(f"{self.out}/{self.exports}/subscriptions", encoding="utf-8") as f:
                    self.assertIn("\nWork\t2026\n", f.read())
                # What comes later is taken; nothing is taken twice.
                doveadm("save", "-m", "Work/2026", stdin=text(70))
                report = self.ctl("import", user, "--from", kind, f"{home}/mail")
                self.assertEqual((report["messages"], report["taken_before"]), (1, taken))

    def test_with_indexes_and_logs_that_were_written_anew(self):
        for kind, user in (("sdbox", "foo"), ("mdbox", "bar")):
            with self.subTest(kind):
                home, doveadm = self.filled(kind, RESTLESS + "mdbox_rotate_size = 2k")
                names = {os.path.basename(path) for path in glob.glob(f"{home}/mail/**/*", recursive=True)}
                self.assertLessEqual({"dovecot.index", "dovecot.index.log"}, names)
                self.assertIn("dovecot.index.log.2", names)
                if kind == "mdbox":
                    self.assertLessEqual({"m.1", "m.2", "m.3"}, names)
                report = self.ctl("import", user, "--from", kind, f"{home}/mail")
                self.assertEqual((report["not_taken"], report["notes"]), ([], []))
                self.assert_same(user, doveadm)
        doveadm("force-resync", "INBOX")  # writes the index of the storage, too
        doveadm("save", "-m", "INBOX", stdin=text(80))
        doveadm("expunge", "mailbox", "INBOX", "uid", "6")
        self.assertTrue(os.path.exists(f"{home}/mail/storage/dovecot.map.index"))
        report = self.ctl("import", "baz", "--from", "mdbox", f"{home}/mail")
        self.assertEqual((report["not_taken"], report["notes"]), ([], []))
        self.assert_same("baz", doveadm)

    def test_expunged_messages_of_mdbox_do_not_come_back(self):
        home, doveadm = self.filled("mdbox", "mdbox_rotate_size = 2k")
        self.ctl("import", "foo", "--from", "mdbox", f"{home}/mail")
        before = self.assert_same("foo", doveadm)
        files = set(glob.glob(f"{home}/mail/storage/m.*"))
        doveadm("purge")
        self.assertNotEqual(files, set(glob.glob(f"{home}/mail/storage/m.*")))
        self.ctl("import", "bar", "--from", "mdbox", f"{home}/mail")
        after = self.assert_same("bar", doveadm)
        self.assertEqual(*({name: found[name] for name in MAILBOXES.values()} for found in (before, after)))
        # Nor is what purge has moved taken a second time.
        report = self.ctl("import", "foo", "--from", "mdbox", f"{home}/mail")
        self.assertEqual((report["messages"], report["not_taken"]), (0, []))

    def test_compressed(self):
        for kind, how, user in (("sdbox", "zstd", "foo"), ("mdbox", "gz", "bar"), ("mdbox", "lz4", "baz")):
            with self.subTest(kind + how):
                home, doveadm = self.filled(kind, f"mail_plugins = zlib\nplugin {{\n  zlib_save = {how}\n}}")
                report = self.ctl("import", user, "--from", kind, f"{home}/mail")
                self.assertEqual(report["not_taken"], [])
                self.assert_same(user, doveadm)

    def test_encrypted_messages_are_not_taken(self):
        keys = os.path.join(self.suite.directory, "keys")
        os.mkdir(keys)
        for words in (["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{keys}/private"],
                      ["pkey", "-in", f"{keys}/private", "-pubout", "-out", f"{keys}/public"]):
            subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", str(NOBODY), keys], check=True)
        for kind in ("sdbox", "mdbox"):
            home, doveadm = dovecot.make(self.suite.directory, f"{kind}:HOME/mail", f"""mail_plugins = mail_crypt
plugin {{
  mail_crypt_global_private_key = <{keys}/private
  mail_crypt_global_public_key = <{keys}/public
  mail_crypt_save_version = 2
}}""")
            doveadm("save", "-m", "INBOX", stdin=text(1))
            report = self.ctl("import", "foo", "--from", kind, f"{home}/mail", status=1)
            self.assertEqual((report["messages"], report["messages_not_taken"]), (0, 1))
            self.assertIn("it is encrypted", report["not_taken"][0]["reason"])

    def test_attachments_outside_are_reported(self):
        attachment = "\n".join("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3" for _ in range(50))
        mail = ("Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
                "Content-Type: text/plain\n\nx\n--b\nContent-Type: application/octet-stream\n"
                "Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=x\n\n"
                f"{attachment}\n--b--\n").encode()
        home, doveadm = dovecot.make(self.suite.directory, "mdbox:HOME/mail",
                                     "mail_attachment_dir = HOME/attachments\nmail_attachment_min_size = 1k")
        for message in (mail, text(1)):
            doveadm("save", "-m", "INBOX", stdin=message)
        self.assertTrue(glob.glob(f"{home}/attachments/*"))
        report = self.ctl("import", "foo", "--from", "mdbox", f"{home}/mail", status=1)
        self.assertEqual((report["messages"], report["messages_not_taken"]), (1, 1))
        self.assertIn("its attachments are kept outside", report["not_taken"][0]["reason"])

    def test_alternate_storage(self):
        for kind, user in (("sdbox", "foo"), ("mdbox", "bar")):
            with self.subTest(kind):
                home, doveadm = self.filled(kind, "mdbox_rotate_size = 2k", ":ALT=HOME/alt")
                doveadm("altmove", "mailbox", "INBOX", "uid", "1,3,8")
                doveadm("altmove", "mailbox", "Work/2026", "all")
                moved = glob.glob(f"{home}/alt/**/[mu].*", recursive=True)
                self.assertTrue(moved)
                report = self.ctl("import", user, "--from", kind, f"{home}/mail", status=1)
                self.assertGreater(report["messages_not_taken"], 0)
                for told in report["not_taken"]:
                    self.assertIn("name it with --alt", told["reason"])
                # The ones that were missed are last now.
                report = self.ctl("import", user, "--from", kind, f"{home}/mail", "--alt", f"{home}/alt")
                self.assertGreater(report["messages"], 0)
                # In one go, all is where it was.
                another = {"sdbox": "baz", "mdbox": "qux"}[kind]
                self.ctl("import", another, "--from", kind, f"{home}/mail", "--alt", f"{home}/alt")
                self.assert_same(another, doveadm)

    def copy(self, home):
        """The tree, as it is carried to another machine."""
        where = f"{home}/copy"
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(f"{home}/mail", where)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", str(NOBODY), where], check=True)
        return where

    def test_without_the_index_of_a_mailbox(self):
        for kind, user in (("sdbox", "foo"), ("mdbox", "bar")):
            with self.subTest(kind):
                home, doveadm = self.filled(kind)
                where = self.copy(home)
                for path in glob.glob(f"{where}/mailboxes/INBOX/dbox-Mails/dovecot.index*"):
                    os.remove(path)
                report = self.ctl("import", user, "--from", kind, where, status=1)
                self.assertEqual([(n["where"], n["reason"].split(";")[0]) for n in report["not_taken"]],
                                 [(f"{where}/mailboxes/INBOX/dbox-Mails", "there is no index")])
                self.assertIn("without flags and keywords", report["not_taken"][0]["reason"])
                found = self.exported(user)
                for name in ("Work/2026", "Ünï & Co"):
                    self.assertEqual(found[MAILBOXES[name]], dovecot.what_it_has(doveadm, name))
                theirs = dovecot.what_it_has(doveadm, "INBOX")[2]
                expected = sorted((date, body) for _, date, body in theirs.values())
                if kind == "mdbox":  # a message that another mailbox holds, too, can not be told from one that was moved
                    other = {body for _, _, body in dovecot.what_it_has(doveadm, "Work/2026")[2].values()}
                    expected = [m for m in expected if m[1] not in other]
                self.assertEqual(sorted((date, body) for _, date, body in found[""][2].values()), expected)
                self.assertEqual({len(flags) for flags, _, _ in found[""][2].values()}, {0})

    def test_without_the_map_names_find_the_messages(self):
        home, doveadm = self.filled("mdbox", "mdbox_rotate_size = 2k")
        where = self.copy(home)
        for path in glob.glob(f"{where}/storage/dovecot.map.index*"):
            os.remove(path)
        report = self.ctl("import", "foo", "--from", "mdbox", where, status=1)
        self.assertEqual(len(report["not_taken"]), 1)
        self.assertIn("there is no index; messages are found by their names", report["not_taken"][0]["reason"])
        self.assert_same("foo", doveadm)

    def test_storage_alone(self):
        home, doveadm = self.filled("mdbox")
        doveadm("purge")
        where = self.copy(home)
        shutil.rmtree(f"{where}/mailboxes")
        report = self.ctl("import", "foo", "--from", "mdbox", where, status=1)
        self.assertEqual(len(report["not_taken"]), 3)
        found = self.exported("foo")
        theirs = {body for name in MAILBOXES for _, _, body in dovecot.what_it_has(doveadm, name)[2].values()}
        self.assertEqual({body for _, _, there in found.values() for _, _, body in there.values()}, theirs)

    def test_damage_costs_the_message_that_it_is_in(self):
        for kind, user in (("sdbox", "foo"), ("mdbox", "bar")):
            with self.subTest(kind):
                home, doveadm = self.filled(kind)
                where = self.copy(home)
                path = glob.glob(f"{where}/mailboxes/INBOX/dbox-Mails/u.3" if kind == "sdbox" else f"{where}/storage/m.1")[0]
                with open(path, "r+b") as f:
                    all_bytes = f.read()
                    at = all_bytes.rindex(b"\x01\x02N ", 0, all_bytes.index(text(102)))
                    f.seek(at + 20)
                    f.write(b"7")
                report = self.ctl("import", user, "--from", kind, where, status=1)
                self.assertEqual(report["messages_not_taken"], 1)
                self.assertTrue(report["not_taken"][0]["where"].startswith(path), report["not_taken"])
                if kind == "mdbox":
                    self.assertEqual(report["not_taken"][0]["where"], f"{path} at offset {at}")
                found = self.exported(user)
                theirs = dovecot.what_it_has(doveadm, "INBOX")
                del theirs[2][3]
                self.assertEqual(found[""], theirs)

    def test_a_cut_file_of_a_mailbox_without_an_index_names_all_that_is_lost(self):
        home, doveadm = dovecot.make(self.suite.directory, "mdbox:HOME/mail")
        for n in range(9):
            doveadm("save", "-m", "INBOX", stdin=text(n))
        where = self.copy(home)
        for path in glob.glob(f"{where}/mailboxes/INBOX/dbox-Mails/dovecot.index*"):
            os.remove(path)
        with open(f"{where}/storage/m.1", "rb") as f:
            whole = f.read()
        starts = [m.start() for m in re.finditer(rb"\x01\x02N ", whole)]
        self.assertEqual(len(starts), 9)
        with open(f"{where}/storage/m.1", "wb") as f:
            f.write(whole[:starts[4] + 60])
        report = self.ctl("import", "foo", "--from", "mdbox", where, status=1)
        self.assertEqual(report["messages"], 4)
        told = "\n".join(n["reason"] for n in report["not_taken"])
        self.assertIn("4 messages more are lost: files of the storage were cut", told)
        self.assertEqual(sum("m.1 at offset" in n["where"] for n in report["not_taken"]), 1, "and the fifth")

    def test_a_tree_that_is_no_mbox_or_can_not_be_read_says_so(self):
        for kind in ("sdbox", "mdbox"):
            home, doveadm = dovecot.make(self.suite.directory, f"{kind}:HOME/mail")
            doveadm("save", "-m", "INBOX", stdin=text(1))
            where = self.copy(home)
            done = self.suite.command("sbin/rims-ctl", "import", "foo", "--from", "mbox", where)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{where}: this is {kind} of Dovecot: say --from {kind}", done.stderr.decode())
            os.chmod(where, 0)
            done = self.suite.command("sbin/rims-ctl", "import", "foo", "--from", kind, where)
            os.chmod(where, 0o700)
            self.assertIn(f"{where}: Permission denied", done.stderr.decode())
            self.assertNotEqual(done.returncode, 0)

    def test_the_other_kind_is_named(self):
        homes = {kind: dovecot.make(self.suite.directory, f"{kind}:HOME/mail")[0] for kind in ("sdbox", "mdbox")}
        for kind, home in homes.items():
            with contextlib.suppress(FileExistsError):
                os.makedirs(f"{home}/mail/mailboxes")
                if kind == "mdbox":
                    os.makedirs(f"{home}/mail/storage")
        for form, there, says in (("sdbox", "mdbox", "this is mdbox: say --from mdbox"),
                                  ("mdbox", "sdbox", "this is sdbox: say --from sdbox"),
                                  ("maildir", "mdbox", "say --from sdbox or mdbox")):
            done = self.suite.command("sbin/rims-ctl", "import", "foo", "--from", form, f"{homes[there]}/mail")
            self.assertEqual(done.returncode, 1)
            self.assertIn(says, done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
