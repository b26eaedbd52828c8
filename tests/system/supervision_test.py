"""The suite is killed, reloaded, misconfigured, filled and stopped, and serves on

# time limit: 400 s
"""

import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from tests.system.harness import NOBODY, Suite, processes, wait_for

ROLES = ("log", "auth", "imapd", "deliverd", "login")


def works(suite):
    suite.deliver(b"Subject: works\r\n\r\nyes\r\n")
    with suite.login("foo") as imap:
        assert imap.select("INBOX")[0] == "OK"


class Killed(unittest.TestCase):
    def test_each_process_is_back_within_a_second_and_serves(self):
        with Suite() as suite:
            works(suite)
            for role in ROLES:
                with self.subTest(role=role):
                    count = len(suite.pids(role))
                    began = time.monotonic()
                    old = suite.kill(role)
                    wait_for(lambda: len(suite.pids(role)) == count and
                             old not in suite.pids(role), 1.0, f"rims-{role} is back")
                    wait_for(lambda: f"rims-{role}" in "".join(
                        line for line in suite.output_text().splitlines() if " is back " in line),
                        1.0 - (time.monotonic() - began), f"rims-{role} is ready")
                    works(suite)
            text = suite.output_text()
            self.assertEqual(text.count("was killed by signal 9"), len(ROLES))
            self.assertNotIn("crash loop", text)

    def test_sessions_of_other_workers_do_not_notice(self):
        with Suite(users={f"user{i}": "secret" for i in range(8)},
                   settings="processes: {imapd_workers: 2}\n") as suite:
            with contextlib.ExitStack() as stack:
                sessions = [stack.enter_context(suite.login(f"user{i}")) for i in range(8)]
                suite.kill("imapd", 0)
                wait_for(lambda: " is back " in suite.output_text(), 2, "the worker is back")
                alive = 0
                for imap in sessions:
                    with contextlib.suppress(imap.abort, imap.error, OSError):
                        alive += imap.noop()[0] == "OK"
                self.assertGreater(alive, 0)
                self.assertLess(alive, 8)
            for i in range(8):
                with suite.login(f"user{i}") as imap:
                    self.assertEqual(imap.select("INBOX")[0], "OK")

    def test_the_children_of_a_killed_controller_end_and_the_next_one_starts(self):
        suite = Suite()
        self.addCleanup(suite.close)
        suite.start()
        works(suite)
        suite.kill_controller()
        status = suite.command("sbin/rims-ctl", "status")
        self.assertEqual(status.returncode, 1, status)
        suite.start()
        with suite.login("foo") as imap:
            self.assertEqual(imap.select("INBOX"), ("OK", [b"1"]))
        suite.stop()

    def test_a_crash_loop_backs_off_and_the_rest_serves(self):
        suite = Suite()
        self.addCleanup(suite.close)
        # A tree of our own, in which one program can be broken.
        tree = tempfile.TemporaryDirectory(prefix="rims-broken-")
        self.addCleanup(tree.cleanup)
        os.chmod(tree.name, 0o755)
        shutil.copytree(suite.stage, os.path.join(tree.name, "stage"), symlinks=True)
        suite.stage = os.path.join(tree.name, "stage")
        program = os.path.join(suite.stage, "libexec", "rims", "rims-deliverd")
        with suite:
            os.rename(program, program + ".good")
            with open(program, "w", encoding="ascii") as f:
                f.write("#!/bin/sh\nexit 3\n")
            os.chmod(program, 0o755)
            suite.kill("deliverd")
            wait_for(lambda: "in 2.0 s" in suite.output_text(), 20, "it backs off")
            text = suite.output_text()
            self.assertEqual(text.count("crash loop: rims-deliverd"), 1)
            self.assertIn("imap.log", text[text.index("crash loop"):])
            with suite.login("foo") as imap:
                self.assertEqual(imap.select("INBOX")[0], "OK")
            # A message that comes now waits for the door to open again.
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(suite.deliver, b"Subject: late\r\n\r\nlate\r\n")
                os.rename(program + ".good", program)
                waiting.result()
            wait_for(lambda: "rims-deliverd is back" in suite.output_text(), 20, "it is back")
            works(suite)


class Stopped(unittest.TestCase):
    def test_within_ten_seconds_with_sessions_open(self):
        suite = Suite()
        self.addCleanup(suite.close)
        suite.start()
        with contextlib.ExitStack() as stack:
            for security in (None, "starttls", "tls"):
                imap = stack.enter_context(suite.login("foo", security=security))
                imap.select("INBOX")
            waiting = stack.enter_context(socket.create_connection(("127.0.0.1",
                                                                    suite.imap_port)))
            self.assertTrue(waiting.recv(1000).startswith(b"* OK"))
            took = suite.stop()  # also: status 0, and no process is left
            self.assertLess(took, 10)
            told = b""
            with contextlib.suppress(ConnectionError):
                while piece := waiting.recv(1000):
                    told += piece
            self.assertIn(b"* BYE", told)
        self.assertNotIn("did not stop in time", suite.output_text())
        for name in ("ports", "rims.pid", "deliver.sock", "lmtp"):
            self.assertFalse(os.path.exists(os.path.join(suite.run_dir, name)), name)

    def test_by_the_terminal_too(self):
        suite = Suite()
        self.addCleanup(suite.close)
        suite.start()
        # ^C goes to all processes of the terminal's group at once.
        os.killpg(suite.child.pid, signal.SIGINT)
        self.assertEqual(suite.child.wait(10), 0)
        self.assertNotIn("killed", suite.output_text())


class Reloaded(unittest.TestCase):
    def hup(self, suite, expected):
        before = suite.output_text().count(expected)
        suite.child.send_signal(signal.SIGHUP)
        wait_for(lambda: suite.output_text().count(expected) > before, 5, expected)

    def edit(self, suite, f):
        with open(suite.config, encoding="utf-8") as file:
            text = file.read()
        with open(suite.config, "w", encoding="utf-8") as file:
            file.write(f(text))

    def test_new_users_and_sessions_go_on(self):
        with Suite() as suite, suite.login("foo") as imap:
            self.edit(suite, lambda t: t.replace(
                "user_list:\n", 'user_list:\n  - {user: "new", pass: "secret"}\n'))
            self.hup(suite, "the configuration was read again")

            def in_now():
                try:
                    with suite.login("new", "secret") as other:
                        return other.noop()[0] == "OK"
                except imap.error:
                    return False
            wait_for(in_now, 5, "the new user logs in")
            self.assertEqual(imap.noop()[0], "OK")

    def test_a_mistake_keeps_the_old_configuration(self):
        with Suite() as suite:
            with open(suite.config, encoding="utf-8") as f:
                good = f.read()
            self.edit(suite, lambda t: t + "log_levle: DEBUG\n")
            line = good.count("\n") + 1
            self.hup(suite, "the configuration stays as it was")
            self.assertRegex(suite.output_text(), rf"config\.yml:{line}:\d+: .*log_level")
            with suite.login("foo") as imap:
                self.assertEqual(imap.noop()[0], "OK")
            done = suite.command("sbin/rims-ctl", "reload")
            self.assertEqual(done.returncode, 6)
            self.assertIn(b"log_level", done.stderr)
            self.edit(suite, lambda t: good)
            self.hup(suite, "the configuration was read again")

    def test_what_needs_a_restart_is_named(self):
        with Suite() as suite:
            self.edit(suite, lambda t: t + "processes: {imapd_workers: 7}\nstorage: {segment_size: 1M}\n")
            self.hup(suite, "processes.imapd_workers was changed")
            self.assertIn("storage.segment_size was changed", suite.output_text())
            works(suite)

    def test_the_log_is_reopened(self):
        with Suite() as suite:
            log = os.path.join(suite.mail, "imap.log")
            wait_for(lambda: os.path.exists(log), 5, "the log is there")
            os.rename(log, log + ".moved")
            self.hup(suite, "the configuration was read again")
            wait_for(lambda: os.path.exists(log), 5, "a new log is there")
            works(suite)
            wait_for(lambda: os.path.getsize(log) > 0, 5, "the new log is written")


class Log(unittest.TestCase):
    def test_rotates_with_the_rights_it_has(self):
        with Suite(settings="log_shift_age: 2\nlog_shift_size: 2000\n") as suite:
            log = os.path.join(suite.mail, "imap.log")
            while not os.path.exists(log + ".1"):
                with suite.login("foo") as imap:
                    imap.noop()
            time_line = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d (DEBUG|INFO|WARN|ERROR)"
                                   r" +rims-\w+\[\d+\] \S")
            for name in (log, log + ".0", log + ".1"):
                self.assertEqual(os.stat(name).st_mode & 0o777, 0o640)
                with open(name, encoding="utf-8") as f:
                    for line in f:
                        self.assertRegex(line, time_line)
            self.assertFalse(os.path.exists(log + ".2"))
            self.assertNotIn("rims-log (process", suite.output_text(), "it did not die of it")
            text = suite.log_text()
            self.assertNotIn("bar", re.findall(r"\w+", text), "no password")


class Control(unittest.TestCase):
    def ctl(self, suite, *words, status=0):
        done = suite.command("sbin/rims-ctl", *words, limit=40)
        self.assertEqual(done.returncode, status, done)
        return done.stdout.decode() + done.stderr.decode()

    def test_a_restart_without_the_run_directory_makes_it_again(self):
        suite = Suite()
        self.addCleanup(suite.close)
        self.ctl(suite, "start")
        self.addCleanup(lambda: self.ctl(suite, "stop"))
        before = re.search(r"process (\d+)", self.ctl(suite, "status"))[1]
        shutil.rmtree(suite.run_dir)
        self.assertIn("rims.pid is gone", self.ctl(suite, "status", status=1))
        self.assertIn("rims is started", self.ctl(suite, "restart"))
        after = re.search(r"process (\d+)", self.ctl(suite, "status"))[1]
        self.assertNotEqual(before, after)
        suite.deliver(b"Subject: after\n\nit\n")
        with open(os.path.join(suite.run_dir, "ports"), encoding="ascii") as f:
            suite.imap_port = int(dict(line.split() for line in f)["imap"])
        with suite.login("foo") as imap:
            self.assertEqual(imap.select("INBOX"), ("OK", [b"1"]))

    def test_an_end_by_a_signal_to_all_looks_like_no_fault(self):
        for _ in range(3):
            with Suite() as suite:
                with suite.login("foo") as imap:
                    imap.noop()
                for pid in suite.pids():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                self.assertEqual(suite.child.wait(15), 0)
                said = suite.output_text() + suite.log_text()
                self.assertNotRegex(said, "ERROR|error:")
                self.assertIn("stopped", said)

    def test_the_life_of_a_daemon(self):
        suite = Suite()
        self.addCleanup(suite.close)
        self.assertIn("no mistakes", self.ctl(suite, "check"))
        self.assertIn("does not run", self.ctl(suite, "status", status=3))
        self.ctl(suite, "stop")
        self.ctl(suite, "reload", status=1)
        self.ctl(suite, "try-restart")
        self.ctl(suite, "status", status=3)
        pid_file = os.path.join(suite.run_dir, "rims.pid")
        self.addCleanup(lambda: self.ctl(suite, "-p", pid_file, "stop"))
        told = self.ctl(suite, "start")
        pid = int(re.search(r"process (\d+)", told)[1])
        with open(os.path.join(suite.run_dir, "ports"), encoding="ascii") as f:
            ports = dict(line.split() for line in f)
        with socket.create_connection(("127.0.0.1", int(ports["imap"]))) as s:
            self.assertTrue(s.recv(1000).startswith(b"* OK"), "start returns when it serves")
        # A daemon: of no session, no terminal, and of nobody's directory.
        self.assertEqual(processes()[pid][0], 1)
        self.assertNotEqual(os.getsid(pid), os.getsid(0))
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        for fd in range(3):
            self.assertEqual(os.readlink(f"/proc/{pid}/fd/{fd}"), "/dev/null")
        told = self.ctl(suite, "status")
        for role in ROLES:
            self.assertIn(f"rims-{role}", told)
        self.assertIn("runs already", self.ctl(suite, "start"))
        self.ctl(suite, "reload")
        self.ctl(suite, "-p", pid_file, "status")
        self.ctl(suite, "restart")
        again = int(re.search(r"process (\d+)", self.ctl(suite, "status"))[1])
        self.assertNotEqual(pid, again)
        self.assertNotIn(pid, processes())
        # A mistake does not take a running suite down.
        with open(suite.config, "a", encoding="utf-8") as f:
            f.write("no_such_key: 1\n")
        self.ctl(suite, "restart", status=6)
        self.ctl(suite, "reload", status=6)
        self.ctl(suite, "check", status=6)
        self.assertIn(again, processes())
        self.assertIn("is stopped", self.ctl(suite, "-p", pid_file, "stop"))
        self.assertNotIn(again, processes())

    def test_a_start_that_fails_says_why(self):
        suite = Suite()
        self.addCleanup(suite.close)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with open(suite.config, encoding="utf-8") as f:
                text = f.read()
            with open(suite.config, "w", encoding="utf-8") as f:
                f.write(text.replace("imap_port: 0", f"imap_port: {port}"))
            told = self.ctl(suite, "start", status=1)
            self.assertIn(f"cannot listen on 127.0.0.1:{port}", told)
            self.assertRegex(told, r"config\.yml:\d+:\d+: imap_port")
        self.ctl(suite, "status", status=3)

    def test_wrong_use(self):
        suite = Suite()
        self.addCleanup(suite.close)
        self.ctl(suite, status=2)
        self.ctl(suite, "begin", status=2)
        self.ctl(suite, "-x", "start", status=2)
        self.ctl(suite, "-c", "/nonexistent.yml", "start", status=6)

    def test_whoever_may_not_is_told(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to be two people")
        suite = Suite()
        self.addCleanup(suite.close)
        suite.start()
        other = {"user": NOBODY - 1, "group": NOBODY - 1, "extra_groups": []}
        pid_file = os.path.join(suite.run_dir, "rims.pid")
        os.chmod(suite.directory, 0o755)
        for words, status in ((("status",), 4), (("-p", pid_file, "status"), 0),
                              (("-p", pid_file, "stop"), 4)):
            done = subprocess.run([f"{suite.stage}/sbin/rims-ctl", *words], capture_output=True,
                                  env={**suite.env, "RIMS_CONFIG": suite.config}, cwd="/",
                                  timeout=20, check=False, **other)
            self.assertEqual(done.returncode, status, done)
        suite.stop()

    def test_two_controllers_do_not_share_a_directory(self):
        with Suite() as suite:
            done = suite.command("libexec/rims/rims-controller", "-c", suite.config)
            self.assertEqual(done.returncode, 69)
            self.assertIn(f"process {suite.child.pid}".encode(), done.stderr)
            works(suite)


if __name__ == "__main__":
    unittest.main()
