"""make install by root, in the tree of another user: root compiles nothing there"""

import os
import shutil
import subprocess
import tempfile
import unittest

from tests.system.harness import NOBODY, TOP

# Stand-ins that say what they were asked.
MESON = """#!/bin/sh
echo "meson $*" >>"$LOG"
case $1 in
introspect) echo '[{"name": "prefix", "value": "/usr"}, {"name": "sysconfdir", "value": "/etc"}]' ;;
install) echo installed >build/release/meson-logs/install-log.txt ;;
esac
"""
NINJA = """#!/bin/sh
echo "ninja $*" >>"$LOG"
[ -z "$STALE" ] && echo "ninja: no work to do."
exit 0
"""


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class MakeInstall(unittest.TestCase):
    def setUp(self):
        top = tempfile.TemporaryDirectory(prefix="rims-install-")
        self.addCleanup(top.cleanup)
        self.tree = os.path.join(top.name, "tree")
        self.log = os.path.join(top.name, "log")
        os.makedirs(os.path.join(self.tree, "tools"))
        shutil.copy(os.path.join(TOP, "Makefile"), self.tree)
        shutil.copy(os.path.join(TOP, "tools", "check-install"), os.path.join(self.tree, "tools"))
        bin_directory = os.path.join(top.name, "bin")
        os.makedirs(bin_directory)
        for name, text in (("meson", MESON), ("ninja", NINJA)):
            path = os.path.join(bin_directory, name)
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
            os.chmod(path, 0o755)
        self.env = {**os.environ, "PATH": bin_directory + ":" + os.environ["PATH"],
                    "LOG": self.log, "STALE": ""}
        os.chown(self.tree, NOBODY, NOBODY)

    def built(self):
        build = os.path.join(self.tree, "build", "release")
        os.makedirs(os.path.join(build, "meson-logs"))
        with open(os.path.join(build, "build.ninja"), "w", encoding="ascii"):
            pass
        for where, _, files in os.walk(os.path.join(self.tree, "build")):
            for path in [where, *(os.path.join(where, f) for f in files)]:
                os.chown(path, NOBODY, NOBODY)

    def install(self, *words, **env):
        done = subprocess.run(["make", "-C", self.tree, "install", *words], capture_output=True,
                              text=True, timeout=60, env={**self.env, **env}, check=False)
        calls = ""
        if os.path.exists(self.log):
            with open(self.log, encoding="ascii") as f:
                calls = f.read()
            os.remove(self.log)
        return done.returncode, done.stderr, calls

    def refused(self, *words, **env):
        status, err, calls = self.install(*words, **env)
        self.assertNotEqual(status, 0)
        self.assertIn("root compiles nothing in the tree of\nuser nobody", err)
        self.assertNotIn("meson install", calls)
        self.assertNotIn("meson setup", calls)
        self.assertNotIn("meson configure", calls)
        return err

    def test_what_is_not_built_is_refused(self):
        err = self.refused("PREFIX=/usr")
        self.assertIn("    make PREFIX=/usr\n", err)
        self.assertFalse(os.path.exists(os.path.join(self.tree, "build")))
        self.built()
        self.refused("PREFIX=/opt/rims")  # built for another place
        self.refused("PREFIX=/usr", STALE="yes")

    def test_what_is_built_is_installed(self):
        self.built()
        status, err, calls = self.install("PREFIX=/usr")
        self.assertEqual(status, 0, err)
        self.assertIn("meson install -C build/release --no-rebuild", calls)
        strange = [f for where, _, files in os.walk(os.path.join(self.tree, "build"))
                   for f in files if os.stat(os.path.join(where, f)).st_uid != NOBODY]
        self.assertEqual(strange, [])


if __name__ == "__main__":
    unittest.main()
