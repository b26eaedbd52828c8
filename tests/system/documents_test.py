"""tests/system/documents_test.py - documents and comments name what is there (tools/check-docs), and
every example of a configuration or a command in them works as it is written

An example is taken from the text of its page. Configurations are started by root, on a machine of
their own as far as name spaces go, and serve a login and a delivery.
"""
# time limit: 600 s

import contextlib
import glob
import imaplib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from tests.system.first_setup_test import fresh_directory, fresh_network, without_services
from tests.system.harness import NOBODY, TOP, Suite, certificate, stage_directory, wait_for
from tests.system.mounts import umount
from tests.system.system_users import SystemUsers


def check(tree):
    done = subprocess.run([sys.executable, os.path.join(TOP, "tools", "check-docs"), tree],
                          capture_output=True, text=True)
    return done.returncode, done.stdout


class Documents(unittest.TestCase):
    def test_what_the_tree_names_is_there(self):
        status, said = check(TOP)
        self.assertEqual(status, 0, said)

    def test_what_is_missing_is_named_with_its_place(self):
        files = {
            "README.md": "[a](doc/a.md) [b](doc/b.md)\n[c](doc/a.md#one-two) [d](doc/a.md#three)\n",
            "doc/a.md": "# One two\n`common/x/x.h` `x/x.h` tests/*/*_test.py tests/FOLDER/NAME_test.py\n"
                        "`common/x/y.h` y.h tests/*/*_test.c `common/z`\n",
            "common/x/x.h": "// common/x/x.h - see doc/a.md, common/y/x.h and y.cc\n#include <stdio.h>\n",
            "tests/x/x_test.py": "",
        }
        with tempfile.TemporaryDirectory() as tree:
            for name, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
                with open(os.path.join(tree, name), "w", encoding="utf-8") as f:
                    f.write(text)
            status, said = check(tree)
        self.assertEqual(status, 1)
        self.assertEqual(said.splitlines(), [
            "README.md:1: doc/b.md does not exist",
            "README.md:2: doc/a.md#three: doc/a.md has no such heading",
            "common/x/x.h:1: common/y/x.h does not exist",
            "common/x/x.h:1: there is no y.cc",
            "doc/a.md:3: common/x/y.h does not exist",
            "doc/a.md:3: tests/*/*_test.c does not exist",
            "doc/a.md:3: common/z does not exist",
            "doc/a.md:3: there is no y.h",
            "docs: 8 wrong",
        ])


def blocks():
    """[(page and number of the block, its text)] of every README, document and manual page"""
    found = []
    for path in ["README.md", *sorted(glob.glob("doc/*.md", root_dir=TOP)),
                 *sorted(glob.glob("man/*.[158]", root_dir=TOP))]:
        with open(os.path.join(TOP, path), encoding="utf-8") as f:
            text = f.read()
        if path.endswith(".md"):
            bodies = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.M | re.S)
        else:
            bodies = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, flags=re.M | re.S)
            bodies = [body.replace(r"\&", "") for body in bodies]
        found += [(f"{path} #{n}", body) for n, body in enumerate(bodies, 1)]
    return found


def keys():
    """The keys of the configuration, and the names of its sections."""
    with open(os.path.join(TOP, "man", "rims.yml.5"), encoding="utf-8") as f:
        names = re.findall(r"^\.It Ic ([a-z_.]+)$", f.read(), flags=re.M)
    return {name.split(".")[0] for name in names}


def configurations():
    known = keys()
    return [(name, text) for name, text in blocks()
            if (first := re.match(r"([a-z_]+):(\s|$)", text)) and first[1] in known]


class Announced(unittest.TestCase):
    def test_the_page_of_rims_imapd_names_every_extension(self):
        with open(os.path.join(TOP, "man", "rims-imapd.8"), encoding="utf-8") as page:
            words = set(re.split(r"[\s,]+|\.\s", page.read()))
        with Suite() as suite, suite.login("foo") as imap:
            announced = imap.capability()[1][0].decode().split()
        self.assertGreater(len(announced), 30)
        # Of a resource or a size the page says the extension's name.
        names = {re.sub(r"^(APPENDLIMIT|QUOTA)=.*", r"\1", name) for name in announced} - {"IMAP4rev1"}
        self.assertEqual(sorted(names - words), [])


class ConfigurationExamples(unittest.TestCase):
    """Each is started by root as it stands, but for what no page can know: hashes, certificates."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.stage = stage_directory()

    def ctl(self, config, *words, status=0):
        done = subprocess.run([f"{self.stage}/sbin/rims-ctl", "-c", config, *words], cwd="/",
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, status, (words, done.stderr.decode()))
        return done.stdout.decode()

    def complete(self, text, hashed, directory):
        text = re.sub(r'"(what rims pass-hash prints|\$argon2id\$[^"]*\.\.\.)"', f'"{hashed}"', text)
        for key, source in zip(("certificate", "key"), certificate()):
            if named := re.search(rf"\b{key}: ([^\s,}}]+)", text):
                path = os.path.join(directory, named[1])
                os.makedirs(os.path.dirname(path), exist_ok=True)
                shutil.copy(source, path)
                os.chmod(path, 0o600)
        if not re.search(r"^(user_list|username):", text, flags=re.M):
            text += "user_list: [{user: foo, pass: secret}]\n"
        return text

    def serves(self, name, text, ids):
        user, password = re.search(r"[{-] *user: (\w+)", text)[1], "secret"
        if plain := re.search(rf'user: {user}, pass: "?(\w+)', text):
            password = plain[1]
        port = 143 if "imap_port: imap2" in text else 1430
        group = next((g for g in ("rimspost", "mail", "postfix") if f"deliver_socket_group: {g}" in text), None)
        done = subprocess.run(
            [f"{self.stage}/bin/rims-deliver", "-S", "/run/rims/deliver.sock", "-d", user],
            input=b"Subject: hello\n\n", cwd="/", capture_output=True, timeout=60, check=False,
            **({"user": NOBODY, "group": ids.get(group, group), "extra_groups": []} if group else {}))
        self.assertEqual(done.returncode, 0, (name, done.stderr))
        with imaplib.IMAP4("127.0.0.1", port, timeout=30) as imap:
            imap.login(user, password)
            self.assertEqual(imap.select("INBOX"), ("OK", [b"1"]), name)

    def test_every_configuration_starts(self):
        found = configurations()
        for page in ("README.md", "man/rims-ctl.8", "man/rims.yml.5", "man/rims-deliver.1",
                     "man/rims-deliverd.8", "doc/migration.md"):
            self.assertTrue(any(name.startswith(page) for name, _ in found), page)
        hashed = subprocess.run([f"{self.stage}/bin/rims", "pass-hash"], input=b"secret\n",
                                capture_output=True, check=True).stdout.decode().strip()
        certificate()  # while openssl finds its settings
        with SystemUsers() as ids:
            fresh_network()
            without_services()
            for name, text in found:
                if "deliver_socket_group: postfix" in text and not shutil.which("postfix"):
                    continue  # there is no such group
                places = ("/run", "/var/lib", "/var/log", "/srv", "/etc/ssl")
                for path in places:
                    fresh_directory(path)
                # As systemd-tmpfiles makes them.
                for path, user in (("/run/rims", None), ("/var/lib/rims", "_rims"),
                                   ("/var/log/rims", "_rimslog")):
                    os.mkdir(path, 0o755)
                    if user:
                        os.chown(path, ids[user], ids[user])
                directory = tempfile.mkdtemp(prefix="rims-example-")
                whole = self.complete(text, hashed, directory)
                if "process_privilege_user" not in whole:
                    whole += "process_privilege_user: _rims\nprocess_privilege_group: _rims\n"
                # Beside the file there would be no place for mail: its directory must be root's.
                if "base_dir" not in whole:
                    whole += "base_dir: /var/lib/rims\n"
                config = os.path.join(directory, "config.yml")
                with open(config, "w", encoding="utf-8") as f:
                    f.write(whole)
                os.chmod(config, 0o600)
                try:
                    with self.subTest(name):
                        self.assertIn("no mistakes", self.ctl(config, "check"))
                        self.ctl(config, "start")
                        try:
                            self.serves(name, whole, ids)
                            self.assertIn("rims-imapd", self.ctl(config, "status"))
                        finally:
                            self.ctl(config, "stop")
                finally:
                    shutil.rmtree(directory)
                    for path in reversed(places):
                        umount(path)


class CommandExamples(unittest.TestCase):
    """Blocks with "$ " in front of what is typed; what follows is what is shown."""

    NEEDS_A_TERMINAL = "rims post-mail -n mail.example.org"

    def test_every_command_shows_what_its_page_says(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        fresh_network()
        found = [(name, text) for name, text in blocks()
                 if name.startswith("man/rims.1") and text.startswith("$ ")]
        self.assertGreaterEqual(len(found), 3)
        stage = stage_directory()
        for name, text in found:
            if self.NEEDS_A_TERMINAL in text:
                continue
            with self.subTest(name), tempfile.TemporaryDirectory(prefix="rims-example-") as place:
                with open(f"{place}/mail.txt", "w", encoding="ascii") as f:
                    f.write("Subject: hello\n\nhello\n")
                os.chown(place, NOBODY, NOBODY)
                who = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": place,
                       "env": {**os.environ, "PATH": f"{stage}/bin:{stage}/sbin:/usr/bin:/bin"}}
                servers = []
                try:
                    for line in re.findall(r"^\$ (.*\n(?:(?!\$ ).*\n)*)", text, flags=re.M):
                        typed, _, shown = line.partition("\n")
                        if typed.endswith("&"):
                            servers.append(subprocess.Popen(
                                typed.rstrip("& ").split(), stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, **who))
                            wait_for(lambda: self.greets(1430), 30, typed)
                            continue
                        done = subprocess.run(["sh", "-c", typed], capture_output=True, timeout=60,
                                              check=False, **who)
                        self.assertEqual(done.returncode, 0, (typed, done.stderr))
                        pattern = re.escape(shown).replace(r"\.\.\.", ".*")
                        self.assertRegex(done.stdout.decode(), rf"\A{pattern}\Z", typed)
                finally:
                    for server in servers:
                        server.terminate()
                        server.wait(20)

    @staticmethod
    def greets(port):
        with contextlib.suppress(OSError), imaplib.IMAP4("127.0.0.1", port, timeout=5):
            return True
        return False


if __name__ == "__main__":
    unittest.main()
