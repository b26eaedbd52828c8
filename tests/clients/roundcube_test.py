"""Roundcube's IMAP library against the real suite (roundcube.php): sort, thread, search, parts, QRESYNC"""

import base64
import json
import os
import shutil
import subprocess
import unittest

from tests.clients.support import ClientTest, crlf, digest, message, negotiated, page_example, three_ways
from tests.system.harness import wait_for

DIRECTORY = os.environ.get("RIMS_ROUNDCUBE", "/usr/share/roundcube/program/lib/Roundcube")
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "roundcube.php")
BYTES = bytes(range(256)) * 3


def with_attachment():
    return (b"Subject: Re: message 6\r\nFrom: a@example.org\r\nReferences: <6.clients@example.org>\r\n"
            b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            b"--b\r\nContent-Type: text/plain\r\n\r\nwords\r\n"
            b"--b\r\nContent-Type: application/octet-stream; name=\"x\"\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(BYTES).replace(b"\n", b"\r\n")
            + b"--b--\r\n")


@unittest.skipUnless(shutil.which("php"), "php is not installed")
@unittest.skipUnless(os.path.exists(f"{DIRECTORY}/rcube_imap_generic.php"), "Roundcube is not installed")
class _Roundcube(ClientTest):
    CONFIGURATION = "quota:\n  storage: 100M\n"

    def calls(self):
        """What roundcube.php got, and what was said."""
        for number in range(1, 7):
            self.suite.deliver(message(number))
        self.suite.deliver(with_attachment())
        security = {None: "none", "starttls": "tls", "tls": "ssl"}[self.SECURITY]
        done = subprocess.run(["php", SCRIPT, DIRECTORY, str(self.port), security, self.suite.cert],
                              capture_output=True, timeout=60, check=False)
        said = done.stderr.decode("utf-8", "replace")
        self.assertEqual(done.returncode, 0, said)
        return json.loads(done.stdout), said

    def test_calls_of_the_webmail(self):
        told, said = self.calls()
        roles = {"Archive", "Drafts", "Junk", "Sent", "Trash"}
        self.assertEqual(told.pop("namespace"), {"personal": [["", "/"]], "other": None, "shared": None})
        self.assertEqual(set(told.pop("subscribed")), roles | {"INBOX"})
        self.assertEqual(set(told.pop("roles")), roles)
        options = told.pop("options")
        for role in roles:
            self.assertIn("\\" + role, options[role])
        known = told.pop("known")
        self.assertEqual((known["EXISTS"], known["UIDNEXT"], known["READ-WRITE"]), (7, 8, True))
        self.assertEqual(base64.b64decode(told.pop("part")), BYTES)
        self.assertEqual(told.pop("structure")[:2], ["application", "octet-stream"])
        if "metadata" in told:
            self.assertEqual(told.pop("metadata"), [True, {"INBOX": {"/private/comment": 'a "note"'}}])
        quota = told.pop("quota")
        self.assertEqual((quota["total"], quota["percent"] < 5), (102400, True))
        self.assertEqual(told, {
            "enabled": ["QRESYNC"], "created": True, "a role once more": False, "select": True,
            "sort": ["1", "2", "4", "5", "6", "7"], "reverse": ["1", "2", "3", "4", "5", "6", "7"],
            "thread": {"1": [], "2": [], "3": [], "4": [], "5": [], "6": {"7": []}},
            "search": [7, 1, 7, "1:7"], "text": ["1", "2", "3", "4", "5", "6"],
            "headers": [[n, f"message {n}", len(crlf(message(n))), "text"] for n in (1, 2)],
            "flag": True, "unflag": True, "copied": True, "copyuid": ["2:3", "1:2"], "moved": True,
            "deleted": True, "appended": "1", "binary": "2",
            "status": {"MESSAGES": "2", "UIDNEXT": "3", "UNSEEN": "1", "SIZE": "133"},
            "unseen": 5, "count": 5, "renamed": True, "vanished": "3", "changed": [["1", ["\\Answered"]]],
            "changed since": [[1, ["ANSWERED"]]],
        })
        far = {d: flags for flags, d in self.everything().values()}
        self.assertEqual(far[digest(message(1))], {"\\Answered"})
        self.assertEqual(far[digest(message(2))], {"\\Flagged"})
        self.assertEqual(len(far), 4)
        self.assertIn(digest(message(4)), {d for _, d in self.everything("Archive").values()})
        for part in ("RETURN (COUNT MIN MAX ALL) UNSEEN", "(BINARY.PEEK[2])", "NO [USEATTR]",
                     "APPEND Drafts () ~{96}"):
            self.assertIn(part, said)
        self.assert_page("Roundcube")


class RoundcubeWithoutQresyncTest(_Roundcube):
    """It says by ID what it is only after it was told of QRESYNC, and cannot enable it all the same."""
    CONFIGURATION = page_example()

    def test_calls_of_the_webmail(self):
        told, said = self.calls()
        self.assertIn(" C: A0006 ENABLE QRESYNC", said)
        self.assertFalse(told["enabled"])
        self.assertTrue(told["moved"])
        wait_for(lambda: "client \"Roundcube" in self.suite.log_text(), 20, "a session has ended")
        self.assertEqual(negotiated(self.suite.log_text(), self.suite.tags)[1], set())


three_ways(globals(), _Roundcube)
del _Roundcube

if __name__ == "__main__":
    unittest.main()
