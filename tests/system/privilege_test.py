"""What the processes of the suite are, as the kernel tells it in /proc, against doc/privsep.md

The tables there are printed from the process table, which the programs obey; this is the third
side of the triangle. Needs root, to be able to look.
"""

import os
import re
import signal
import subprocess
import unittest

from tests.system.harness import NOBODY, TOP, Suite, wait_for
from tests.system.system_users import SystemUsers

ROLES = ("log", "auth", "imapd", "deliverd", "login")
NO_CAPABILITY = "0" * 16


def table():
    """{program: {column: text}} of the printed table."""
    with open(os.path.join(TOP, "doc", "privsep.md"), encoding="utf-8") as f:
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")]
                for line in f if line.startswith("| ")]
    head = rows[0]
    return {row[0].strip("`"): dict(zip(head, row)) for row in rows if row[0].startswith("`")}


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def inodes(path, column, keep):
    found = set()
    with open(path, encoding="ascii", errors="replace") as f:
        for line in list(f)[1:]:
            words = line.split()
            if keep(words):
                found.add(words[column])
    return found


class Descriptors:
    """What a process holds, by kind."""

    def __init__(self, pid):
        packets = inodes("/proc/net/unix", 6, lambda w: w[4] == "0005")
        listening = inodes("/proc/net/unix", 6, lambda w: w[4] in ("0001", "0005") and w[3] == "00010000")
        tcp = set()
        for family in ("tcp", "tcp6"):
            if os.path.exists(f"/proc/net/{family}"):
                tcp |= inodes(f"/proc/net/{family}", 9, lambda w: w[3] == "0A")
        self.links = self.ports = self.local_doors = self.other_sockets = 0
        self.files, self.odd = [], []
        for fd in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            socket = re.fullmatch(r"socket:\[(\d+)\]", target)
            if int(fd) <= 2:
                continue
            if socket and socket[1] in listening:
                self.local_doors += 1
            elif socket and socket[1] in packets:
                self.links += 1
            elif socket and socket[1] in tcp:
                self.ports += 1
            elif socket:
                self.other_sockets += 1  # the loop's own pair, for signals
            elif target.startswith("/"):
                self.files.append(target)
            elif not re.match(r"anon_inode:\[(eventpoll|timerfd|eventfd)\]|pipe:", target):
                self.odd.append(f"{fd} -> {target}")


class Privilege(unittest.TestCase):
    maxDiff = None

    def look(self, suite):
        """{pid: role} of all children."""
        return {pid: role for role in ROLES for pid in suite.pids(role)}

    def check_confined(self, pid, role):
        state = status(pid)
        with self.subTest(program=f"rims-{role}", pid=pid):
            self.assertEqual(state["Seccomp"], "2")
            self.assertEqual(state["NoNewPrivs"], "1")
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(state[name], NO_CAPABILITY, name)
            # What belongs to root in /proc/PID belongs to a process that is not dumpable.
            self.assertEqual(os.stat(f"/proc/{pid}/mem").st_uid, 0)
            with open(f"/proc/{pid}/limits", encoding="ascii") as f:
                core = [line.split()[4:6] for line in f if line.startswith("Max core file size")]
            self.assertEqual(core, [["0", "0"]])
        return state

    def check_descriptors(self, suite, pid, role, row, family):
        counts = {f"rims-{r}": sum(1 for other in family.values() if other == r) for r in ROLES}
        peers = re.findall(r"rims-\w+", row["links"])
        held = Descriptors(pid)
        with self.subTest(program=f"rims-{role}", pid=pid):
            self.assertEqual(held.odd, [])
            self.assertEqual(held.links, 1 + sum(counts[peer] for peer in peers),
                             "its control link and one link to each of its peers")
            self.assertEqual(held.ports, 2 if role == "login" else 0)
            self.assertEqual(held.local_doors, 2 if role == "deliverd" else 0,
                             "that of rims-deliver and that of LMTP")
            self.assertLessEqual(held.other_sockets, 2)
            if role == "log":
                # And the directory in which it makes the next one.
                self.assertEqual([os.path.basename(f) for f in held.files],
                                 [os.path.basename(suite.log_dir), "imap.log"])
            elif role in ("imapd", "auth"):
                place = suite.mail if role == "imapd" else os.path.join(suite.mail, "users")
                outside = [f for f in held.files if not f.startswith(place)]
                self.assertEqual(outside, [])
            else:
                self.assertEqual(held.files, [])

    def test_started_as_root(self):
        rows = table()
        self.assertEqual(sorted(rows), sorted(["rims-controller"] + [f"rims-{r}" for r in ROLES]))
        with SystemUsers() as ids:
            suite = self.privileged_suite(ids)
            with suite:
                family = self.look(suite)
                self.assertEqual(set(family.values()), set(ROLES))
                users = {}
                for pid, role in family.items():
                    row = rows[f"rims-{role}"]
                    user = re.match(r"`(\w+)`", row["runs as"])[1]
                    state = self.check_confined(pid, role)
                    users[role] = ids[user]
                    with self.subTest(program=f"rims-{role}"):
                        self.assertEqual(state["Uid"].split(), [str(ids[user])] * 4)
                        self.assertEqual(state["Gid"].split(), [str(ids[user])] * 4)
                        self.assertEqual(state["Groups"].split(), [])
                        self.assertEqual(state["CapBnd"], NO_CAPABILITY)
                        root = os.readlink(f"/proc/{pid}/root")
                        if row["locked into"] == "empty directory":
                            self.assertEqual(root, os.path.join(suite.run_dir, "empty"))
                            self.assertEqual(os.listdir(root), [])
                            self.assertEqual(os.stat(root).st_uid, 0)
                        else:
                            self.assertEqual(row["locked into"], "the directory of its files")
                            self.assertEqual(root, {"log": suite.log_dir, "imapd": suite.mail,
                                                    "auth": os.path.join(suite.mail, "users")}[role])
                    self.check_descriptors(suite, pid, role, row, family)
                self.assertEqual(len(set(users.values())), len(ROLES), "a user for each program")
                controller = Descriptors(suite.child.pid)
                self.assertEqual(controller.odd, [])
                self.assertEqual(controller.links, len(family), "one control link each")
                self.assertEqual(controller.ports, 2)
                # The last for its lock.
                self.assertEqual(sorted(os.path.basename(f) for f in controller.files),
                                 ["mail", "rims.pid"])
                # And the suite works like that.
                suite.deliver(b"Subject: one\r\n\r\none\r\n")
                for security in (None, "tls"):
                    with suite.login("foo", security=security) as imap:
                        self.assertEqual(imap.select("INBOX"), ("OK", [b"1"]))
                # A library looks for the table of a character set that it does not know.
                suite.deliver(b"Content-Type: text/plain; charset=x-unheard-of\r\n\r\n\xe4\r\n")
                with suite.login("foo") as imap:
                    imap.select("INBOX")
                    self.assertEqual(imap.search(None, "BODY", "nothing")[0], "OK")
                self.assertEqual(self.look(suite), family, "no process has ended")
                # What a session opened is checked once more.
                for pid, role in self.look(suite).items():
                    self.check_descriptors(suite, pid, role, rows[f"rims-{role}"], family)

    def privileged_suite(self, ids):
        logs = "log_file: ../log/imap.log\n"
        suite = Suite(privileged=True, settings=logs + "process_privilege_user: _rims\n"
                                                        "process_privilege_group: _rims\n")
        self.addCleanup(suite.close)
        os.chown(suite.mail, ids["_rims"], ids["_rims"])
        suite.log_dir = os.path.join(suite.directory, "log")
        return suite

    def test_started_by_somebody_else(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to look")
        with Suite() as suite:
            suite.log_dir = suite.mail
            family = self.look(suite)
            self.assertEqual(set(family.values()), set(ROLES))
            for pid, role in family.items():
                state = self.check_confined(pid, role)
                self.assertEqual(state["Uid"].split(), [str(NOBODY)] * 4)
                self.check_descriptors(suite, pid, role, table()[f"rims-{role}"], family)
            self.assertEqual(suite.output_text().count("started without root"), 1)
            # Whoever started it may not look into the processes that hold passwords.
            for role in ("auth", "login"):
                self.assertNotEqual(
                    subprocess.run(["cat", f"/proc/{suite.pids(role)[0]}/environ"],
                                   user=NOBODY, group=NOBODY, extra_groups=[],
                                   capture_output=True, check=False).returncode, 0)

    def refused(self, suite, status=69):
        self.addCleanup(suite.close)
        done = subprocess.run([f"{suite.stage}/libexec/rims/rims-controller", "-c", suite.config],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr

    def test_root_without_the_users_is_told_where_they_are_listed(self):
        with SystemUsers(present=False):
            told = self.refused(Suite(privileged=True))
            for user in ("_rimslog", "_rimsauth", "_rimslogin", "_rimsdeliver"):
                self.assertIn(user, told)
            path = re.search(r'systemd-sysusers (\S+)"', told)[1]
            self.assertTrue(path.endswith("lib/sysusers.d/rims.conf"))
            self.assertTrue(os.path.exists(path), path)

    def test_root_refuses_a_run_directory_of_somebody(self):
        with SystemUsers() as ids:
            suite = self.privileged_suite(ids)
            os.chown(suite.run_dir, ids["_rims"], ids["_rims"])
            self.assertIn("not safe for root's files", self.refused(suite))

    def test_root_refuses_paths_below_directories_of_others(self):
        with SystemUsers() as ids:
            for setting, key in (("paths.pid_file", "pid_file"),
                                 ("listen.deliver_socket", "deliver_socket")):
                with self.subTest(setting=setting):
                    suite = self.privileged_suite(ids)
                    precious = os.path.join(suite.directory, "precious")
                    with open(precious, "w", encoding="ascii") as f:
                        f.write("root's\n")
                    os.symlink(precious, os.path.join(suite.mail, "ours"))
                    with open(suite.config, encoding="utf-8") as f:
                        text = f.read()
                    section = setting.split(".")[0] + ":\n"
                    text = text.replace(section, f"{section}  {key}: {suite.mail}/ours\n")
                    with open(suite.config, "w", encoding="utf-8") as f:
                        f.write(text)
                    checked = subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, "check"],
                                             capture_output=True, text=True, timeout=30, check=False)
                    self.assertEqual(checked.returncode, 6, checked.stdout)
                    for told in (checked.stderr, self.refused(suite)):
                        self.assertIn(f"{setting}: {suite.mail} is not safe for root's files: it "
                                      f"belongs to user {ids['_rims']}", told)
                    with open(precious, encoding="ascii") as f:
                        self.assertEqual(f.read(), "root's\n")
                    self.assertEqual(os.listdir(suite.run_dir), [], "nothing was made")

    def test_root_opens_no_configuration_or_key_that_others_can_replace(self):
        with SystemUsers() as ids:
            for what in ("the configuration", "tls.certificate", "tls.key"):
                with self.subTest(what=what):
                    suite = self.privileged_suite(ids)
                    theirs = os.path.join(suite.directory, "theirs")
                    os.mkdir(theirs)
                    os.chown(theirs, ids["_rims"], ids["_rims"])
                    if what == "the configuration":
                        os.rename(suite.config, os.path.join(theirs, "config.yml"))
                        suite.config = os.path.join(theirs, "config.yml")
                        told, remedy, start = f"{suite.config} is not safe", "/etc/rims/config.yml", 78
                    else:
                        name = "cert.pem" if what == "tls.certificate" else "key.pem"
                        os.rename(os.path.join(suite.directory, name), os.path.join(theirs, name))
                        os.symlink(f"theirs/{name}", os.path.join(suite.directory, name))
                        told, remedy, start = f"{what}: {suite.directory}/{name} is not safe", "/etc/rims", 69
                    checked = subprocess.run([f"{suite.stage}/sbin/rims-ctl", "-c", suite.config, "check"],
                                             capture_output=True, text=True, timeout=30, check=False)
                    self.assertEqual(checked.returncode, 6, checked.stdout)
                    for text in (checked.stderr, self.refused(suite, start)):
                        self.assertIn(told, text)
                        self.assertIn(f"{theirs} belongs to user {ids['_rims']}", text)
                        self.assertIn(remedy, text)
                    self.assertEqual(os.listdir(suite.run_dir), [], "nothing was made")

    def test_a_reload_by_root_says_what_others_can_replace(self):
        with SystemUsers() as ids:
            suite = self.privileged_suite(ids)
            with suite:
                theirs = os.path.join(suite.directory, "theirs")
                os.mkdir(theirs)
                os.chown(theirs, ids["_rims"], ids["_rims"])
                key = os.path.join(suite.directory, "key.pem")
                os.rename(key, os.path.join(theirs, "key.pem"))
                os.symlink("theirs/key.pem", key)
                suite.child.send_signal(signal.SIGHUP)
                wait_for(lambda: "the configuration stays as it was" in suite.output_text(), 20, "the answer")
                self.assertIn(f"tls.key: {key} is not safe for root's files: {theirs} belongs to user",
                              suite.output_text())
                os.chown(suite.config, ids["_rims"], ids["_rims"])
                suite.child.send_signal(signal.SIGHUP)
                wait_for(lambda: "may change what root does" in suite.output_text(), 20, "the answer")
                with suite.login("foo") as imap:
                    self.assertEqual(imap.select("INBOX")[0], "OK")

    def test_root_refuses_one_user_for_two_programs(self):
        with SystemUsers():
            suite = Suite(privileged=True, settings="process_privilege_user: _rimslogin\n"
                                                    "process_privilege_group: _rimslogin\n")
            self.assertIn("the same user", self.refused(suite))

    def test_a_log_directory_of_somebody_else_is_named(self):
        with SystemUsers() as ids:
            suite = self.privileged_suite(ids)
            os.mkdir(os.path.join(suite.directory, "log"), 0o755)
            self.assertIn("must be able to write it, and to make files in it", self.refused(suite))

    def test_nobody_connects_to_the_deliver_socket_but_its_group(self):
        with SystemUsers() as ids:
            suite = Suite(privileged=True, tls=False, settings=(
                "log_file: ../log/imap.log\nprocess_privilege_user: _rims\n"
                "process_privilege_group: _rims\nlisten: {deliver_socket_group: rimspost}\n"))
            self.addCleanup(suite.close)
            os.chown(suite.mail, ids["_rims"], ids["_rims"])
            with suite:
                path = os.path.join(suite.run_dir, "deliver.sock")
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)
                self.assertEqual(os.stat(path).st_gid, ids["rimspost"])
                self.assertEqual(os.stat(path).st_uid, 0)
                connect = ("import socket,sys; s=socket.socket(socket.AF_UNIX,"
                           "socket.SOCK_SEQPACKET); s.connect(sys.argv[1])")
                for group, may in ((NOBODY, False), (ids["rimspost"], True)):
                    done = subprocess.run(["python3", "-c", connect, path], user=NOBODY,
                                          group=group, extra_groups=[], capture_output=True,
                                          timeout=20, check=False)
                    self.assertEqual(done.returncode == 0, may, done.stderr)


if __name__ == "__main__":
    unittest.main()
