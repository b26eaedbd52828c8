"""isync's mbsync against the real suite: a Maildir of 1,000 messages, both ways"""

import os
import subprocess
import unittest

from tests.clients.support import ClientTest, digest, message, three_ways

COUNT = 1000


class _Mbsync(ClientTest):
    TOOL = "mbsync"

    def setUp(self):
        super().setUp()
        security = {None: "None", "starttls": "STARTTLS", "tls": "IMAPS"}[self.SECURITY]
        certificate = f"CertificateFile {self.suite.cert}\n" if self.SECURITY else ""
        with open(self.path("mbsyncrc"), "w", encoding="ascii") as f:
            f.write(f"IMAPAccount rims\nHost localhost\nPort {self.port}\nUser foo\nPass bar\n"
                    f"SSLType {security}\nAuthMechs LOGIN\n{certificate}Timeout 60\n\n"
                    "IMAPStore far\nAccount rims\n\n"
                    f"MaildirStore near\nPath {self.home}/mail/\nInbox {self.home}/mail/INBOX\n"
                    "SubFolders Verbatim\n\n"
                    "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\n"
                    "Expunge Both\nSyncState *\n")
        for part in ("cur", "new", "tmp"):
            os.makedirs(self.path("mail", "INBOX", part))

    def mbsync(self):
        done = subprocess.run(["mbsync", "-c", self.path("mbsyncrc"), "all"], capture_output=True,
                              timeout=120, check=False, env={**os.environ, "HOME": self.home})
        self.assertEqual(done.returncode, 0, done.stderr.decode() + done.stdout.decode())

    def near(self):
        """{digest: (path, flags)} of the Maildir's INBOX."""
        found = {}
        for part in ("cur", "new"):
            for name in os.listdir(self.path("mail", "INBOX", part)):
                path = self.path("mail", "INBOX", part, name)
                with open(path, "rb") as f:
                    found[digest(f.read())] = (path, name.partition(":2,")[2])
        return found

    def snapshot(self):
        return sorted((path, flags) for path, flags in self.near().values()), self.everything()

    def test_syncs_a_thousand_messages_both_ways(self):
        messages = {digest(message(n)): n for n in range(COUNT)}
        for number in range(COUNT):
            seen = "S" if number % 3 == 0 else ""
            name = f"17000{number:05d}.{number}.test:2,{seen}"
            with open(self.path("mail", "INBOX", "cur", name), "wb") as f:
                f.write(message(number))

        self.mbsync()
        far = self.everything()
        self.assertEqual(len(far), COUNT)
        self.assertTrue({d for _, d in far.values()} == set(messages), "altered on the way")
        for flags, text in far.values():
            self.assertEqual("\\Seen" in flags, messages[text] % 3 == 0, messages[text])

        before = self.snapshot()
        self.mbsync()
        self.assertTrue(self.snapshot() == before, "a second run must change nothing")
        # It compresses wherever it can.
        self.assertRegex(self.suite.log_text(), r"\d+ COMPRESS\n")

        # One flag and one deletion on each side, and one new message on the server.
        near = self.near()
        uid_of = {text: uid for uid, (_, text) in far.items()}
        flagged_near, flagged_far, gone_near, gone_far = (digest(message(n)) for n in (10, 20, 31, 41))
        path, flags = near[flagged_near]
        base, _, flags = path.rpartition(":2,")
        os.rename(path, base + ":2," + "".join(sorted(flags + "F")))
        os.remove(near[gone_near][0])
        with self.suite.login("foo") as imap:
            imap.select("INBOX")
            imap.uid("STORE", str(uid_of[flagged_far]), "+FLAGS", "(\\Answered)")
            imap.uid("STORE", str(uid_of[gone_far]), "+FLAGS", "(\\Deleted)")
            imap.expunge()
        self.suite.deliver(message(COUNT + 1))

        self.mbsync()
        near, far = self.near(), {text: flags for flags, text in self.everything().values()}
        delivered = [d for d in far if d not in messages]
        self.assertEqual(len(delivered), 1)
        self.assertTrue(set(near) == set(far), "both sides have the same mail")
        self.assertEqual(len(near), COUNT - 2 + 1)
        self.assertNotIn(gone_near, far)
        self.assertNotIn(gone_far, near)
        self.assertIn("\\Flagged", far[flagged_near])
        self.assertIn("R", near[flagged_far][1])

        before = self.snapshot()
        self.mbsync()
        self.assertTrue(self.snapshot() == before, "a further run must change nothing")
        self.assert_page("mbsync")


three_ways(globals(), _Mbsync)
del _Mbsync

if __name__ == "__main__":
    unittest.main()
