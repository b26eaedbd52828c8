"""A user who only sends NOOP, while another one of the same worker asks for much

    with Bystander(suite, "other") as other:
        began = other.mark()
        client.command("COPY 1:* INBOX")
        answered, longest = other.since(began)      # NOOPs; seconds between two answers
"""

import socket
import threading
import time

ONE_WORKER = "processes:\n  imapd_workers: 1\n"


class Client:
    """IMAP in raw bytes, for answers of many megabytes that nobody looks at."""

    def __init__(self, suite, user, limit=120):
        self.socket = socket.create_connection(("127.0.0.1", suite.imap_port), limit)
        self.count = 0
        self.socket.recv(4096)
        self.command(f"LOGIN {user} {suite.users[user]}")

    def send(self, text):
        self.count += 1
        tag = f"t{self.count}"
        self.socket.sendall(f"{tag} {text}\r\n".encode())
        return f"\r\n{tag} ".encode()

    def command(self, text, ok=True):
        """Its tagged answer; with `ok`, that it begins with OK."""
        wanted = self.send(text)
        tail = b"\r\n"
        while (at := tail.find(wanted)) < 0 or tail.find(b"\r\n", at + 2) < 0:
            more = self.socket.recv(1 << 20)
            if not more:
                raise EOFError(f"{text}: closed after {tail!r}")
            tail = (tail[-200:] if at < 0 else tail) + more
        answer = tail[at + len(wanted):].decode().rstrip("\r\n")
        if ok and not answer.startswith("OK"):
            raise AssertionError(f"{text}: {answer}")
        return answer

    def append(self, mailbox, message):
        self.command(f"APPEND {mailbox} {{{len(message)}+}}\r\n{message.decode()}")

    def double(self, messages):
        """Copies the selected mailbox, INBOX, into itself until it has at least so many."""
        count = 1
        while count < messages:
            self.command("COPY 1:* INBOX")
            count *= 2
        return count

    def close(self):
        self.socket.close()


class Bystander:
    def __init__(self, suite, user):
        self.client = Client(suite, user)
        self.answers = []  # when
        self.ending = False
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.ending:
            self.client.command("NOOP")
            self.answers.append(time.monotonic())
            time.sleep(0.001)

    def mark(self):
        """A moment from which on since() counts."""
        return len(self.answers), time.monotonic()

    def since(self, mark):
        count, began = mark
        now = time.monotonic()
        # The answer to what was asked meanwhile may be due.
        while not self.answers or self.answers[-1] < now:
            time.sleep(0.001)
        times = [began, *(t for t in self.answers[count:] if t > began)]
        gaps = [b - a for a, b in zip(times, times[1:])]
        return len(gaps), max(gaps)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join()
        self.client.close()
