"""Python's imaplib against the real suite: every command that imaplib has"""

import imaplib
import time
import unittest

from tests.clients.support import ClientTest, crlf, digest, everything, message, three_ways


class _Imaplib(ClientTest):
    def setUp(self):
        super().setUp()
        self.imap = self.stack.enter_context(self.suite.login("foo", security=self.SECURITY))

    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def fill(self, count):
        for number in range(1, count + 1):
            self.ok(self.imap.append("INBOX", None, None, crlf(message(number))))
        self.ok(self.imap.select("INBOX"))

    def uids(self, mailbox="INBOX"):
        return sorted(everything(self.imap, mailbox))

    def test_capability_noop_check_id(self):
        told = self.ok(self.imap.capability())[0].split()
        self.assertIn(b"IMAP4rev1", told)
        self.ok(self.imap.noop())
        self.ok(self.imap.select("INBOX"))
        self.ok(self.imap.check())
        self.ok(self.imap.namespace())
        self.ok(self.imap.xatom("ID", 'NIL'))
        self.assertEqual(self.imap.response("NAMESPACE")[0], "NAMESPACE")

    def test_login_authenticate_and_logout(self):
        port = self.suite.imap_port
        with imaplib.IMAP4("127.0.0.1", port, timeout=30) as imap:
            with self.assertRaises(imaplib.IMAP4.error):
                imap.login("foo", "wrong")
            self.assertEqual(imap.login("foo", "bar")[0], "OK")
            self.assertEqual(imap.logout()[0], "BYE")
        with imaplib.IMAP4("127.0.0.1", port, timeout=30) as imap:
            self.ok(imap.authenticate("PLAIN", lambda _: b"\0foo\0bar"))
        with imaplib.IMAP4("127.0.0.1", port, timeout=30) as imap:
            self.assertIn("AUTH=CRAM-MD5", imap.capabilities)
            self.ok(imap.login_cram_md5("foo", "bar"))
        with imaplib.IMAP4("127.0.0.1", port, timeout=30) as imap:
            self.assertIn("STARTTLS", imap.capabilities)
            self.ok(imap.starttls(self.suite.tls_context()))
            self.assertNotIn("STARTTLS", imap.capabilities)
            self.ok(imap.login("foo", "bar"))

    def test_create_delete_rename_list_lsub_subscribe_status(self):
        imap = self.imap
        self.ok(imap.create("a"))
        self.ok(imap.create("a/b/c"))
        self.assertEqual(imap.create("a")[0], "NO")
        names = lambda data: {line.decode().rsplit(" ", 1)[1].strip('"') for line in data if line}
        self.assertEqual(names(self.ok(imap.list('""', '"a*"'))), {"a", "a/b", "a/b/c"})
        self.ok(imap.rename("a", "z"))
        self.assertEqual(names(self.ok(imap.list('""', '"z*"'))), {"z", "z/b", "z/b/c"})
        self.ok(imap.subscribe("z/b"))
        self.assertIn("z/b", names(self.ok(imap.lsub('""', '"*"'))))
        self.ok(imap.unsubscribe("z/b"))
        self.assertNotIn("z/b", names(self.ok(imap.lsub('""', '"*"'))))
        self.ok(imap.append("z", r"(\Seen)", imaplib.Time2Internaldate(time.time()),
                            crlf(message(1))))
        told = self.ok(imap.status("z", "(MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)"))[0]
        self.assertIn(b"MESSAGES 1", told)
        self.assertIn(b"UNSEEN 0", told)
        self.ok(imap.delete("z/b/c"))
        self.assertEqual(imap.delete("z/b/c")[0], "NO")
        self.assertEqual(imap.select("nowhere")[0], "NO")

    def test_append_select_examine_fetch(self):
        imap = self.imap
        date = '"02-Nov-2026 10:11:12 +0100"'
        self.ok(imap.append("INBOX", r"(\Flagged keyword)", date, crlf(message(7))))
        self.assertEqual(self.ok(imap.select("INBOX", readonly=True)), [b"1"])
        data = self.ok(imap.fetch("1", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE "
                                       "BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODY.PEEK[TEXT]<0.4>)"))
        text = b"".join(b" ".join(p) if isinstance(p, tuple) else p for p in data)
        for part in (b"UID 1", b"\\Flagged", b"keyword", b"RFC822.SIZE %d" % len(crlf(message(7))), b'"message 7"', b'"sender 7"',
                     b'"text" "plain"', b"Subject: message 7\r\n", b"This"):
            self.assertIn(part.lower(), text.lower())
        self.assertEqual(imaplib.Internaldate2tuple(text), imaplib.Internaldate2tuple(
            b"INTERNALDATE " + date.encode()))
        with self.assertRaises(imaplib.IMAP4.readonly):
            imap.store("1", "+FLAGS", r"(\Seen)")
            imap.select("INBOX", readonly=False)
            imap.select("INBOX", readonly=True)
            imap.store("1", "+FLAGS", r"(\Seen)")
            raise imap.readonly("a read-only mailbox refused")
        self.ok(imap.select("INBOX"))
        body = self.ok(imap.fetch("1", "(RFC822)"))[0][1]
        self.assertEqual(body, crlf(message(7)))
        self.assertIn(b"\\Seen", self.ok(imap.fetch("1", "(FLAGS)"))[0])

    def test_store_copy_expunge_close_unselect(self):
        imap = self.imap
        self.fill(5)
        self.assertIn(b"\\Answered", self.ok(imap.store("2", "+FLAGS", r"(\Answered)"))[0])
        self.assertNotIn(b"\\Answered", self.ok(imap.store("2", "-FLAGS", r"(\Answered)"))[0])
        self.ok(imap.store("1:2", "FLAGS.SILENT", r"(\Deleted)"))
        self.ok(imap.copy("3:4", "Archive"))
        self.assertEqual(imap.copy("3:4", "nowhere")[0], "NO")
        self.assertIn(self.ok(imap.expunge()), ([b"1", b"1"], [b"2", b"1"]))
        self.assertEqual(self.uids(), [3, 4, 5])
        copied = everything(imap, "Archive")
        self.assertEqual({d for _, d in copied.values()},
                         {digest(message(3)), digest(message(4))})
        self.ok(imap.select("INBOX"))
        self.ok(imap.store("1", "+FLAGS", r"(\Deleted)"))
        self.ok(imap.close())
        self.assertEqual(self.uids(), [4, 5])
        self.ok(imap.select("INBOX"))
        self.ok(imap.store("1", "+FLAGS", r"(\Deleted)"))
        self.ok(imap.unselect())
        self.assertEqual(self.uids(), [4, 5])

    def test_search(self):
        imap = self.imap
        self.fill(4)
        self.ok(imap.store("2", "+FLAGS", r"(\Flagged)"))
        found = lambda *keys, charset=None: self.ok(imap.search(charset, *keys))[0]
        self.assertEqual(found("ALL"), b"1 2 3 4")
        self.assertEqual(found("FLAGGED"), b"2")
        self.assertEqual(found("SUBJECT", '"MESSAGE 3"'), b"3")
        self.assertEqual(found("NOT", "FROM", '"s4@"', "UID", "2:*"), b"2 3")
        self.assertEqual(found("OR", "1", "HEADER", "message-id", '"<4."'), b"1 4")
        self.assertEqual(found("LARGER", "100000"), b"")
        self.assertEqual(found("SINCE", "1-Jan-2020", "UNSEEN", "BODY", '"message 1"'), b"1")
        imap.literal = "日本語".encode()
        self.assertEqual(found("TEXT", charset="UTF-8"), b"1 2 3 4")
        self.assertEqual(imap.search("X-NONE", "ALL")[0], "NO")

    def test_uid(self):
        imap = self.imap
        self.fill(4)
        self.ok(imap.uid("STORE", "2", "+FLAGS", r"(\Deleted)"))
        self.ok(imap.uid("STORE", "3", "+FLAGS", r"(\Deleted)"))
        self.ok(imap.uid("EXPUNGE", "2"))
        self.assertEqual(self.uids(), [1, 3, 4])
        self.ok(imap.select("INBOX"))
        self.assertEqual(self.ok(imap.uid("SEARCH", "DELETED")), [b"3"])
        self.ok(imap.uid("COPY", "4", "Sent"))
        self.assertIn(b"UID 4", self.ok(imap.uid("FETCH", "4", "(FLAGS)"))[0])
        self.ok(imap.uid("FETCH", "999", "(FLAGS)"))

    def test_recent_and_news_from_another_session(self):
        imap = self.imap
        self.ok(imap.select("INBOX"))
        self.suite.deliver(message(1))
        self.ok(imap.noop())
        self.assertEqual(imap.response("EXISTS")[1][-1], b"1")
        self.assertEqual(self.ok(imap.recent())[-1], b"1")

    def test_what_is_not_offered_is_refused_and_the_session_lives(self):
        """ACL, QUOTA, SORT, THREAD, ANNOTATEMORE, PROXYAUTH, PARTIAL: only if announced."""
        imap = self.imap
        self.fill(1)
        offered = self.ok(imap.capability())[0].split()
        calls = [
            (b"ACL", lambda: imap.getacl("INBOX")), (b"ACL", lambda: imap.myrights("INBOX")),
            (b"ACL", lambda: imap.setacl("INBOX", "foo", "lr")),
            (b"ACL", lambda: imap.deleteacl("INBOX", "foo")),
            (b"QUOTA", lambda: imap.getquota("root")),
            (b"QUOTA", lambda: imap.getquotaroot("INBOX")),
            (b"QUOTA", lambda: imap.setquota("root", "(STORAGE 512)")),
            (b"SORT", lambda: imap.sort("(DATE)", "UTF-8", "ALL")),
            (b"THREAD=REFERENCES", lambda: imap.thread("REFERENCES", "UTF-8", "ALL")),
            (b"ANNOTATEMORE", lambda: imap.getannotation("INBOX", '"/comment"', '"value.priv"')),
            (b"ANNOTATEMORE",
             lambda: imap.setannotation("INBOX", '"/comment"', '("value.priv" "x")')),
            (b"X-NETSCAPE", lambda: imap.proxyauth("bar")),
            (b"X-PARTIAL", lambda: imap.partial("1", "RFC822", "1", "10")),
        ]
        for capability, call in calls:
            if capability in offered:
                continue
            with self.subTest(capability=capability):
                try:
                    self.assertEqual(call()[0], "NO")
                except imaplib.IMAP4.abort as lost:
                    self.fail(f"the session ended: {lost}")
                except imaplib.IMAP4.error:
                    pass  # BAD
                self.ok(imap.noop())
        self.assertEqual(self.uids(), [1])
        self.ok(imap.close())
        if b"ENABLE" in offered:
            imap._get_capabilities()  # else it knows what was offered before the login only
            self.ok(imap.enable("IMAP4rev1"))


three_ways(globals(), _Imaplib)
del _Imaplib

if __name__ == "__main__":
    unittest.main()
