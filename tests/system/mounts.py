"""tests/system/mounts.py - mounts that only this test and what it starts can see

    alone()                       from here on; needs root
    mount("none", "/run", "tmpfs")
    bind("/dev/null", "/etc/services")

An OSError says what was tried.
"""

import ctypes
import os

# sched.h, sys/mount.h
NEW_NAMESPACE = 0x20000
NOSUID, NODEV, NOATIME, BIND, MOVE, RECURSIVE, PRIVATE = 2, 4, 1024, 4096, 8192, 16384, 1 << 18
DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]


def _call(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source, place, kind="", flags=0, data=""):
    _call(_libc.mount(source.encode(), place.encode(), kind.encode(), flags, data.encode()),
          f"mount {kind} on {place}")


def bind(source, place):
    mount(source, place, flags=BIND)


def umount(place, flags=0):
    _call(_libc.umount2(place.encode(), flags), f"umount {place}")


def alone():
    """Puts this thread and what it starts into a mount namespace that ends with them."""
    _call(_libc.unshare(NEW_NAMESPACE), "unshare")
    # Under chroot / is no mount and cannot be made private. Entering a namespace, even one's own,
    # moves to its true root; from there back to where we were.
    places = [os.open(place, os.O_PATH | os.O_DIRECTORY) for place in ("/", ".")]
    try:
        own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        try:
            _call(_libc.setns(own, NEW_NAMESPACE), "setns")
        finally:
            os.close(own)
        mount("none", "/", flags=RECURSIVE | PRIVATE)
        os.fchdir(places[0])
        os.chroot(".")
        os.fchdir(places[1])
    finally:
        for place in places:
            os.close(place)
