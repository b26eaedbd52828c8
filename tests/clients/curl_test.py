"""curl's imap:// against the real suite: list, append, fetch, search, store, expunge"""

import subprocess
import unittest

from tests.clients.support import ClientTest, crlf, message, three_ways


class _Curl(ClientTest):
    TOOL = "curl"

    def curl(self, path, *words, stdin=None, expect=0):
        scheme = "imaps" if self.SECURITY == "tls" else "imap"
        command = ["curl", "-sS", "-q", "--max-time", "30", "-u", "foo:bar"]
        if self.SECURITY:
            command += ["--cacert", self.suite.cert]
        if self.SECURITY == "starttls":
            command += ["--ssl-reqd"]
        done = subprocess.run([*command, f"{scheme}://localhost:{self.port}/{path}", *words],
                              input=stdin, capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, expect, done.stderr.decode())
        return done.stdout

    def test_lists_appends_fetches_searches_flags_and_expunges(self):
        listed = self.curl("")
        for name in (b"INBOX", b"Drafts", b"Sent", b"Junk", b"Trash", b"Archive"):
            self.assertIn(name, listed)

        for number in (1, 2, 3):
            with open(self.path("one"), "wb") as f:
                f.write(crlf(message(number)))
            self.curl("INBOX", "-T", self.path("one"))
        for number in (1, 2, 3):
            self.assertEqual(self.curl(f"INBOX;MAILINDEX={number}"), crlf(message(number)))
        self.assertEqual(self.curl("INBOX;UID=2;SECTION=TEXT"),
                         crlf(message(2)).split(b"\r\n\r\n", 1)[1])
        self.assertIn(b"Subject: message 3\r\n",
                      self.curl("INBOX;UID=3;SECTION=HEADER.FIELDS%20(SUBJECT)"))

        self.assertEqual(self.curl("INBOX?SUBJECT%20%22message%202%22").strip(), b"* SEARCH 2")
        self.assertIn(b"(FLAGS (\\Deleted \\Seen",
                      self.curl("INBOX", "-X", "STORE 2 +FLAGS (\\Deleted)")
                      .replace(b"\\Seen \\Deleted", b"\\Deleted \\Seen"))
        self.assertIn(b"* 2 EXPUNGE", self.curl("INBOX", "-X", "EXPUNGE"))
        self.assertEqual(sorted(self.everything()), [1, 3])
        self.assertEqual(self.curl("INBOX?ALL").strip(), b"* SEARCH 1 2")
        self.assert_page("curl")

    def test_makes_and_removes_a_mailbox(self):
        self.curl("", "-X", "CREATE lists/rims")
        self.assertIn(b"lists/rims", self.curl("", "-X", 'LIST "" "lists/*"'))
        self.assertIn(b"MESSAGES 0", self.curl("", "-X", "STATUS lists/rims (MESSAGES)"))
        self.curl("", "-X", "DELETE lists/rims")
        self.assertNotIn(b"lists/rims", self.curl("", "-X", 'LIST "" "lists/*"'))

    def test_a_large_message_comes_back_as_it_went(self):
        text = crlf(message(1, size=5_000_000))
        with open(self.path("one"), "wb") as f:
            f.write(text)
        self.curl("INBOX", "-T", self.path("one"))
        self.assertEqual(self.curl("INBOX;UID=1"), text)

    def test_is_told_of_a_wrong_password(self):
        self.curl("", "-u", "foo:wrong", expect=67)


three_ways(globals(), _Curl)
del _Curl

if __name__ == "__main__":
    unittest.main()
