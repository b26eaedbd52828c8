"""Good logins while somebody tries passwords as fast as he can

Bad logins come from three networks, over new connections, some of which leave at once. The good
ones are the first of their users, so nothing is remembered and each needs its hash; they come from
a network of their own.
"""

# time limit: 300 s
# runs alone

import contextlib
import itertools
import socket
import threading
import time
import unittest

from tests.system.harness import Suite

USERS = [f"user{n}" for n in range(12)]
ATTACKERS = 8


class Flood(unittest.TestCase):
    def setUp(self):
        self.stopping = threading.Event()
        self.tried = itertools.count()
        self.sent = 0

    def connect(self, suite, source):
        client = socket.create_connection(("127.0.0.1", suite.imap_port), timeout=30,
                                          source_address=(source, 0))
        client.settimeout(30)
        return client

    def attack(self, suite, number):
        waiting = []  # those that stay; the oldest leave
        while not self.stopping.is_set():
            n = next(self.tried)
            with contextlib.suppress(OSError):
                client = self.connect(suite, f"127.{1 + n % 3}.7.{1 + n % 200}")
                client.recv(1000)
                client.sendall(f"a LOGIN {USERS[n % len(USERS)]} guess{n}\r\n".encode())
                self.sent += 1
                if n % 2:
                    client.close()
                else:
                    waiting.append(client)
            while len(waiting) > 10:
                waiting.pop(0).close()
        for client in waiting:
            client.close()

    def log_in(self, suite, user):
        """The answer to a good login, and how long it took."""
        began = time.monotonic()
        with self.connect(suite, "127.77.1.1") as client:
            client.recv(1000)
            client.sendall(f"a LOGIN {user} right\r\n".encode())
            answer = client.recv(1000).decode()
        return answer, time.monotonic() - began

    def test_good_logins_come_through_a_flood_of_bad_ones(self):
        with Suite(tls=False) as plain:
            made = plain.command("bin/rims", "pass-hash", stdin=b"right\n")
            self.assertEqual(made.returncode, 0, made.stderr)
            hashed = made.stdout.decode().strip()
        settings = "".join(f'  - {{user: "{user}", hash: "{hashed}"}}\n' for user in USERS)
        with Suite(users={"foo": "bar"}, tls=False, settings=settings, log_level="INFO") as suite:
            threads = [threading.Thread(target=self.attack, args=(suite, n))
                       for n in range(ATTACKERS)]
            for thread in threads:
                thread.start()
            try:
                # The flood has filled the queue when somebody was put off, or has left it.
                while suite.log_text().count("login failed") < 20:
                    self.stopping.wait(0.05)
                results = [self.log_in(suite, user) for user in USERS]
            finally:
                self.stopping.set()
                for thread in threads:
                    thread.join()
            for user, (answer, seconds) in zip(USERS, results):
                with self.subTest(user=user):
                    self.assertTrue(answer.startswith("a OK"), answer)
                    self.assertLess(seconds, 20)
            text = suite.log_text()
            self.assertIn("login given up by the client while it waited", text)
            self.assertGreater(self.sent, 100)


if __name__ == "__main__":
    unittest.main()
