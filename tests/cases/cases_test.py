"""Faults that users, migrating admins and attackers met: each as they met it, in the whole suite

The kind that each of them belongs to has tests of its own, beside the code. Here stand the ways in
which they were found, one after the other.
"""

import array
import contextlib
import errno
import glob
import gzip
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from tests.cases.taken_over import Refused, TakenOver, needs_ptrace
from tests.clients.mta_test import Postfix, readme_recipe
from tests.system.bystander import ONE_WORKER, Bystander, Client
from tests.system.harness import NOBODY, Suite, wait_for
from tests.system.migrate_test import Gdbm, marshal_places, marshal_time
from tests.system.tools_test import account, ctl, mail, uids, write

SMALL = "storage:\n  segment_size: 64K\n"


def segments(suite, user="foo"):
    return sorted(glob.glob(account(suite, user, "journal", "0*")))


def body(n, size=8000):
    return mail(f"message {n}") + b"x" * 70 + b"\r\n" + (b"y" * 76 + b"\r\n") * (size // 78)


def fill(suite, count=30, mailbox="INBOX"):
    with suite.login() as imap:
        for n in range(count):
            imap.append(mailbox, None, None, body(n))


def numbers(suite, mailbox="INBOX"):
    with suite.login() as imap:
        return uids(imap, mailbox)


class Cases(unittest.TestCase):
    def suite(self, settings="", **more):
        suite = Suite(settings=settings, **more)
        self.addCleanup(suite.close)
        return suite

    def directory(self):
        made = tempfile.mkdtemp(prefix="rims-case-")
        self.addCleanup(shutil.rmtree, made, True)
        os.chmod(made, 0o755)
        return made

    # The store ----------------------------------------------------------------------------------

    def test_advice_for_a_segment_that_can_not_be_read(self):
        suite = self.suite(SMALL)
        with suite.start():
            fill(suite)
            suite.stop()
            second = segments(suite)[1]
            os.rename(second, second + "-file")
            os.symlink(second + "-file", second)
            said = ctl(suite, "check", "foo", status=1)
            self.assertIn("put the file itself there", said)
            self.assertNotIn("expunge it", said)
            self.assertNotIn("bytes are missing", said)
            os.remove(second)
            os.rename(second + "-file", second)
            # A copy of a segment under another name is told, and harms nobody.
            last = segments(suite)[-1]
            stray = last[:-8] + f"{int(last[-8:]) + 1:08}"
            shutil.copy2(last, stray)
            os.chown(stray, NOBODY, NOBODY)
            self.assertIn("is a second copy of", ctl(suite, "check", "foo", status=1))
            suite.start()
            self.assertEqual(numbers(suite), list(range(1, 31)))

    def test_a_user_without_mail_is_sound(self):
        suite = self.suite()
        with suite.start():
            self.assertEqual(numbers(suite), [])
            suite.stop()
            ctl(suite, "check", "foo")
            ctl(suite, "check", "--all")

    def test_the_last_segment_is_lost_after_an_orderly_stop(self):
        suite = self.suite(SMALL)
        with suite.start():
            fill(suite)
            suite.stop()
            os.remove(segments(suite)[-1])
            self.assertIn("but the index was made of", ctl(suite, "check", "foo", status=1))
            suite.start()
            fill(suite, 1)
            self.assertGreater(numbers(suite)[-1], 30, "a UID was given out again")
            self.assertIn("ERROR", suite.log_text())
            suite.stop()
            self.assertIn("knew more than the journal", ctl(suite, "check", "foo", status=1))

    def test_the_record_that_made_inbox_is_damaged(self):
        for damage in (lambda b: b[:1133] + bytes([b[1133] ^ 4]) + b[1134:],
                       lambda b: b[:1124] + b"\xff" * 16 + b[1140:]):
            suite = self.suite()
            with suite.start():
                fill(suite, 5)
                suite.kill_all()
                path = segments(suite)[0]
                with open(path, "rb") as f:
                    content = f.read()
                with open(path, "r+b") as f:
                    f.write(damage(content))
                suite.start()
                with suite.login() as imap:
                    names = [line.decode().rsplit(" ", 1)[1].strip('"') for line in imap.list()[1]]
                    held = [len(uids(imap, name)) for name in names if name == "INBOX" or "Recovered" in name]
                self.assertEqual(sum(held), 5, names)

    def test_a_restored_account_is_sound(self):
        suite = self.suite()
        backup = os.path.join(suite.directory, "backup")
        with suite.start():
            suite.deliver(mail("one"))
            ctl(suite, "backup", "foo", backup)
            suite.stop()
            os.rename(account(suite, "foo"), os.path.join(suite.directory, "away"))
            ctl(suite, "restore", "foo", "--from", backup)
            suite.start()
            suite.deliver(mail("two"))
            suite.stop()
            ctl(suite, "check", "foo")
            suite.start()
            self.assertEqual(len(numbers(suite)), 2)

    def test_what_undelete_brings_back_stays(self):
        with self.suite().start() as suite:
            with suite.login() as imap:
                for text in ("important", "other"):
                    imap.append("INBOX", "(\\Seen)", None, mail(text))
                imap.select()
                imap.store("1", "+FLAGS", "\\Deleted")
                imap.expunge()
            ctl(suite, "undelete", "foo")
            with suite.login() as imap:
                imap.select()
                imap.close()
                self.assertEqual(len(uids(imap, "INBOX")), 2)

    # In and out ---------------------------------------------------------------------------------

    def test_two_maildirs_with_the_same_file_name(self):
        with self.suite().start() as suite:
            where = self.directory()
            for name in ("a", "b"):
                write(f"{where}/{name}/cur/1:2,S", f"Subject: {name}\n\nfrom {name}\n")
                os.makedirs(f"{where}/{name}/new")
                ctl(suite, "import", "foo", "--from", "maildir", f"{where}/{name}")
            self.assertEqual(len(numbers(suite)), 2)

    def test_a_maildir_that_dovecot_has_compressed(self):
        with self.suite().start() as suite:
            where = self.directory()
            text = b"Subject: small\r\n\r\n" + b"inflated\r\n" * 20
            os.makedirs(f"{where}/cur")
            os.makedirs(f"{where}/new")
            name = f"1400000001.M1P1.host,S={len(text)},W={len(text)}:2,S"
            with open(f"{where}/cur/{name}", "wb") as f:
                f.write(gzip.compress(text))
            with open(f"{where}/cur/1400000002.M2P2.host:2,", "wb") as f:
                f.write(b"CRYPTED\x03\x07" + bytes(range(100)))
            self.assertIn("encrypted", ctl(suite, "import", "foo", "--from", "maildir", where, status=1))
            with suite.login() as imap:
                self.assertEqual(uids(imap, "INBOX"), [1])
                self.assertEqual(imap.uid("FETCH", "1", "(BODY.PEEK[])")[1][0][1], text)

    def original(self, places, there):
        """A store of the original RIMS with three messages; `there`: the UIDs that INBOX has."""
        where = self.directory()
        with Gdbm(f"{where}/meta.gdbm") as meta, Gdbm(f"{where}/message.gdbm") as store, \
                Gdbm(f"{where}/mailbox_1.gdbm") as inbox:
            meta["mbox_set"] = "1"
            meta["mbox_id2name-1"] = "INBOX"
            meta["mbox_id2uid-1"] = "4"
            for n, uid in places.items():
                store[str(n)] = f"Subject: {n}\r\n\r\n" + "x" * 3000 + "\r\n"
                meta[f"msg_id2mbox-{n}"] = marshal_places({1: [uid]})
                meta[f"msg_id2date-{n}"] = marshal_time(1_400_000_000 + n, 0)
                if uid in there:
                    inbox[str(uid)] = str(n)
        return where

    def test_a_store_of_the_original_that_was_killed_while_it_appended(self):
        # meta.gdbm has reached the disk, the file of the mailbox has not.
        where = self.original({0: 1, 1: 2, 2: 3}, there=(1, 2))
        with self.suite().start() as suite:
            told = ctl(suite, "import", "foo", "--from", "rims", where)
            self.assertIn("message 2: only meta.gdbm places it here", told)
            self.assertEqual(numbers(suite), [1, 2, 3])

    def test_a_store_of_the_original_that_needs_recovery(self):
        where = self.original({n: n + 1 for n in range(80)}, there=range(1, 81))
        with open(f"{where}/message.gdbm", "ab") as f:
            f.write(bytes(100))
        before = os.stat(f"{where}/message.gdbm").st_size
        with self.suite().start() as suite:
            self.assertIn("80 entries are read from a copy that was recovered",
                          ctl(suite, "import", "foo", "--from", "rims", where))
            self.assertEqual(numbers(suite), list(range(1, 81)))
        self.assertEqual(os.stat(f"{where}/message.gdbm").st_size, before)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("postfix"), "needs root and Postfix")
    def test_the_recipe_for_postfix_takes_mail_for_a_user_without_a_system_account(self):
        with self.suite(users={"dora": "secret"}).start() as suite:
            postfix = Postfix(suite, settings="mydestination = localhost\n" + readme_recipe(), recipient="${user}")
            self.addCleanup(postfix.close)
            with smtplib.SMTP("127.0.0.1", postfix.port, timeout=20) as smtp:
                self.assertEqual(smtp.sendmail("b@example.net", ["dora@localhost"], b"Subject: x\r\n\r\nx\r\n"), {})
            wait_for(lambda: postfix.statuses(), 30, "it is handed over")
            self.assertEqual(postfix.statuses(), ["sent"])
            with suite.login("dora", "secret") as imap:
                self.assertEqual(uids(imap, "INBOX"), [1])

    def test_mbox_files_of_other_programs(self):
        with self.suite().start() as suite:
            where = self.directory()
            write(f"{where}/noblank", "From a@b Thu Jan  1 00:00:00 2015\nSubject: one\n\nbody\n"
                                      "From a@b Thu Jan  1 00:00:01 2015\nSubject: two\n\nbody\n")
            write(f"{where}/&AOQ-b", "From a@b Thu Jan  1 00:00:00 2015\nX-Mozilla-Status: 0001\nSubject: x\n\nx\n")
            ctl(suite, "import", "foo", "--from", "mbox", where)
            with suite.login() as imap:
                self.assertEqual(uids(imap, "noblank"), [1, 2])
                self.assertEqual(uids(imap, '"&AOQ-b"'), [1])
                self.assertIn(b"\\Seen", imap.uid("FETCH", "1", "(FLAGS)")[1][0])

    def test_mail_for_a_mailbox_that_is_gone(self):
        with self.suite().start() as suite:
            with suite.login() as imap:
                imap.delete("Junk")
            suite.deliver(mail("to Junk"), mailbox="Junk")
            self.assertEqual(numbers(suite), [1])

    def test_a_user_in_another_spelling(self):
        with self.suite(users={"Bob": "secret"}).start() as suite:
            suite.deliver(mail("hello"), user="bob")
            for name in ("bob", "BOB", "Bob"):
                with suite.login(name, password="secret") as imap:
                    self.assertEqual(uids(imap, "INBOX"), [1], name)

    def test_a_configuration_of_the_original_of_2019(self):
        where = self.directory()
        config = f"{where}/config.yml"
        write(config, "required_features: [ rims/gdbm ]\n"
                      "logging: { file: { path: imap.log, level: debug, shift_age: 10, shift_size: 1048576 } }\n"
                      "daemon: { daemonize: true, umask: 0022, status_file: rims.pid,\n"
                      "          server_privileged_user: nobody, server_privileged_group: nogroup }\n"
                      "server: { listen: \"127.0.0.1:0\", process_num: 1, thread_num: 20 }\n"
                      "connection: { command_wait_timeout_seconds: 1800 }\n"
                      "storage: { text_key_value_store: { type: gdbm } }\n"
                      "authentication:\n"
                      "  hostname: imap.example.com\n"
                      "  password_sources: [ { type: plain, configuration: [ { user: foo, pass: bar } ] } ]\n"
                      "authorization: { mail_delivery_user: \"#postman\" }\n")
        os.chmod(config, 0o600)
        suite = self.suite()
        os.chown(where, NOBODY, NOBODY)
        os.chown(config, NOBODY, NOBODY)
        done = suite.command("sbin/rims-ctl", "-c", config, "check")
        said = done.stdout.decode() + done.stderr.decode()
        self.assertEqual(done.returncode, 0, said)
        self.assertIn("server.thread_num has no effect", said)
        with open(config, "a", encoding="utf-8") as f:
            f.write("openssl: { use_ssl: true, ssl_context: \"SSL.context\" }\n")
        done = suite.command("sbin/rims-ctl", "-c", config, "check")
        self.assertEqual(done.returncode, 6)
        self.assertIn(b"name the PEM files in tls.certificate and tls.key", done.stderr)

    # Protocol -----------------------------------------------------------------------------------

    # One suite at a time ------------------------------------------------------------------------

    def second_start(self, suite, config):
        """A controller that must be refused; what it says."""
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if suite.drop else {}
        done = subprocess.run([f"{suite.stage}/libexec/rims/rims-controller", "-c", config],
                              capture_output=True, timeout=60, cwd="/", check=False, **who)
        self.assertEqual(done.returncode, 69, done)
        return done.stderr.decode()

    def test_the_run_directory_is_removed_under_the_suite(self):
        with self.suite() as suite:
            shutil.rmtree(suite.run_dir)
            pid = suite.child.pid
            told = ctl(suite, "status", status=1)
            self.assertIn(f"rims runs, with process {pid}\n", told)
            self.assertIn("rims.pid is gone", told)
            self.assertIn("rims-imapd", told)
            self.assertIn(f"rims runs already, with process {pid}", ctl(suite, "start"))
            self.assertIn(f"another suite runs on {suite.mail}, with process {pid}",
                          self.second_start(suite, suite.config))
            with suite.login() as imap:
                imap.noop()
            self.assertIn("reads its configuration again", ctl(suite, "reload"))
            self.assertIn("rims is stopped", ctl(suite, "stop"))
            self.assertEqual(suite.child.wait(10), 0)
            self.assertIn("rims does not run", ctl(suite, "status", status=3))

    def test_a_second_start_takes_nothing_from_the_first(self):
        with self.suite() as suite:
            before = sorted(os.listdir(suite.run_dir))
            self.assertIn("ports", before)
            self.assertIn("the suite is running already", self.second_start(suite, suite.config))
            with open(suite.config, encoding="utf-8") as f:
                text = f.read()
            others = {
                # The same mail; and the same directory of sockets, for other mail.
                text.replace(f"  run_dir: {suite.run_dir}", f"  run_dir: {suite.directory}/run2"):
                    f"another suite runs on {suite.mail}, with process {suite.child.pid}",
                text.replace("paths:\n", f"paths:\n  pid_file: {suite.directory}/second.pid\n")
                    .replace(f"base_dir: {suite.mail}", f"base_dir: {suite.directory}/mail2"):
                    "another server listens on",
            }
            for number, (other, why) in enumerate(others.items()):
                self.assertNotEqual(other, text)
                path = os.path.join(suite.directory, f"second{number}.yml")
                with open(path, "w", encoding="utf-8") as f:
                    f.write(other)
                shutil.copystat(suite.config, path)
                if suite.drop:
                    os.chown(path, NOBODY, NOBODY)
                self.assertIn(why, self.second_start(suite, path))
            self.assertEqual(sorted(os.listdir(suite.run_dir)), before)
            suite.deliver(b"Subject: still\n\nhere\n")
            self.assertEqual(len(numbers(suite)), 1)
            self.assertIn("no mistakes", ctl(suite, "check"))

    def test_keywords_come_to_an_end_and_mail_does_not(self):
        with self.suite("limits:\n  keywords: 64\n").start() as suite, suite.login() as imap:
            imap.create("full")
            imap.append("full", None, None, mail("x"))
            imap.select("full")
            imap.store("1", "+FLAGS.SILENT", "(" + " ".join(f"tag{n}" for n in range(64)) + ")")
            imap.store("1", "FLAGS.SILENT", "(\\Deleted)")
            imap.expunge()
            self.assertEqual(imap.append("full", "(new1)", None, mail("y"))[0], "OK")
            imap.append("INBOX", "(new2)", None, mail("z"))
            imap.select("INBOX")
            self.assertEqual(imap.copy("1", "full")[0], "OK")
            self.assertEqual(len(uids(imap, "full")), 2)

    def test_names_with_wildcards(self):
        with self.suite().start() as suite, suite.login() as imap:
            for name in ('"100% sure"', '"* Important"'):
                self.assertEqual(imap.create(name)[0], "OK", name)
                self.assertEqual(imap.select(name)[0], "OK", name)

    def test_the_address_in_a_delivery_report(self):
        report = (b"Subject: returned\r\nMIME-Version: 1.0\r\n"
                  b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
                  b"--b\r\n\r\ncould not be delivered\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
                  b"Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; lost@far.example\r\n"
                  b"Status: 5.1.1\r\n--b--\r\n")
        with self.suite().start() as suite, suite.login() as imap:
            imap.append("INBOX", None, None, report)
            imap.select("INBOX")
            for key in ("BODY", "TEXT"):
                self.assertEqual(imap.search(None, key, "lost@far.example")[1], [b"1"], key)

    # Security -----------------------------------------------------------------------------------

    @staticmethod
    def listening(pid):
        """The descriptors of a process on which others connect."""
        with open("/proc/net/unix", encoding="ascii") as f:
            inodes = {w[6] for w in map(str.split, list(f)[1:]) if w[3] == "00010000"}
        with open("/proc/net/tcp", encoding="ascii") as f:
            inodes |= {w[9] for w in map(str.split, list(f)[1:]) if w[3] == "0A"}
        return [int(fd) for fd in os.listdir(f"/proc/{pid}/fd")
                if os.readlink(f"/proc/{pid}/fd/{fd}").strip("socket:[]") in inodes]

    def test_a_process_that_was_taken_over_gets_no_further(self):
        needs_ptrace()
        kill, socket_, shutdown, chmod, newfstatat, fcntl_ = 62, 41, 48, 90, 262, 72
        both_ways, set_owner = 2, 8
        with self.suite(tls=False, settings=ONE_WORKER).start() as suite:
            controller = suite.child.pid
            secret = suite.config.encode() + b"\0"
            tried = {
                "log": (fcntl_, 0, set_owner, controller),
                "auth": (chmod, secret, 0o666),
                "imapd": (chmod, secret, 0o666),
                "deliverd": (shutdown, "door", both_ways),
                "login": (shutdown, "door", both_ways),
            }
            for role, own in tried.items():
                pid = suite.pids(role)[0]
                # Whether a file is there, no answer tells.
                for name in (b"/etc/passwd\0", b"/etc/is-not-there\0"):
                    self.assertEqual(TakenOver(pid).call(newfstatat, -100, name, bytes(256), 0x1000),
                                     -errno.EACCES, role)
                for call in (own, (kill, controller, 9), (socket_, socket.AF_INET, socket.SOCK_STREAM, 0)):
                    pid = suite.pids(role)[0]
                    call = [self.listening(pid)[0] if word == "door" else word for word in call]
                    with self.assertRaisesRegex(Refused, "SIGSYS", msg=f"{role}: {call}"):
                        TakenOver(pid).call(*call)
                    wait_for(lambda: re.search(rf"rims-{role}(?: \d+)? is back \(process (?!{pid}\b)\d+\)\n.*",
                                               suite.output_text().split(f"(process {pid})")[-1], re.S), 40,
                             f"rims-{role} is started again")
            self.assertIsNone(suite.child.poll())
            self.assertEqual(os.stat(suite.config).st_mode & 0o777, 0o600)
            suite.deliver(mail("x"))
            self.assertEqual(len(numbers(suite)), 1)

    def test_a_long_host_name_ends_no_process(self):
        name = ".".join(["a" * 60] * 3 + ["b" * 46])
        self.assertEqual(len(name), 229)
        suite = self.suite("auth:\n  cram_md5: always\n")
        with open(suite.config, encoding="utf-8") as f:
            text = f.read()
        with open(suite.config, "w", encoding="utf-8") as f:
            f.write(text.replace("hostname: localhost", f"hostname: {name}"))
        with suite.start():
            before = suite.pids()
            for _ in range(4):
                with socket.create_connection(("127.0.0.1", suite.imap_port), 10) as s:
                    s.recv(4096)
                    s.sendall(b"a AUTHENTICATE CRAM-MD5\r\n")
                    self.assertTrue(s.recv(4096).startswith(b"+ "))
                    s.sendall(b"Zm9vIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw\r\n")
                    self.assertTrue(s.recv(4096).startswith(b"a NO"))
            self.assertEqual(suite.pids(), before)

    def test_empty_datagrams_keep_no_descriptors(self):
        with self.suite().start() as suite:
            pid = suite.pids("deliverd")[0]
            before = len(os.listdir(f"/proc/{pid}/fd"))
            held = [os.open("/dev/null", os.O_RDONLY) for _ in range(4)]
            try:
                for _ in range(300):
                    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s, contextlib.suppress(OSError):
                        s.connect(os.path.join(suite.run_dir, "deliver.sock"))
                        s.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", held))])
                        s.recv(10)
            finally:
                for fd in held:
                    os.close(fd)
            self.assertEqual(suite.pids("deliverd"), [pid])
            wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before, 10, "the descriptors are closed")
            suite.deliver(mail("x"))

    def test_copies_that_double_a_mailbox_end_and_hold_nobody_up(self):
        suite = self.suite(ONE_WORKER, users={"u9": "bar", "u1": "bar"}, tls=False, log_level="INFO")
        with suite.start(), Bystander(suite, "u1") as other, contextlib.closing(Client(suite, "u9")) as u9:
            u9.append("INBOX", mail("tiny"))
            u9.command("SELECT INBOX")
            mark = other.mark()
            answers = []
            while not answers or (answers[-1].startswith("OK") and len(answers) < 30):
                answers.append(u9.command("COPY 1:* INBOX", ok=False))
            answered, longest = other.since(mark)
            self.assertEqual(answers[-1], "NO [LIMIT] no room: a mailbox may hold 1000000 messages")
            self.assertEqual(len(answers), 20)
            self.assertGreater(answered, 20)
            self.assertLess(longest, 5)
            u9.command("FETCH 524288 FLAGS")

    def test_one_byte_at_a_time_is_too_late_for_a_login(self):
        with self.suite("limits:\n  login_timeout: 5s\n").start() as suite:
            context = suite.tls_context()
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
            with socket.create_connection(("127.0.0.1", suite.imaps_port), 10) as s:
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        if outgoing.pending:
                            s.sendall(outgoing.read())
                        incoming.write(s.recv(65536))
                if outgoing.pending:
                    s.sendall(outgoing.read())
                began = time.monotonic()
                s.sendall(b"\x17\x03\x03\x40\x00")  # a record of 16,384 bytes begins
                s.settimeout(0.5)
                ended = False
                while not ended and time.monotonic() - began < 30:
                    try:
                        s.sendall(b"x")
                        ended = s.recv(65536) == b""
                    except TimeoutError:
                        pass
                    except OSError:
                        ended = True
                self.assertTrue(ended, "it was never closed")
                self.assertLess(time.monotonic() - began, 20)


if __name__ == "__main__":
    unittest.main()
