"""mutt and NeoMutt against the real suite, driven by pushed keys on a terminal of their own: read, flag, file,
answer's mark, search, delete, also compressed; NeoMutt with QRESYNC comes back to a mailbox that others have changed"""

import os
import pty
import select
import signal
import subprocess
import time
import unittest

from tests.clients.support import ClientTest, digest, message, page_example, three_ways

KEYS = (
    "<display-message><exit>"                          # message 1 becomes \Seen
    "<jump>2<enter><flag-message>"                     # 2 becomes \Flagged
    "<jump>3<enter><copy-message>=Archive<enter>"      # 3 is copied
    "<jump>4<enter><save-message>=lists<enter>"        # 4 is moved
    "<search>~s\\ 'message\\ 5'<enter><pipe-message>cat\\ >{out}<enter>"
    "<jump>6<enter><delete-message>"
    "<sync-mailbox><change-folder>=Archive<enter><quit>"
)


class _Mutt(ClientTest):
    TOOL = "mutt"
    PAGE = "mutt"
    SETTINGS = ""

    def mutt(self, keys):
        scheme = "imaps" if self.SECURITY == "tls" else "imap"
        with open(self.path("muttrc"), "w", encoding="utf-8") as f:
            f.write(f"set folder={scheme}://foo@localhost:{self.port}/\n"
                    "set spoolfile=+INBOX\nset imap_user=foo imap_pass=bar\n"
                    f"set ssl_force_tls={'yes' if self.SECURITY else 'no'}\n"
                    f"set ssl_starttls={'yes' if self.SECURITY else 'no'}\n"
                    f"set certificate_file={self.suite.cert}\n"
                    "set sleep_time=0 confirmappend=no confirmcreate=no delete=yes quit=yes\n"
                    "set mark_old=no wait_key=no beep=no pipe_decode=no copy=no save_empty=yes\n"
                    "set pager_index_lines=0 timeout=5 mail_check=0 net_inc=0 read_inc=0\n"
                    f"set tmpdir={self.home} postponed={self.home}/postponed\n"
                    f"{self.SETTINGS.format(home=self.home)}push \"{keys}\"\n")
        master, slave = pty.openpty()
        child = subprocess.Popen(
            [self.TOOL, "-n", "-F", self.path("muttrc")], stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
            env={"HOME": self.home, "TERM": "xterm", "LINES": "40", "COLUMNS": "120",
                 "LANG": "C.UTF-8", "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
        os.close(slave)
        seen, end = b"", time.monotonic() + 40
        try:
            while child.poll() is None and time.monotonic() < end:
                if select.select([master], [], [], 0.1)[0]:
                    try:
                        seen += os.read(master, 65536)
                    except OSError:  # mutt closed the terminal
                        break
            try:
                status = child.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                self.fail(f"{self.TOOL} did not come to its end; its screen:\n"
                          + seen[-4000:].decode("utf-8", "replace"))
        finally:
            os.close(master)
        self.assertEqual(status, 0, seen[-4000:].decode("utf-8", "replace"))

    def test_reads_flags_files_and_deletes(self):
        for number in range(1, 8):
            self.suite.deliver(message(number))
        with self.suite.login("foo") as imap:
            self.assertEqual(imap.create("lists")[0], "OK")
        out = self.path("piped")
        self.mutt(KEYS.format(out=out))

        inbox = {d: f for f, d in self.everything().values()}
        of = lambda number: digest(message(number))
        self.assertEqual(set(inbox), {of(n) for n in (1, 2, 3, 5, 7)})
        self.assertIn("\\Seen", inbox[of(1)])
        self.assertIn("\\Flagged", inbox[of(2)])
        self.assertNotIn("\\Seen", inbox[of(7)])
        self.assertEqual([d for _, d in self.everything("Archive").values()], [of(3)])
        self.assertEqual([d for _, d in self.everything("lists").values()], [of(4)])
        with open(out, "rb") as f:
            self.assertEqual(digest(f.read()), of(5))
        self.assert_page(self.PAGE)


class _NeoMutt(_Mutt):
    TOOL = "neomutt"
    PAGE = "NeoMutt"
    SETTINGS = "set imap_condstore=yes imap_qresync=yes header_cache={home}/cache debug_level=2 debug_file={home}/log\n"

    def test_comes_back_by_qresync(self):
        for number in range(1, 8):
            self.suite.deliver(message(number))
        self.mutt("<sync-mailbox><quit>")  # it keeps a cache
        with self.suite.login("foo") as imap:
            imap.select("INBOX")
            imap.store("2,6", "+FLAGS.SILENT", "\\Deleted")
            imap.expunge()
            imap.store("3", "+FLAGS.SILENT", "\\Flagged")
        self.suite.deliver(message(8))
        out = self.path("piped")
        # The fifth of 1 3 4 5 7 8 is 7; the third, which is flagged, is deleted.
        self.mutt(f"<jump>5<enter><pipe-message>cat\\ >{out}<enter>"
                  "<tag-pattern>~F<enter><tag-prefix><delete-message><sync-mailbox><quit>")
        with open(self.path("log0"), encoding="utf-8", errors="replace") as f:
            said = f.read()
        self.assertIn("ENABLE QRESYNC", said)
        self.assertRegex(said, r"UID FETCH 1:7 \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)")
        self.assertIn("Handling VANISHED", said)
        with open(out, "rb") as f:
            self.assertEqual(digest(f.read()), digest(message(7)))
        self.assertEqual({d for _, d in self.everything().values()},
                         {digest(message(n)) for n in (1, 3, 5, 7, 8)})


class _MuttDeflate(_Mutt):
    PAGE = "mutt, imap_deflate"
    SETTINGS = "set imap_deflate=yes\n"  # Debian's NeoMutt is built without it

    def test_reads_flags_files_and_deletes(self):
        super().test_reads_flags_files_and_deletes()
        self.assertRegex(self.suite.log_text(), r"a\d+ COMPRESS\n")


class MuttWithoutDeflateTest(_Mutt):
    """It would compress, but is not told that it can."""
    CONFIGURATION = page_example()
    SETTINGS = _MuttDeflate.SETTINGS


three_ways(globals(), _Mutt)
three_ways(globals(), _NeoMutt)
three_ways(globals(), _MuttDeflate)
del _Mutt, _NeoMutt, _MuttDeflate

if __name__ == "__main__":
    unittest.main()
