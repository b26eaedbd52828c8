"""-h, --help and --version of every program and every command, and the options that all share

The programs are those that are installed, the commands those that `rims help` and `rims-ctl -h`
list: a new one is tried as well.
"""

import json
import os
import re
import subprocess
import unittest

from tests.system.harness import NOBODY, TOP, Suite, processes, stage_directory, wait_for

# Commands that need neither a configuration nor an account: there is none to be named.
WITHOUT_CONFIGURATION = {"help", "version", "unique-user-id", "pass-hash", "mbox-dirty-flag",
                         "debug-dump-kvs", "environment"}


def run(*words):
    env = {k: v for k, v in os.environ.items() if k != "RIMS_CONFIG"}
    done = subprocess.run([os.path.join(stage_directory(), words[0]), *words[1:]], input=b"",
                          capture_output=True, timeout=60, cwd="/", env=env, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def programs():
    stage = stage_directory()
    found = []
    for folder in ("bin", "sbin", "libexec/rims"):
        found += [f"{folder}/{name}" for name in sorted(os.listdir(f"{stage}/{folder}"))]
    return found


def commands():
    """[("bin/rims", "server"), ...]"""
    rims = re.findall(r"(?m)^    ([a-z][a-z-]*) ", run("bin/rims", "help", "--show-debug-command")[1])
    ctl = re.findall(r"(?m)^  ([a-z][a-z-]*) ", run("sbin/rims-ctl", "-h")[1])
    return [("bin/rims", name) for name in rims] + [("sbin/rims-ctl", name) for name in ctl]


class EveryProgram(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(TOP, "VERSION"), encoding="ascii") as f:
            self.version = f.read().strip()

    def test_answers(self):
        found = programs()
        self.assertGreaterEqual(len(found), 9)
        for words in [(p,) for p in found] + commands():
            for option in ("-h", "--help", "--version"):
                status, out, err = run(*words, option)
                self.assertEqual((status, err), (0, ""), (words, option))
                if option == "--version":
                    self.assertIn(self.version, out, words)
                else:
                    self.assertRegex(out, r"(?i)^usage: " + words[0].split("/")[-1], words)

    def test_wrong_use_is_told_on_standard_error(self):
        for words in [(p,) for p in programs()] + commands():
            status, out, err = run(*words, "--no-such-option")
            self.assertIn(status, (2, 64), words)
            self.assertEqual(out, "", words)
            self.assertTrue(err, words)
        for program, expected in (("bin/rims", 1), ("sbin/rims-ctl", 2)):
            status, out, err = run(program)
            self.assertEqual((status, out), (expected, ""))
            self.assertIn("usage: " + program.split("/")[-1], err.lower())

    def test_every_command_takes_the_configuration_by_both_letters(self):
        asked = [words for words in commands() if words[1] not in WITHOUT_CONFIGURATION]
        self.assertGreaterEqual(len(asked), 18)
        rest = {"daemon": ["status"], "post-mail": ["foo"], "show-user-mbox": ["foo"],
                "backup": ["--all", "/nowhere"], "export": ["--to", "mbox", "foo", "/nowhere"],
                "import": ["--from", "mbox", "foo", "/nowhere"],
                "restore": ["--from", "/nowhere", "foo"], "mailbox": ["list", "foo"],
                "undelete": ["foo"], "dump": ["foo"], "account": ["list"], "kick": ["foo"],
                "cert": ["show"], "user": ["list"], "domain": ["list"]}
        for program, name in asked:
            for option in (["-c", "/no/such.yml"], ["-f", "/no/such.yml"], ["-f/no/such.yml"],
                           ["--config=/no/such.yml"], ["--config-yaml", "/no/such.yml"]):
                status, out, err = run(program, name, *option, *rest.get(name, []))
                self.assertNotEqual(status, 0, (name, option))
                self.assertIn("/no/such.yml", err, (name, option))
                if program == "sbin/rims-ctl":
                    self.assertEqual(status, 6, (name, err))
                    self.assertEqual(run(program, *option, name, *rest.get(name, []))[2], err, name)

    def test_v_of_the_daemon_takes_no_value(self):
        for words in (("stop", "-v", "-f", "/no/such.yml"), ("-v", "stop", "-f", "/no/such.yml"),
                      ("stop", "-vf", "/no/such.yml"), ("-q", "-f", "/no/such.yml", "status")):
            status, _, err = run("bin/rims", "daemon", *words)
            self.assertEqual(status, 1, words)
            self.assertIn("/no/such.yml", err)


class EarlierVersions(unittest.TestCase):
    """The command line of the original, versions 0.2 and 0.3."""

    def test_environment(self):
        with open(os.path.join(TOP, "VERSION"), encoding="ascii") as f:
            version = f.read().strip()
        status, out, _ = run("bin/rims", "environment", "--format=json")
        told = json.loads(out)["RIMS Environment"]
        self.assertEqual((status, told[0], told[2]), (0, {"RIMS VERSION": version},
                                                      {"KEY-VALUE STORE PLUG-IN": ["gdbm"]}))
        self.assertIn({"AUTHENTICATION PLUG-IN": ["plain", "hash"]}, told)
        status, out, _ = run("bin/rims", "environment")
        self.assertEqual((status, out.splitlines()[:3]),
                         (0, ["---", "RIMS Environment:", f"- RIMS VERSION: {version}"]))

    def test_list_user_id_names_what_takes_its_place(self):
        status, _, err = run("bin/rims", "list-user-id")
        self.assertEqual((status, "rims-ctl account list" in err), (64, True), err)

    def test_options_of_the_server_are_told_of(self):
        told = ["--protocol-log-file=x", "-pdebug", "--protocol-log-shift-age-daily",
                "--thread-num=20", "--no-daemonize", "-rrims/qdbm", "--text-kvs-type=gdbm"]
        _, _, err = run("bin/rims", "server", "-f", "/no/such.yml", *told)
        lines = err.splitlines()
        self.assertEqual(lines[0], "warning: `--protocol-log-file' has no effect: there is no log of "
                                   "the protocol; `--log-level=debug' logs each command.")
        self.assertEqual(len([l for l in lines if l.startswith("warning: ")]), len(told), err)
        self.assertIn("/no/such.yml", lines[-1])
        for words in (("--passwd-config=plain:[]",), ("--passwd-file=plain:x",)):
            status, _, err = run("bin/rims", "server", *words)
            self.assertEqual((status, "user_list" in err), (64, True), err)
        # Today's options are shortened as before, and these are not listed.
        status, out, _ = run("bin/rims", "server", "-h")
        self.assertNotIn("protocol-log", out)
        self.assertIn("invalid option: --protocol", run("bin/rims", "server", "--protocol=x")[2])
        self.assertIn("expected an address and a port", run("bin/rims", "server", "-s", "143")[2])

    def test_options_of_the_server_mean_what_they_meant(self):
        with Suite() as suite:
            child = subprocess.Popen(
                [f"{suite.stage}/bin/rims", "server", "-d", suite.directory + "/second",
                 "-u", "foo", "-w", "bar", "-s", "127.0.0.1:0",
                 "--process-num=3", "--status-file=second.pid", "--mail-delivery-user=post",
                 "--command-wait-timeout=77"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, cwd=suite.directory,
                **({"user": NOBODY, "group": NOBODY, "extra_groups": []} if suite.drop else {}))
            try:
                ports = os.path.join(suite.directory, "second", "run", "ports")
                wait_for(lambda: os.path.exists(ports), 30, "it serves")
                workers = [p for p, (parent, name) in processes().items()
                           if parent == child.pid and name == "rims-imapd"]
                self.assertEqual(len(workers), 3)
                self.assertTrue(os.path.exists(os.path.join(suite.directory, "second/second.pid")))
            finally:
                child.terminate()
                child.communicate(timeout=20)


if __name__ == "__main__":
    unittest.main()
