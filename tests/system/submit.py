"""tests/system/submit.py - rims-deliver's side of the socket, for many messages from one process

    with Submitter(suite) as mta:
        status, reason = mta.submit(b"Subject: x\\r\\n\\r\\nhello\\r\\n", user="foo")

The protocol is that of common/ipc/deliver_link.h. A status is an exit status of rims-deliver(1); what it
calls doubtful is 75 here, too.
"""

import contextlib
import fcntl
import os
import socket
import struct

# By ipc::Delivery: delivered, no user, rejected, not permitted, temporary.
EXITS = (0, 67, 65, 77, 75)
DELIVERED, DOUBTFUL = EXITS[0], EXITS[4]
_SUBMIT, _SUBMIT_REPLY = 1, 2
_ADD_SEALS, _ALL_SEALS = 1033, 1 | 2 | 4 | 8   # linux/fcntl.h


def _text(value):
    value = value.encode()
    return struct.pack(">I", len(value)) + value


class Submitter:
    """One connection, made when it is needed and made anew when it has ended."""

    def __init__(self, suite, limit=60):
        self.path = os.path.join(suite.run_dir, "deliver.sock")
        self.limit = limit
        self.link = None
        self.request = 0

    def send(self, message, user="foo", sender="sender@example.org", mailbox="", delivery_id=""):
        """Hands a message over; answer() tells what became of it."""
        self.request += 1
        order = (struct.pack(">HQ", _SUBMIT, self.request) + _text(user) + _text(sender)
                 + _text(mailbox) + _text(delivery_id) + struct.pack(">Bq", 0, 0))
        memfd = os.memfd_create("message", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(memfd), "wb") as f:
                f.write(message)
            fcntl.fcntl(memfd, _ADD_SEALS, _ALL_SEALS)
            if self.link is not None:
                with contextlib.suppress(OSError):  # it has ended since
                    socket.send_fds(self.link, [order], [memfd])
                    return
                self.close()
            self.link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.link.settimeout(self.limit)
            self.link.connect(self.path)
            socket.send_fds(self.link, [order], [memfd])
        except OSError:
            self.close()
        finally:
            os.close(memfd)

    def answer(self):
        """(exit status, reason)"""
        try:
            reply = self.link.recv(2048) if self.link else b""
        except OSError:  # reset, or the time limit
            reply = b""
        if len(reply) < 15:
            self.close()
            return DOUBTFUL, "no answer"
        kind, request, status, length = struct.unpack_from(">HQBI", reply)
        reason = reply[15:]
        if kind != _SUBMIT_REPLY or request != self.request or length != len(reason):
            self.close()
            return DOUBTFUL, "an answer that can not be read"
        return EXITS[status], reason.decode()

    def submit(self, message, **more):
        self.send(message, **more)
        return self.answer()

    def close(self):
        if self.link is not None:
            self.link.close()
            self.link = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
