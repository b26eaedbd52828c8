"""rims, the command line of the original, against the real suite"""
# time limit: 300 s

import contextlib
import imaplib
import os
import pty
import re
import signal
import socket
import subprocess
import tempfile
import unittest

from tests.system.harness import NOBODY, STOP_LIMIT, Suite, stage_directory, wait_for

FOO = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"


def rims(*words, stdin=b"", env=None):
    return subprocess.run([f"{stage_directory()}/bin/rims", *words], input=stdin,
                          capture_output=True, timeout=60, env={**os.environ, **(env or {})})


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class NoServer(unittest.TestCase):
    def test_help_lists_every_command(self):
        done = rims("help", "--show-debug-command")
        self.assertEqual(done.returncode, 0)
        for command in ("help", "version", "server", "daemon", "post-mail", "imap-append",
                        "mbox-dirty-flag", "unique-user-id", "show-user-mbox", "pass-hash",
                        "debug-dump-kvs"):
            self.assertRegex(done.stdout.decode(), rf"(?m)^    {command} +\S")
        self.assertEqual(done.stderr, b"")
        self.assertNotIn(b"debug-dump-kvs", rims("help").stdout)
        self.assertEqual(rims().returncode, 1)
        self.assertEqual(rims("nonsense").returncode, 64)

    def test_every_command_has_help(self):
        for line in rims("help", "--show-debug-command").stdout.decode().splitlines():
            found = re.match(r"    ([a-z-]+) ", line)
            if found and not found[1].startswith("-"):
                done = rims(found[1], "-h")
                self.assertEqual(done.returncode, 0, found[1])
                self.assertIn(b"Usage: rims " + found[1].encode(), done.stdout)

    def test_user_ids_and_directories(self):
        self.assertEqual(rims("unique-user-id", "foo").stdout.decode(), FOO + "\n")
        self.assertEqual(rims("unique-user-id").returncode, 64)
        self.assertEqual(rims("show-user-mbox", "base", "foo").stdout.decode(),
                         f"base/mailbox.3/2c/{FOO[2:]}\n")

    def test_pass_hash_of_a_line_and_of_a_list(self):
        self.assertRegex(rims("pass-hash", stdin=b"bar\n").stdout.decode(),
                         r"^\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]+\$[^$]+\n$")
        done = rims("pass-hash", stdin=b'- { user: "#postman", pass: "x" }\n')
        self.assertRegex(done.stdout.decode(),
                         r'^---\n- user: "#postman"\n  hash: \$argon2id\$\S+\n$')
        self.assertEqual(rims("pass-hash", stdin=b"\n").returncode, 1)

    def test_pass_hash_asks_a_terminal_without_echo(self):
        pid, terminal = pty.fork()
        if pid == 0:
            program = f"{stage_directory()}/bin/rims"
            os.execv(program, [program, "pass-hash"])
        shown = b""

        def seen(text):
            nonlocal shown
            with contextlib.suppress(BlockingIOError):
                shown += os.read(terminal, 4096)
            return text in shown
        os.set_blocking(terminal, False)
        wait_for(lambda: seen(b"Password: "), 20, "the first question")
        os.write(terminal, b"geheim\n")
        wait_for(lambda: seen(b"Again: "), 20, "the second question")
        os.write(terminal, b"geheim\n")
        wait_for(lambda: seen(b"$argon2id$"), 20, "the hash")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        os.close(terminal)
        self.assertNotIn(b"geheim", shown)


class ServerInTheForeground(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="rims-cli-")
        self.addCleanup(self.directory.cleanup)
        self.who = {}
        if os.geteuid() == 0:
            os.chown(self.directory.name, NOBODY, NOBODY)
            self.who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.stage = stage_directory()
        self.port = free_port()

    @contextlib.contextmanager
    def server(self, *words):
        with open(f"{self.directory.name}/output", "wb") as out:
            child = subprocess.Popen([f"{self.stage}/bin/rims", "server", *words],
                                     cwd=self.directory.name, stdout=out, stderr=out, **self.who)
        try:
            def greets():
                if child.poll() is not None:
                    with open(f"{self.directory.name}/output", encoding="utf-8") as f:
                        raise AssertionError(f.read())
                with contextlib.suppress(OSError), \
                        socket.create_connection(("127.0.0.1", self.port), 5) as s:
                    return s.recv(4) == b"* OK"
                return False
            wait_for(greets, 30, "the server greets")
            yield child
            child.send_signal(signal.SIGINT)
            self.assertEqual(child.wait(STOP_LIMIT), 0)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()

    def test_user_and_password_on_the_command_line(self):
        with self.server("-u", "foo", "-w", "geheim", "--imap-host=127.0.0.1",
                         f"--imap-port={self.port}") as child:
            with imaplib.IMAP4("127.0.0.1", self.port, timeout=30) as imap:
                imap.login("foo", "geheim")
                self.assertEqual(imap.select("INBOX")[0], "OK")
            # In no argument list and no environment of any process of the suite.
            for pid in os.listdir("/proc"):
                if not pid.isdigit() or int(pid) == os.getpid():
                    continue
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as f:
                        self.assertNotIn(b"geheim", f.read(), (pid, name))
            # The configuration (there is none but the command line) can be read again.
            child.send_signal(signal.SIGHUP)
            with imaplib.IMAP4("127.0.0.1", self.port, timeout=30) as imap:
                imap.login("foo", "geheim")
        self.assertTrue(os.path.isdir(f"{self.directory.name}/mailbox.3/2c/{FOO[2:]}"))
        for where, _, files in os.walk(self.directory.name):
            for name in files:
                with open(os.path.join(where, name), "rb") as f:
                    self.assertNotIn(b"geheim", f.read(), name)

    def test_a_mistake_is_told(self):
        done = subprocess.run([f"{self.stage}/bin/rims", "server", "-u", "foo", "-w", "bar",
                               "--log-level=loud"], cwd=self.directory.name, capture_output=True,
                              timeout=60, **self.who)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"loud", done.stderr)


class Daemon(unittest.TestCase):
    def setUp(self):
        self.suite = Suite()  # for its configuration; it is not started from here
        self.addCleanup(self.suite.close)
        self.addCleanup(self.daemon, "-q", "stop")

    def daemon(self, *words):
        return self.suite.command("bin/rims", "daemon", *words, "-f", self.suite.config)

    def pid(self):
        with open(f"{self.suite.run_dir}/rims.pid", encoding="ascii") as f:
            return int(f.read())

    def test_start_status_restart_stop(self):
        done = self.daemon("status")
        self.assertEqual((done.returncode, done.stdout), (1, b"daemon is stopped.\n"))
        done = self.daemon("start")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        done = self.daemon("status")
        self.assertEqual((done.returncode, done.stdout), (0, b"daemon is running.\n"))
        self.assertEqual(self.daemon("-q", "status").stdout, b"")
        first = self.pid()
        self.assertEqual(self.daemon("start").returncode, 1)
        self.assertEqual(self.daemon("restart").returncode, 0)
        self.assertNotEqual(self.pid(), first)
        self.suite.deliver(b"A: b\n\n")
        self.assertEqual(self.daemon("stop").returncode, 0)
        done = self.daemon("stop")
        self.assertEqual((done.returncode, done.stderr), (1, b"rims daemon: No daemon.\n"))
        self.assertEqual(self.daemon("status").returncode, 1)

    def test_mistakes(self):
        self.assertEqual(self.daemon("jump").returncode, 64)
        self.assertEqual(self.daemon().returncode, 64)
        done = self.daemon("start", "--log-level=loud")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"loud", done.stderr)


class Offline(unittest.TestCase):
    """mbox-dirty-flag and debug-dump-kvs on what a server has left"""

    def setUp(self):
        self.suite = Suite().start()
        self.addCleanup(self.suite.close)
        self.suite.deliver(b"A: b\n\n")
        self.account = f"{self.suite.mail}/mailbox.3/2c/{FOO[2:]}"

    def rims(self, *words):
        return self.suite.command("bin/rims", *words)

    def test_the_dirty_flag(self):
        done = self.rims("mbox-dirty-flag", self.account)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"the server has this mailbox open", done.stderr)
        self.suite.stop()
        done = self.rims("mbox-dirty-flag", self.account)
        self.assertEqual((done.returncode, done.stdout), (0, b"dirty flag is false.\n"))
        done = self.rims("mbox-dirty-flag", "--enable-dirty-flag", self.account)
        self.assertEqual((done.returncode, done.stdout), (1, b"dirty flag is true.\n"))
        done = self.rims("mbox-dirty-flag", "-q", "--no-return-flag-exit-code", self.account)
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.suite.start()  # makes the index anew
        with self.suite.login("foo") as imap:
            self.assertEqual(imap.select("INBOX")[1], [b"1"])
        self.suite.stop()
        done = self.rims("mbox-dirty-flag", "--enable-dirty-flag", "/")
        self.assertEqual((done.returncode, b"no account is here" in done.stderr), (1, True), done)
        self.assertEqual(self.rims("mbox-dirty-flag", self.account).returncode, 0)
        self.rims("mbox-dirty-flag", "--enable-dirty-flag", self.account)
        self.assertEqual(self.rims("mbox-dirty-flag", "--disable-dirty-flag",
                                   self.account).returncode, 0)

    def test_dumping_an_index(self):
        self.suite.stop()
        for name in ("meta", "message.gdbm", "mailbox_1"):
            done = self.rims("debug-dump-kvs", f"{self.account}/{name}")
            self.assertEqual(done.returncode, 0, done.stderr)
            for line in done.stdout.decode().splitlines():
                self.assertRegex(line, r'^".+": \d+ bytes: ".*"$')
        done = self.rims("debug-dump-kvs", "--no-dump-value", "--match-key=^head",
                         f"{self.account}/message")
        self.assertRegex(done.stdout.decode(), r'^"head": \d+ bytes\n$')
        self.assertEqual(self.rims("debug-dump-kvs", f"{self.account}/none").returncode, 1)
        self.assertEqual(self.rims("debug-dump-kvs", "--match-key=(", "x").returncode, 64)


    def test_a_person_can_read_what_an_index_says(self):
        self.suite.deliver(b"Subject: one\r\n\r\n")
        self.suite.deliver(b"Subject: second\r\n\r\n")
        with self.suite.login("foo") as imap:
            imap.select("INBOX")
            imap.store("3", "+FLAGS", r"(\Seen \Flagged)")
            imap.create("Lists")
        self.suite.stop()

        def shown(name, *words):
            done = self.rims("debug-dump-kvs", *words, f"{self.account}/{name}")
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout.decode()
        first, second = [line for line in shown("mailbox_1").splitlines() if ': "message ' in line][-2:]
        when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, modseq \d+"
        self.assertRegex(first, rf'^"\d+": 16 bytes: "message \d+, flags \(\), {when}"$')
        self.assertRegex(
            second, rf'^"\d+": 19 bytes: "message \d+, flags \(\\\\Seen \\\\Flagged\), {when}"$')
        number = re.search(r"message (\d+)", second)[1]
        self.assertRegex(shown("message", f"--match-key=^{number}$"),
                         rf'^"{number}": 19 bytes: "journal/0000000\d at offset \d+"\n$')
        meta = shown("meta")
        for line in (r'"mbox_id2name-1": 5 bytes: "INBOX"', r'"mbox_name2id-INBOX": 1 bytes: "1"',
                     r'"mbox_id2flagnum-1-seen": 1 bytes: "1"', r'"uidvalidity": \d+ bytes: "\d+"',
                     r'"mbox_name2id-Lists": \d bytes: "\d+"', r'"cnum": \d+ bytes: "\d+"',
                     r'"msg_id": \d+ bytes: "\d+"', r'"mbox_id2uid-1": 1 bytes: "\d+"'):
            self.assertRegex(meta, rf"(?m)^{line}$")
        self.assertNotRegex(meta, r'(?m)^"(L\d+|c\d+|meta)": ')


class AgainstTheSuite(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(users={"foo": "bar", "#postman": "post"}).start()
        self.addCleanup(self.suite.close)
        self.addCleanup(self._stop)

    def _stop(self):
        if not self._outcome.success:
            self.suite.dump()
        self.suite.stop()

    def client(self, command, *words, stdin=b"", port=None):
        return self.suite.command("bin/rims", command, "-n", "127.0.0.1", "-o",
                                  str(port or self.suite.imap_port), *words, stdin=stdin)

    def stored(self, items="(FLAGS INTERNALDATE BODY.PEEK[])"):
        with self.suite.login("foo") as imap:
            _, data = imap.select("INBOX", readonly=True)
            if int(data[0]) == 0:
                return []
            _, data = imap.fetch("1:*", items)
            return [part for part in data if isinstance(part, tuple)]

    def test_imap_append_verbose(self):
        done = self.client("imap-append", "-v", "-u", "foo", "-w", "bar",
                           "--store-flag-seen", "--store-flag-draft",
                           "--look-for-date=mailheader",
                           stdin=b"Date: Fri, 8 Nov 2013 13:34:10 +0900\n\nbody\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.decode().splitlines()
        for line, shape in zip(lines, [r"store flags: \(Seen Draft\)$", "server greeting: OK ",
                                       "server capability: .*IMAP4rev1", "login: OK ",
                                       r"message date: 2013-11-08 13:34:10 \+0900$",
                                       "append: OK "], strict=True):
            self.assertRegex(line, "^" + shape)
        (head, body), = self.stored()
        self.assertEqual(body, b"Date: Fri, 8 Nov 2013 13:34:10 +0900\r\n\r\nbody\r\n")
        self.assertIn(b'INTERNALDATE " 8-Nov-2013 13:34:10 +0900"', head)
        for flag in (b"\\Seen", b"\\Draft"):
            self.assertIn(flag, head)

    def test_imap_append_of_files_goes_on_after_a_bad_one(self):
        names = [os.path.join(self.suite.directory, n) for n in ("one", "missing", "two")]
        for name in (names[0], names[2]):
            with open(name, "wb") as f:
                f.write(b"A: " + os.path.basename(name).encode() + b"\r\n\r\n")
            os.chmod(name, 0o644)
        done = self.client("imap-append", "-u", "foo", "-w", "bar", *names)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"failed to append message: " + names[1].encode(), done.stdout)
        self.assertTrue(done.stdout.endswith(b"1 errors!\n"))
        self.assertEqual([body for _, body in self.stored()],
                         [b"A: one\r\n\r\n", b"A: two\r\n\r\n"])

    def test_every_way_to_log_in(self):
        for way in ("login", "plain", "cram-md5"):
            done = self.client("imap-append", "--auth-type", way, "-u", "foo", "-w", "bar",
                               stdin=b"A: b\n\n")
            self.assertEqual(done.returncode, 0, (way, done.stderr))
        done = self.client("imap-append", "-s", "--ca-file", self.suite.cert, "-u", "foo", "-w",
                           "bar", stdin=b"A: b\n\n", port=self.suite.imaps_port)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.stored()), 4)
        done = self.client("imap-append", "-s", "-u", "foo", "-w", "bar", stdin=b"A: b\n\n",
                           port=self.suite.imaps_port)
        self.assertEqual(done.returncode, 1, "an authority that is not trusted")
        self.assertEqual(self.client("imap-append", "-u", "foo", "-w", "wrong",
                                     stdin=b"A: b\n\n").returncode, 1)
        self.assertEqual(len(self.stored()), 4)

    def test_settings_of_the_client_from_a_file(self):
        path = os.path.join(self.suite.directory, "client.yml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"imap_host: 127.0.0.1\nimap_port: {self.suite.imap_port}\n"
                    "username: foo\npassword: bar\nstore_flag_flagged: true\nverbose: true\n")
        os.chmod(path, 0o644)
        done = self.suite.command("bin/rims", "imap-append", "-f", path, stdin=b"A: b\n\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"store flags: (Flagged)\n", done.stdout)
        self.assertEqual(len(self.stored()), 1)

    def test_post_mail_delivers_to_any_user(self):
        done = self.client("post-mail", "-v", "-w", "post", "--store-flag-flagged", "foo",
                           stdin=b"A: b\n\nposted\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, b"")
        self.assertIn(b"append: OK", done.stdout)
        (head, body), = self.stored()
        self.assertEqual(body, b"A: b\r\n\r\nposted\r\n")
        self.assertIn(b"\\Flagged", head)
        # The same again is another mail: nothing says that it is not.
        done = self.client("post-mail", "-w", "post", "foo", stdin=b"A: b\n\nposted\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([body for _, body in self.stored()], [b"A: b\r\n\r\nposted\r\n"] * 2)
        done = self.client("post-mail", "-w", "post", "nobody-of-that-name", stdin=b"A: b\n\n")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.client("post-mail", "-w", "post").returncode, 64)

    def test_show_user_mbox_of_a_configuration(self):
        self.suite.deliver(b"A: b\n\n")
        done = self.suite.command("bin/rims", "show-user-mbox", "-f", self.suite.config, "foo")
        self.assertTrue(os.path.isdir(done.stdout.decode().strip()), done.stdout)


if __name__ == "__main__":
    unittest.main()
