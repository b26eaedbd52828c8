"""The systemd unit, the sysusers and tmpfiles files, and the notification of a service manager"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

from tests.system.harness import TOP, Suite, stage_directory
from tests.system.system_users import listed

WORST_EXPOSURE = 2.9


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class Service(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="rims-service-")
        self.addCleanup(self.directory.cleanup)

    def unit(self):
        """The installed unit, with its programs where they are now."""
        stage = stage_directory()
        with open(os.path.join(stage, "lib", "systemd", "system", "rims.service"),
                  encoding="ascii") as f:
            text = f.read()
        text = re.sub(r"=\S+/(libexec/rims/rims-controller|sbin/rims-ctl) ",
                      lambda m: f"={stage}/{m[1]} ", text)
        self.assertEqual(text.count(stage), 2)
        # The manual pages are in the stage, not where man looks.
        text = re.sub(r"^Documentation=.*\n", "", text, flags=re.M)
        path = os.path.join(self.directory.name, "rims.service")
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path

    def run_clean(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done.stdout + done.stderr

    @needs("systemd-analyze")
    def test_the_unit_is_clean(self):
        self.assertEqual(self.run_clean("systemd-analyze", "verify", self.unit()).strip(), "")

    @needs("systemd-analyze")
    def test_the_unit_is_confined(self):
        told = self.run_clean("systemd-analyze", "security", "--offline=true", self.unit())
        figure = float(re.search(r"exposure level for rims.service: ([\d.]+)", told)[1])
        self.assertLessEqual(figure, WORST_EXPOSURE, told)

    @needs("systemd-analyze")
    def test_the_unit_allows_what_the_programs_call(self):
        def expand(name):
            if not name.startswith("@"):
                return {name}
            listed_there = self.run_clean("systemd-analyze", "syscall-filter", name).splitlines()
            words = [w.strip() for w in listed_there if w.startswith("    ")]
            return set().union(*(expand(w) for w in words if w and not w.startswith("#")))

        with open(self.unit(), encoding="ascii") as f:
            lines = [line.strip().split("=", 1)[1].split() for line in f
                     if line.startswith("SystemCallFilter=")]
        allowed = set().union(*(expand(word) for line in lines for word in line))
        with open(os.path.join(TOP, "doc", "privsep.md"), encoding="utf-8") as f:
            blocks = re.findall(r"^```\n(.*?)^```", f.read(), flags=re.M | re.S)
        wanted = set(re.sub(r" \(.*\)$", "", "\n".join(blocks), flags=re.M).split())
        self.assertIn("openat", wanted)
        # systemd answers it with ENOSYS under RestrictSUIDSGID=, whatever SystemCallFilter= says.
        self.assertNotIn("openat2", wanted)
        # What the drop itself needs (common/privdrop), and what the controller does.
        wanted |= {"seccomp", "landlock_create_ruleset", "landlock_add_rule",
                   "landlock_restrict_self", "chroot", "setgroups", "setresgid", "setresuid",
                   "setrlimit", "capset", "capget", "prctl", "socket", "bind", "listen", "fork",
                   "wait4", "kill", "lchown", "fchown", "dup2", "close_range", "setsid"}
        self.assertEqual(wanted - allowed, set())

    @needs("systemd-sysusers")
    def test_the_users_can_be_made(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        root = self.directory.name
        os.makedirs(f"{root}/etc")
        self.run_clean("systemd-sysusers", f"--root={root}",
                       os.path.join(TOP, "etc", "sysusers.d", "rims.conf"))
        users, groups = listed()
        with open(f"{root}/etc/passwd", encoding="utf-8") as f:
            made = {line.split(":")[0]: line.strip().split(":")[2:] for line in f}
        self.assertEqual(sorted(made), sorted(users))
        self.assertEqual(len({fields[0] for fields in made.values()}), len(users))
        for fields in made.values():
            self.assertTrue(fields[-1].endswith("nologin"))
        with open(f"{root}/etc/group", encoding="utf-8") as f:
            self.assertLessEqual(set(groups), {line.split(":")[0] for line in f})

    @needs("systemd-tmpfiles")
    def test_the_directories_can_be_made(self):
        if os.geteuid() != 0 or not shutil.which("systemd-sysusers"):
            self.skipTest("needs root and systemd-sysusers")
        root = self.directory.name
        os.makedirs(f"{root}/etc")
        etc = os.path.join(TOP, "etc")
        with open(f"{root}/etc/group", "w", encoding="ascii") as f:
            f.write("root:x:0:\nadm:x:4:\n")
        with open(f"{root}/etc/passwd", "w", encoding="ascii") as f:
            f.write("root:x:0:0::/root:/bin/sh\n")
        self.run_clean("systemd-sysusers", f"--root={root}", f"{etc}/sysusers.d/rims.conf")
        self.run_clean("systemd-tmpfiles", f"--root={root}", "--create",
                       f"{etc}/tmpfiles.d/rims.conf")
        for path, mode in (("run/rims", 0o755), ("var/lib/rims", 0o750), ("var/log/rims", 0o2750)):
            self.assertEqual(os.stat(f"{root}/{path}").st_mode & 0o7777, mode, path)
        # New log files get the group adm by the directory.
        self.assertEqual(os.stat(f"{root}/var/log/rims").st_gid, 4)
        self.assertEqual(os.stat(f"{root}/run/rims").st_uid, 0)
        self.assertNotEqual(os.stat(f"{root}/var/lib/rims").st_uid,
                            os.stat(f"{root}/var/log/rims").st_uid)

    def test_the_manager_is_told(self):
        path = os.path.join(self.directory.name, "notify")
        os.chmod(self.directory.name, 0o755)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            os.chmod(path, 0o666)
            manager.settimeout(20)
            suite = Suite(env={"NOTIFY_SOCKET": path})
            self.addCleanup(suite.close)
            suite.start()
            told = manager.recv(4096).decode()
            self.assertIn("READY=1\n", told)
            self.assertIn(f"MAINPID={suite.child.pid}\n", told)
            suite.stop()
            self.assertEqual(manager.recv(4096), b"STOPPING=1\n")


if __name__ == "__main__":
    unittest.main()
