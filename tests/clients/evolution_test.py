"""Evolution's mail library against the real suite (evolution.py): read, mark, move, draft, news, QRESYNC"""

import json
import os
import re
import subprocess
import unittest

from tests.clients.support import ClientTest, digest, message, three_ways
from tests.system.harness import wait_for

PYTHON = "/usr/bin/python3"  # Debian's own, which has GObject
THERE = os.path.exists(PYTHON) and subprocess.run(
    [PYTHON, "-c", "import gi; gi.require_version('Camel', '1.2'); from gi.repository import Camel"],
    capture_output=True, check=False).returncode == 0 and \
    os.path.exists("/usr/lib/evolution-data-server/camel-providers/libcamelimapx.so")
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "evolution.py")


@unittest.skipUnless(THERE, "evolution-data-server, gir1.2-camel-1.2 or python3-gi is not installed")
class _Evolution(ClientTest):
    def start(self, run):
        with open(self.path("said"), "ab") as said:
            child = subprocess.Popen(
                [PYTHON, SCRIPT, self.path("evolution"), str(self.port), self.SECURITY or "none", run],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True,
                env={**os.environ, "HOME": self.home, "GIO_USE_VFS": "local", "CAMEL_DEBUG": "imapx:io",
                     "GSETTINGS_BACKEND": "memory", "XDG_RUNTIME_DIR": self.home})
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def answers(self, child, last=None):
        """What it says, until it ends or says `last`."""
        told = {}
        for line in child.stdout:
            if not line.startswith('["'):  # it tells what it sends and gets
                with open(self.path("said"), "a", encoding="utf-8") as said:
                    said.write(line)
                continue
            name, value = json.loads(line)
            told[name] = value
            if name == last:
                return told
        with open(self.path("said"), encoding="utf-8", errors="replace") as f:
            self.assertEqual(child.wait(30), 0, f.read()[-4000:])
        return told

    def test_reads_marks_moves_deletes_drafts_and_hears_of_news(self):
        for number in range(1, 8):
            self.suite.deliver(message(number))
        first = self.start("first")
        told = self.answers(first, "waiting")
        self.assertEqual(told["inbox"], {f"message {number}": [] for number in range(1, 8)})
        self.assertEqual(told["folders"], ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"])
        # By SPECIAL-USE; Evolution's assistant for new accounts fills in these.
        self.assertEqual({value for value in told["roles"].values() if value != "true"},
                         {"Archive", "Drafts", "Junk", "Sent", "Trash"})
        self.assertIn("Äpfel, 日本語.", told["body"])
        self.assertTrue(told["moved"] and told["drafted"])
        far = lambda mailbox="INBOX": {d: flags for flags, d in self.everything(mailbox).values()}
        self.assertEqual(far(), {digest(message(number)): frozenset(flags) for number, flags in
                                 ((1, []), (2, ["\\Flagged"]), (5, []), (6, ["\\Seen"]), (7, []))})
        self.assertEqual(set(far("Archive")), {digest(message(3))})
        self.assertEqual(set(far("Drafts").values()), {frozenset(["\\Draft"])})

        waits = r" A\d+ (IDLE|NOTIFY)$"
        wait_for(lambda: re.search(waits, self.suite.log_text(), re.M), 30, "it waits")
        self.change_as_another(flagged=5, gone=7)
        self.assertEqual(self.answers(first, "changed")["changed"],
                         {"message 1": [], "message 2": ["FLAGGED"], "message 5": ["FLAGGED"],
                          "message 6": ["SEEN"]})
        self.suite.deliver(message(8))
        self.assertIn("message 8", self.answers(first)["news"])

        self.suite.deliver(message(9))
        self.change_as_another(flagged=8, gone=1)
        told = self.answers(self.start("again"))
        self.assertEqual(told["inbox"], {"message 2": ["FLAGGED"], "message 5": ["FLAGGED"],
                                         "message 6": ["SEEN"], "message 8": ["FLAGGED"], "message 9": []})
        self.assertEqual(told["found"], ["5"])
        self.assert_page("Evolution")
        with open(self.path("said"), encoding="utf-8") as f:
            said = f.read()
        self.assertTrue(re.search(r"SELECT INBOX \(QRESYNC \(\d+ \d+ 1:7\)\)", said))
        self.assertTrue(re.search(r"RETURN \(CHILDREN SUBSCRIBED STATUS \(.*\) SPECIAL-USE\)", said))


three_ways(globals(), _Evolution)
del _Evolution

if __name__ == "__main__":
    unittest.main()
