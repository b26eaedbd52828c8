"""Every link of doc/ipc.md, as an attacker with a process of the suite would use it

The test takes copies of the processes' own ends (pidfd_getfd) and sends what no peer would. The
receiver closes that link; then both ends must get a new one, no process may be gone, nobody may
hold a descriptor more than before, and the suite must serve, without anybody's help. Needs root, to
take the copies.
"""

# time limit: 600 s

import array
import contextlib
import ctypes
import os
import socket
import unittest

from tests.system.harness import Suite, wait_for
from tests.system.privilege_test import ROLES, Descriptors, inodes

PIDFD_GETFD = 438
CONTROL = 3
_libc = ctypes.CDLL(None, use_errno=True)


def copy_of(pid, fd):
    """A copy of a process's socket."""
    process = os.pidfd_open(pid)
    try:
        got = _libc.syscall(PIDFD_GETFD, process, fd, 0)
        if got < 0:
            raise OSError(ctypes.get_errno(), f"pidfd_getfd {pid} {fd}")
        return socket.socket(fileno=got)
    finally:
        os.close(process)


def links_of(pid):
    """The descriptors that are links, without the control link."""
    packets = inodes("/proc/net/unix", 6, lambda w: w[4] == "0005" and w[3] != "00010000")
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if target.startswith("socket:[") and target[8:-1] in packets and int(fd) > CONTROL:
                found.append(int(fd))
    return sorted(found)


def send(end, data, descriptors=0):
    with open("/dev/null", "rb") as null:
        rights = array.array("i", [null.fileno()] * descriptors)
        more = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
        # A link that was closed meanwhile is what we are after.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            end.sendmsg([data], more)


HOSTILE = {
    "an empty message with descriptors": (b"", 3),
    "too many descriptors": (b"\0\1", 50),
    "an oversized message": (b"\0\1" + b"x" * 70_000, 0),
    "a wrong type": (b"\xff\xfe", 0),
    "a right type with a wrong body": (b"\0\1\xff", 0),
}


class Links(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to take copies of descriptors")

    def census(self, suite):
        """{role: [what each of its processes holds]}, without files, which are opened as needed."""
        found = {}
        for role in ROLES:
            found[role] = []
            for pid in suite.pids(role):
                held = Descriptors(pid)
                self.assertEqual(held.odd, [])
                total = len(os.listdir(f"/proc/{pid}/fd")) - len(held.files)
                found[role].append((held.links, held.ports, held.local_doors, total))
        return found

    def wait_for_census(self, suite, wanted, what):
        def same():
            with contextlib.suppress(FileNotFoundError):  # a process or descriptor that ends
                return self.census(suite) == wanted
            return False
        wait_for(same, 60, f"every process holds what it held, after {what}")

    def check_serves(self, suite):
        suite.deliver(b"Subject: hello\r\n\r\nhello\r\n")
        for security in (None, "tls"):
            with suite.login("foo", security=security) as imap:
                self.assertEqual(imap.select("INBOX")[0], "OK")

    def test_whatever_comes_on_a_link_the_suite_serves_again(self):
        with Suite() as suite:
            self.check_serves(suite)
            before = self.census(suite)
            family = suite.pids()
            for what, (data, descriptors) in HOSTILE.items():
                # On every end of every link, so in both directions.
                with self.subTest(what=what), contextlib.ExitStack() as ends:
                    told = suite.output_text().count("was lost")
                    copies = [ends.enter_context(copy_of(pid, fd))
                              for role in ROLES for pid in suite.pids(role) for fd in links_of(pid)]
                    for end in copies:
                        send(end, data, descriptors)
                    wait_for(lambda told=told: suite.output_text().count("was lost") > told, 30,
                             "the controller hears of it")
                self.wait_for_census(suite, before, what)
                self.assertEqual(suite.pids(), family, "no process has ended")
                self.check_serves(suite)
            for role in ("login", "auth", "imapd", "deliverd"):
                self.assertIn(f"breach: rims-{role}", suite.log_text())

    def test_a_breach_on_a_control_link_ends_the_process_and_it_is_back(self):
        with Suite() as suite:
            before = self.census(suite)
            for data, descriptors in HOSTILE.values():
                pid = suite.pids("deliverd")[0]
                with copy_of(pid, CONTROL) as end:
                    send(end, data, descriptors)
                wait_for(lambda pid=pid: pid not in suite.pids(), 30, "it ends")
                self.wait_for_census(suite, before, "its restart")
            self.check_serves(suite)

    def test_hostile_clients_of_the_deliver_socket_leave_nothing(self):
        with Suite() as suite:
            before = self.census(suite)
            family = suite.pids()
            for data, descriptors in HOSTILE.values():
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                    client.settimeout(30)
                    client.connect(os.path.join(suite.run_dir, "deliver.sock"))
                    send(client, data, descriptors)
                    with contextlib.suppress(ConnectionResetError):
                        self.assertEqual(client.recv(100), b"")
            self.wait_for_census(suite, before, "hostile clients")
            self.assertEqual(suite.pids(), family)
            self.check_serves(suite)


if __name__ == "__main__":
    unittest.main()
