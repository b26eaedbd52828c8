"""UTF8=ACCEPT (RFC 9755) with the real suite: user names, mailbox names and headers beyond ASCII"""
# time limit: 120 s

import imaplib
import unicodedata
import unittest

from tests.system.harness import Suite

USER, PASSWORD = "k\u00e4the", "gr\u00fcn"
MESSAGE = "From: <\u7528\u6237@\u4f8b\u3048.jp>\r\nSubject: \u00fcber\r\n\r\nx\r\n".encode()


class Utf8(unittest.TestCase):
    def client(self, suite, user):
        imap = imaplib.IMAP4("127.0.0.1", suite.imap_port, timeout=30)
        self.addCleanup(imap.shutdown)
        # RFC 9755 §5: LOGIN is not extended; AUTHENTICATE takes UTF-8.
        self.assertEqual(imap.authenticate("PLAIN", lambda _: f"\0{user}\0{PASSWORD}".encode())[0], "OK")
        return imap

    def test_names_and_headers(self):
        suite = Suite(users={USER: PASSWORD}, tls=False)
        self.addCleanup(suite.close)
        with suite.start():
            suite.deliver(MESSAGE, user="K\u00c4THE@example.org")
            new = self.client(suite, unicodedata.normalize("NFD", USER.upper()))
            old = self.client(suite, USER)
            new._get_capabilities()  # imaplib has those of before the login
            self.assertIn("UTF8=ACCEPT", new.capabilities)
            self.assertEqual(new.enable("UTF8=ACCEPT")[0], "OK")
            self.assertEqual(new.create('"Entw\u00fcrfe"')[0], "OK")
            self.assertEqual(new.list('""', '"Entw*"')[1],
                             ['(\\HasNoChildren) "/" "Entw\u00fcrfe"'.encode()])
            self.assertEqual(old.list('""', '"Entw*"')[1], [b'(\\HasNoChildren) "/" Entw&APw-rfe'])
            self.assertEqual(new.select('"Entw\u00fcrfe"')[0], "OK")
            for imap in (new, old):
                self.assertEqual(imap.select("INBOX")[1], [b"1"])
                self.assertEqual(imap.fetch("1", "(BODY.PEEK[])")[1][0][1], MESSAGE)
            self.assertEqual(new.search(None, '(SUBJECT "\u00dcBER")')[1], [b"1"])
            with self.assertRaisesRegex(imaplib.IMAP4.error, "no CHARSET"):
                new._simple_command("SEARCH", "CHARSET", "UTF-8", "ALL")


if __name__ == "__main__":
    unittest.main()
