"""Quotas of the configuration: what clients, the MTA and the administrator are told, and a reload"""
# time limit: 120 s

import unittest

from tests.system.harness import Suite, wait_for
from tests.system.tools_test import ctl, mail


class Quota(unittest.TestCase):
    def suite(self, settings):
        suite = Suite(tls=False, settings=settings, log_level="INFO")
        self.addCleanup(suite.close)
        return suite

    def change(self, suite, before, after):
        with open(suite.config, encoding="utf-8") as f:
            text = f.read()
        self.assertIn(before, text)
        with open(suite.config, "w", encoding="utf-8") as f:
            f.write(text.replace(before, after))
        ctl(suite, "reload")

    def test_a_full_account_defers_or_rejects(self):
        suite = self.suite("quota:\n  messages: 2\n  delivery: defer\n")
        with suite.start(), suite.login() as imap:
            for _ in range(2):
                suite.deliver(mail("x"))
            self.assertEqual(imap.getquotaroot("INBOX")[1],
                             [[b'INBOX "User quota"'], [b'"User quota" (MESSAGE 2 2)']])
            done = suite.deliver(mail("late"), check=False)
            self.assertEqual(done.returncode, 75)
            self.assertIn(b"over quota: you may have 2 messages", done.stderr)
            # For good: the code for "mailbox full" is what the MTA reads first.
            self.change(suite, "delivery: defer", "delivery: reject")
            wait_for(lambda: suite.deliver(mail("late"), check=False).returncode == 77, 10, "the reload")
            self.assertRegex(suite.deliver(mail("late"), check=False).stderr,
                             rb"^5\.2\.2 \d+ bytes: over quota: you may have 2 messages\n$")
            self.assertIn("quota.messages: the account has 2 messages of 2", suite.log_text())
            self.assertIn("quota: 2 messages of 2\n", ctl(suite, "mailbox", "status", "foo"))
            # A session that is open has the new quota, and can make room itself.
            self.change(suite, "messages: 2", "messages: 1")
            wait_for(lambda: b"MESSAGE 2 1" in imap.getquota('"User quota"')[1][0], 10, "the lower quota")
            imap.select("INBOX")
            self.assertEqual(imap.response("NO")[1], [None], "imaplib has no place for untagged NO")
            self.assertEqual(imap.append("INBOX", None, None, mail("x"))[0], "NO")
            imap.store("1:2", "+FLAGS", "(\\Deleted)")
            imap.expunge()
            suite.deliver(mail("late"))
            report = ctl(suite, "mailbox", "status", "--json", "foo")
            self.assertEqual(report["usage"], {"messages": 1, "bytes": len(mail("late")), "mailboxes": 6})
            self.assertEqual(report["quota"], {"messages": 1, "bytes": 0, "mailboxes": 0})

    def test_an_administrator_is_not_bound(self):
        suite = self.suite("quota:\n  storage: 100\n")
        with suite.start():
            suite.stop()
            told = ctl(suite, "check")
            self.assertRegex(told, r":\d+:\d+: quota.storage: a message of more than 100 bytes will never be stored")
            suite.start()
            with suite.login() as imap:
                self.assertEqual(imap.append("INBOX", None, None, mail("x"))[0], "OK")
                imap.select("INBOX")
                imap.store("1", "+FLAGS", "(\\Deleted)")
                imap.expunge()
                self.assertEqual(imap.append("INBOX", None, None, mail("y" * 40))[0], "OK")
            # What was expunged is brought back, though it is more than the quota allows.
            self.change(suite, "storage: 100", "storage: 1")
            self.assertIn("1 message is back", ctl(suite, "undelete", "foo"))
            ctl(suite, "check", "foo")


if __name__ == "__main__":
    unittest.main()
