"""A process of the suite that was taken over: it makes the system calls that the test wants

Root stops it by ptrace(2) where it waits for events and puts a call of its own in place of that
one, so the call comes from within the real process, with all that this one has given up.
"""

import ctypes
import os
import platform
import signal
import struct
import unittest

SETREGS, GETREGS, SINGLESTEP, ATTACH, DETACH = 13, 12, 9, 16, 17
WALL = 0x40000000
SYSCALL = b"\x0f\x05"
# Of struct user_regs_struct.
ORIG_RAX, RAX, RIP, RSP = 15, 10, 16, 19
ARGUMENTS = (14, 13, 12, 7, 9, 8)  # rdi, rsi, rdx, r10, r8, r9
COUNT = 27


class Refused(Exception):
    """The kernel has ended the process."""


def needs_ptrace():
    if os.geteuid() != 0 or platform.machine() != "x86_64":
        raise unittest.SkipTest("needs root on x86_64")


class TakenOver:
    def __init__(self, pid):
        self.pid = pid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def ptrace(self, request, data=None):
        if self.libc.ptrace(request, self.pid, None, data) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request}")

    def registers(self):
        found = (ctypes.c_ulonglong * COUNT)()
        self.ptrace(GETREGS, ctypes.addressof(found))
        return found

    def call(self, number, *arguments):
        """What the call returns; bytes are put into the memory of the process. Refused when it has ended it."""
        self.ptrace(ATTACH)
        self.wait()
        before = self.registers()
        now = (ctypes.c_ulonglong * COUNT)(*before)
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(before[RIP] - 2)
            assert memory.read(2) == SYSCALL, "it does not wait in a system call"
            at = before[RSP] - 4096
            for place, value in zip(ARGUMENTS, arguments):
                if isinstance(value, bytes):
                    at -= len(value) + 16
                    memory.seek(at)
                    memory.write(value)
                    value = at
                now[place] = value & (1 << 64) - 1
        now[RAX], now[ORIG_RAX], now[RIP] = number, (1 << 64) - 1, before[RIP] - 2
        self.ptrace(SETREGS, ctypes.addressof(now))
        self.ptrace(SINGLESTEP)
        self.wait()
        result = self.registers()[RAX]
        self.ptrace(SETREGS, ctypes.addressof(before))
        self.ptrace(DETACH)
        return struct.unpack("q", struct.pack("Q", result))[0]

    def wait(self):
        status = os.waitpid(self.pid, WALL)[1]
        if os.WIFSIGNALED(status) or os.WIFEXITED(status):
            raise Refused(signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "")
