"""offlineimap3 against the real suite: mail, flags and deletions, both ways"""

import os
import subprocess
import unittest

from tests.clients.support import ClientTest, digest, message, three_ways


class _OfflineImap(ClientTest):
    TOOL = "offlineimap"

    def setUp(self):
        super().setUp()
        with open(self.path("rc"), "w", encoding="ascii") as f:
            f.write(f"[general]\naccounts = a\nmetadata = {self.home}/state\nsocktimeout = 60\n"
                    "[Account a]\nlocalrepository = l\nremoterepository = r\n"
                    f"[Repository l]\ntype = Maildir\nlocalfolders = {self.home}/mail\n"
                    "[Repository r]\ntype = IMAP\nremotehost = localhost\n"
                    f"remoteport = {self.port}\nremoteuser = foo\nremotepass = bar\n"
                    f"ssl = {'yes' if self.SECURITY == 'tls' else 'no'}\n"
                    f"starttls = {'yes' if self.SECURITY == 'starttls' else 'no'}\n"
                    f"sslcacertfile = {self.suite.cert}\n"
                    "auth_mechanisms = PLAIN, LOGIN\n")

    def sync(self):
        done = subprocess.run(["offlineimap", "-o", "-c", self.path("rc"), "-u", "basic"],
                              capture_output=True, timeout=120, check=False,
                              env={**os.environ, "HOME": self.home})
        self.assertEqual(done.returncode, 0, done.stderr.decode() + done.stdout.decode())
        self.assertNotIn(b"ERROR", done.stdout + done.stderr)

    def near(self):
        found = {}
        for part in ("cur", "new"):
            for name in os.listdir(self.path("mail", "INBOX", part)):
                path = self.path("mail", "INBOX", part, name)
                with open(path, "rb") as f:
                    text = f.read()
                # offlineimap marks what it uploads, so the subject tells messages apart.
                subject = next(l for l in text.splitlines() if l.startswith(b"Subject: "))
                found[subject[9:].decode()] = (path, name.partition(":2,")[2], digest(text))
        return found

    def test_syncs_both_ways(self):
        for number in range(20):
            self.suite.deliver(message(number))
        self.sync()
        near = self.near()
        self.assertEqual({d for _, _, d in near.values()},
                         {digest(message(n)) for n in range(20)})

        # Flag one and delete one on each side; one new message here.
        path, flags, _ = near["message 1"]
        os.rename(path, path.replace("/new/", "/cur/").rpartition(":2,")[0] + ":2,S")
        os.remove(near["message 2"][0])
        with open(self.path("mail", "INBOX", "new", "1700000000.9.test"), "wb") as f:
            f.write(message(99))
        with self.suite.login("foo") as imap:
            imap.select("INBOX")
            imap.store("4", "+FLAGS", "(\\Flagged)")
            imap.store("5", "+FLAGS", "(\\Deleted)")
            imap.expunge()
        self.sync()
        far = {d: f for f, d in self.everything().values()}
        self.assertEqual(len(far), 19)
        self.assertIn("\\Seen", far[digest(message(1))])
        self.assertNotIn(digest(message(2)), far)
        near = self.near()
        self.assertEqual(len(near), 19)
        self.assertIn("F", near["message 3"][1])
        self.assertNotIn("message 4", near)
        self.assertIn("message 99", near)

        before = sorted((n, f, d) for n, (_, f, d) in near.items()), self.everything()
        self.sync()
        self.assertEqual((sorted((n, f, d) for n, (_, f, d) in self.near().items()),
                          self.everything()), before, "a further run must change nothing")
        self.assert_page("offlineimap3")


three_ways(globals(), _OfflineImap)
del _OfflineImap

if __name__ == "__main__":
    unittest.main()
