"""tests/crash/disk.py - a disk in memory that remembers every write and flush, and can lose them

    with Disk(64 << 20, directory) as disk:
        disk.format("ext4")
        with disk.mounted("ext4", place): ...
        log = disk.log                       [(offset, bytes) or None for a flush]
            with disk.trial(): disk.lose(...)    the disk as it may be if the power went after log[:at]

The disk is one file of a FUSE file system that this process serves itself, in the kernel's own
protocol (linux/fuse.h), with a loop device on top. What a flush had covered is there after a crash;
of the writes after the last flush each one is there, or not, or some of its 512-byte sectors are.

Loop devices are told to clear themselves: in a mount namespace (tests/system/mounts.py) even
SIGKILL leaves nothing behind. Needs root, /dev/fuse and /dev/loop-control: missing() says what is not there.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import struct
import subprocess
import threading

from tests.system.mounts import DETACH, NOATIME, NODEV, NOSUID, mount, umount

SECTOR = 512
MAX_WRITE = 1 << 20

# linux/fuse.h
_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_ATTR = struct.Struct("<QIIQQQQQQIIIIIIIIII")
_GETATTR, _SETATTR, _OPEN, _READ, _WRITE, _STATFS, _RELEASE, _FSYNC, _FLUSH, _INIT = \
    3, 4, 14, 15, 16, 17, 18, 20, 25, 26
_FORGET, _INTERRUPT, _DESTROY, _BATCH_FORGET = 2, 36, 38, 42
_ASYNC_READ, _BIG_WRITES, _MAX_PAGES = 1 << 0, 1 << 5, 1 << 22
_DIRECT_IO = 1
# linux/loop.h, linux/fs.h
_LOOP_GET_FREE, _LOOP_CONFIGURE, _LOOP_CLEAR = 0x4C82, 0x4C0A, 0x4C01
_LOOP_AUTOCLEAR = 4
_BLKFLSBUF = 0x1261

MAKE = {
    "ext4": ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-J", "size=4",
             "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"],
    # Smaller than what mkfs.xfs finds sensible, and smaller is quicker to recover.
    "xfs": ["mkfs.xfs", "-q", "-f", "-K", "--unsupported", "-d", "agcount=2", "-l", "size=8m"],
}

# ext4 would make up for a file that is not flushed before its renaming.
OPTIONS = {"ext4": "noauto_da_alloc"}

# What becomes of the writes that no flush covered.
STYLES = ("none", "some", "some", "torn", "torn", "all but one", "last torn", "all")
WHOLE = ("none", "some", "all but one", "all")


def missing(kinds):
    """Why a Disk cannot be had here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for path in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(path):
            return f"{path} is not there"
    for kind in kinds:
        if shutil.which(MAKE[kind][0]) is None:
            return f"{MAKE[kind][0]} is not installed"
        with open("/proc/filesystems", encoding="ascii") as f:
            if kind not in f.read().split():
                return f"the kernel knows no {kind}"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
        os.close(os.open("/dev/loop-control", os.O_RDWR))
    except OSError as error:
        return str(error)
    return None


class Disk:
    def __init__(self, size, directory):
        self.bytes = bytearray(size)
        self.log = []
        self.style = None  # of the last lose()
        self._undo = None
        self._file = os.path.join(directory, "disk")
        open(self._file, "wb").close()
        self._fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        mount("rims-disk", self._file, "fuse", NOSUID | NODEV,
              f"fd={self._fuse},rootmode=100600,user_id=0,group_id=0")
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()
        backing = os.open(self._file, os.O_RDWR | os.O_CLOEXEC)
        try:
            self.device, self._loop = self._attach(backing)
        finally:
            os.close(backing)

    @staticmethod
    def _attach(backing):
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            for _ in range(100):
                number = fcntl.ioctl(control, _LOOP_GET_FREE)
                device = f"/dev/loop{number}"
                loop = os.open(device, os.O_RDWR | os.O_CLOEXEC)
                # struct loop_config: fd, block size, struct loop_info64, reserved
                config = bytearray(304)
                struct.pack_into("<II", config, 0, backing, 512)
                struct.pack_into("<I", config, 8 + 52, _LOOP_AUTOCLEAR)
                try:
                    fcntl.ioctl(loop, _LOOP_CONFIGURE, config)
                    return device, loop
                except OSError as error:
                    os.close(loop)
                    if error.errno != errno.EBUSY:
                        raise
            raise OSError(errno.EBUSY, "no loop device is free")
        finally:
            os.close(control)

    def close(self):
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._loop, _LOOP_CLEAR)
        os.close(self._loop)
        umount(self._file, DETACH)
        self._server.join(10)
        os.close(self._fuse)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # The file ---------------------------------------------------------------------------------

    def _serve(self):
        buffer = bytearray(MAX_WRITE + 4096)
        while True:
            try:
                got = os.readv(self._fuse, [buffer])
            except OSError as error:
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                return  # ENODEV: no longer mounted
            _, code, unique, *_ = _IN.unpack_from(buffer)
            if code in (_FORGET, _BATCH_FORGET, _INTERRUPT):
                continue
            answer = self._answer(code, buffer, got)
            if isinstance(answer, int):
                answer, failed = b"", answer
            else:
                failed = 0
            with contextlib.suppress(OSError):  # the asker went away
                os.writev(self._fuse, [_OUT.pack(_OUT.size + len(answer), failed, unique), answer])
            if code == _DESTROY:
                return

    def _answer(self, code, buffer, got):
        at = _IN.size
        if code == _READ:
            _, offset, size = struct.unpack_from("<QQI", buffer, at)
            return bytes(memoryview(self.bytes)[offset:offset + size])
        if code == _WRITE:
            _, offset, size = struct.unpack_from("<QQI", buffer, at)
            data = bytes(memoryview(buffer)[got - size:got])
            if offset + size > len(self.bytes):
                return -errno.ENOSPC
            self._put(offset, data)
            self.log.append((offset, data))
            return struct.pack("<II", size, 0)
        if code == _FSYNC:
            self.log.append(None)
            return b""
        if code in (_GETATTR, _SETATTR):
            size = len(self.bytes)
            return _ATTR.pack(1, 0, 0, 1, size, size // SECTOR, 0, 0, 0, 0, 0, 0, 0o100600, 1, 0, 0, 0, 4096, 0)
        if code == _OPEN:
            return struct.pack("<QII", 0, _DIRECT_IO, 0)
        if code == _INIT:
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, 1 << 20, _ASYNC_READ | _BIG_WRITES | _MAX_PAGES,
                               64, 48, MAX_WRITE, 1, MAX_WRITE // 4096, 0, 0)
        if code in (_RELEASE, _FLUSH, _DESTROY):
            return b""
        return -errno.ENOSYS

    def _put(self, offset, data):
        if self._undo is not None:
            self._undo.append((offset, bytes(memoryview(self.bytes)[offset:offset + len(data)])))
        self.bytes[offset:offset + len(data)] = data

    # File systems -----------------------------------------------------------------------------

    def forget_cached(self):
        """The kernel reads the disk anew."""
        fcntl.ioctl(self._loop, _BLKFLSBUF)

    def format(self, kind):
        subprocess.run([*MAKE[kind], self.device], check=True, capture_output=True, timeout=60)
        self.forget_cached()

    def mount(self, kind, place):
        self.forget_cached()
        mount(self.device, place, kind, NOSUID | NODEV | NOATIME, OPTIONS.get(kind, ""))

    @contextlib.contextmanager
    def mounted(self, kind, place):
        self.mount(kind, place)
        try:
            yield place
        finally:
            self.umount(place)

    def umount(self, place):
        try:
            umount(place)
        except OSError:
            umount(place, DETACH)
            raise
        self.forget_cached()

    # Power cuts -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def trial(self):
        """What happens to the disk within is undone at the end; `log` is that of the trial alone."""
        kept, self.log = self.log, []
        outer, self._undo = self._undo, []
        try:
            yield self
        finally:
            undo, self._undo = self._undo, outer
            for offset, data in reversed(undo):
                self.bytes[offset:offset + len(data)] = data
            self.log = kept

    def replay(self, log, first, last):
        """log[first:last] reach the disk."""
        for entry in log[first:last]:
            if entry is not None:
                self._put(*entry)

    @staticmethod
    def last_flush(log, at):
        """All before it is safe when the power goes after log[:at]."""
        while at > 0 and log[at - 1] is not None:
            at -= 1
        return at

    def lose(self, log, first, at, random, styles=STYLES):
        """Of the writes log[first:at], which no flush covered, each reaches the disk, or not, or some
        of its sectors do. Returns how many did not arrive whole."""
        style = self.style = random.choice(styles)
        entries = [e for e in log[first:at] if e is not None]
        odd = random.randrange(len(entries)) if entries else 0
        hurt = 0
        for i, (offset, data) in enumerate(entries):
            if style == "all" or (style == "all but one" and i != odd) or \
                    (style == "last torn" and i != len(entries) - 1):
                fate = "whole"
            elif style in ("none", "all but one"):
                fate = "lost"
            elif style == "last torn":
                fate = "torn"
            elif style == "some":
                fate = random.choice(("whole", "lost"))
            else:
                fate = random.choice(("whole", "lost", "torn"))
            if fate == "whole":
                self._put(offset, data)
                continue
            hurt += 1
            if fate == "torn":
                for start in range(0, len(data), SECTOR):
                    if random.random() < 0.5:
                        self._put(offset + start, data[start:start + SECTOR])
        return hurt
