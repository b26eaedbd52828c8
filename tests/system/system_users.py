"""tests/system/system_users.py - the users of etc/sysusers.d, for this test process alone

    with SystemUsers() as ids: ids["_rimslog"]      # their numbers
    with SystemUsers(present=False): ...            # a machine that has none of them

The process gets a mount name space of its own, in which /etc/passwd and /etc/group are replaced;
what it starts sees the same, the machine sees nothing. Needs root.
"""

import ctypes
import os
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIRST_ID = 61300
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000

_libc = ctypes.CDLL(None, use_errno=True)
_own_name_space = False


def _call(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _enter_name_space():
    global _own_name_space
    if _own_name_space:
        return
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")
    try:
        _call(_libc.unshare(CLONE_NEWNS))
        _call(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
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
            _call(_libc.mount(f.name.encode(), path.encode(), None, MS_BIND, None))
            os.remove(f.name)
            self._mounted.append(path)
        return self.ids

    def __exit__(self, *what):
        for path in self._mounted:
            _call(_libc.umount(path.encode()))
