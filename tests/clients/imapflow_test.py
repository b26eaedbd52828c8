"""ImapFlow against the real suite (imapflow.cjs), where RIMS_IMAPFLOW=.../node_modules/imapflow says"""

import json
import os
import shutil
import subprocess
import unittest

from tests.clients.support import ClientTest, crlf, digest, message, three_ways

MODULE = os.environ.get("RIMS_IMAPFLOW", "/usr/share/nodejs/imapflow")
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "imapflow.cjs")


@unittest.skipUnless(shutil.which("node") and os.path.isdir(MODULE), "ImapFlow is not installed")
class _ImapFlow(ClientTest):
    def test_calls_of_a_program(self):
        for number in range(1, 8):
            self.suite.deliver(message(number))
        with open(self.path("said"), "wb") as said:
            child = subprocess.Popen(
                ["node", SCRIPT, MODULE, str(self.port), self.SECURITY or "none", self.suite.cert],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True)
        told = {}
        with child:
            for line in child.stdout:
                name, value = json.loads(line)
                told[name] = value
                if name == "waiting":
                    self.suite.deliver(message(8))
        with open(self.path("said"), encoding="utf-8", errors="replace") as f:
            said = f.read()
        self.assertEqual(child.returncode, 0, said[-4000:])
        self.assertEqual(set(told.pop("enabled")), {"CONDSTORE", "IMAP4REV2", "QRESYNC", "UTF8=ACCEPT"})
        self.assertEqual({(path, role) for path, role, _ in told.pop("boxes")}, {
            ("INBOX", "\\Inbox"),
            *((role, "\\" + role) for role in ("Archive", "Drafts", "Junk", "Sent", "Trash"))})
        self.assertEqual(told.pop("downloaded").encode(), crlf(message(6)))
        self.assertEqual(told, {
            "mailbox": [7, 8],
            "fetched": [[n, f"message {n}", "text/plain", len(crlf(message(n))), "string", "bigint"]
                        for n in (1, 2)],
            "flagged": True, "unseen": [1, 2, 3, 4, 5, 6, 7], "moved": {"3": 1}, "copied": {"6": 2},
            "deleted": True, "appended": 1, "quota": True,
            "status": {"path": "Drafts", "messages": 1, "uidNext": 2, "unseen": 1},
            "created": "Listen/Grüße", "gone": "Listen/Grüße", "waiting": None, "news": 6,
            "vanished": [3, 4]})
        self.assertEqual({d for _, d in self.everything().values()},
                         {digest(message(n)) for n in (1, 2, 5, 6, 7, 8)})
        self.assertEqual({d for _, d in self.everything("Archive").values()},
                         {digest(message(n)) for n in (3, 6)})
        self.assert_page("ImapFlow")


three_ways(globals(), _ImapFlow)
del _ImapFlow

if __name__ == "__main__":
    unittest.main()
