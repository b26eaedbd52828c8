"""Settings of the storage: what they do to the files of a running suite"""

import os
import unittest

from tests.crash.lossy import journals
from tests.system.harness import Suite, wait_for

MESSAGE = b"Subject: large\n\n" + b"x" * 70 * 1024 + b"\n"


class Storage(unittest.TestCase):
    def test_a_segment_is_as_large_as_said(self):
        with Suite() as suite:
            for _ in range(3):
                suite.deliver(MESSAGE)
            self.assertEqual(len(journals(suite.mail)), 1)
        with Suite(settings="storage:\n  segment_size: 100K\n") as suite:
            for _ in range(3):
                suite.deliver(MESSAGE)
            self.assertEqual(len(journals(suite.mail)), 3)

    def test_the_room_of_expunged_messages_is_given_back(self):
        with Suite(settings="storage:\n  segment_size: 100K\n  expunge_retention: 0\n") as suite:
            for _ in range(3):
                suite.deliver(MESSAGE)
            with suite.login() as imap:
                imap.select("INBOX")
                imap.store("1:2", "+FLAGS", r"(\Deleted)")
                imap.expunge()
            sealed = journals(suite.mail)[:-1]
            wait_for(lambda: all(os.stat(path).st_size < 10_000 for path in sealed), 30, "the segments shrink")
            with suite.login() as imap:
                self.assertEqual(imap.select("INBOX")[1], [b"1"])
                self.assertIn(b"x" * 1000, imap.fetch("1", "(BODY[])")[1][0][1])


if __name__ == "__main__":
    unittest.main()
