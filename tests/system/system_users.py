"""tests/system/system_users.py - the users of etc/sysusers.d, for this test process alone

    with SystemUsers() as ids: ids["_rimslog"]      # their numbers
    with SystemUsers(present=False): ...            # a machine that has none of them

The process gets a mount name space of its own, in which /etc/passwd and /etc/group are replaced;
what it starts sees the same, the machine sees nothing. Needs root.
"""

import os
import tempfile
import unittest

from tests.system.mounts import alone, bind, umount

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIRST_ID = 61300

_own_name_space = False


def _enter_name_space():
    global _own_name_space
    if _own_name_space:
        return
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")
    try:
        alone()
    except OSError as error:
        raise unittest.SkipTest(f"needs a mount name space: {error}") from None
    _own_name_space = True


def listed():
    """The users and groups that the file lists."""
    users, groups = [], []
    with open(os.path.join(TOP, "etc", "sysusers.d", "rims.conf"), encoding="ascii") as f:
        for line in f:
            words = line.split()
            if words and words[0] == "u":
                users.append(words[1])
            elif words and words[0] == "g":
                groups.append(words[1])
    return users, groups


class SystemUsers:
    def __init__(self, present=True):
        self.present = present
        self.ids = {}
        self._mounted = []

    def __enter__(self):
        _enter_name_space()
        users, groups = listed()
        tables = {}
        for path in ("/etc/passwd", "/etc/group"):
            with open(path, encoding="utf-8", errors="surrogateescape") as f:
                tables[path] = [line for line in f if line.split(":")[0] not in users + groups]
        if self.present:
            for number, name in enumerate(users + groups, FIRST_ID):
                self.ids[name] = number
                tables["/etc/group"].append(f"{name}:x:{number}:\n")
                if name in users:
                    tables["/etc/passwd"].append(
                        f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n")
        for path, lines in tables.items():
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="surrogateescape",
                                             delete=False) as f:
                f.writelines(lines)
            os.chmod(f.name, 0o644)
            bind(f.name, path)
            os.remove(f.name)
            self._mounted.append(path)
        return self.ids

    def __exit__(self, *what):
        for path in self._mounted:
            umount(path)
