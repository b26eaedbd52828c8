"""METADATA (RFC 5464): the same commands to RIMS and to Dovecot, two sessions each

The answers must be the same, but for texts, the case of entries, the order of them, and whether a value is quoted or a literal.
Where they are not, DIFFERENT has both and the sentence of the RFC. Entries without a component behind /private are left out:
Dovecot's index breaks by them.
"""

import re
import unittest

from tests.system import side_by_side

SETTINGS = "mail_attribute_dict = file:HOME/attributes\nprotocol imap {\n  imap_metadata = yes\n}\n"

# (session, command)
STEPS = [
    (1, "GETMETADATA INBOX /private/comment"),
    (1, 'SETMETADATA INBOX (/private/comment "My own" /shared/comment "Shared")'),
    (1, "GETMETADATA INBOX (/shared/comment /private/comment)"),
    (2, "GETMETADATA INBOX (/shared/comment /private/comment /private/none)"),
    (1, "GETMETADATA (DEPTH 0) INBOX /private/comment"),
    (1, "GETMETADATA (DEPTH 1) INBOX /private"),
    (1, "GETMETADATA (DEPTH infinity) INBOX (/private /shared)"),
    (1, "GETMETADATA (MAXSIZE 3) INBOX /private/comment"),
    (1, "GETMETADATA (MAXSIZE 6) INBOX (/private/comment /shared/comment)"),
    (1, "GETMETADATA (MAXSIZE 3 DEPTH 1) INBOX (/private/comment /shared)"),
    (1, "SETMETADATA INBOX (/private/comment NIL)"),
    (1, "GETMETADATA INBOX /private/comment"),
    (1, "GETMETADATA (DEPTH 1) INBOX /private"),
    (1, 'SETMETADATA INBOX (/private/comment "")'),
    (1, "GETMETADATA INBOX /private/comment"),
    (1, 'SETMETADATA INBOX (/Private/Comment "case")'),
    (1, "GETMETADATA INBOX (/PRIVATE/comment)"),
    (1, "SETMETADATA INBOX (/private/lines {9+}\r\none\r\ntwo\r\n)"),
    (1, "GETMETADATA INBOX /private/lines"),
    (1, 'SETMETADATA INBOX (/private/a/b "1" /private/a/b/c "2" /private/a/b/c/d "3" /private/ab "4")'),
    (1, "GETMETADATA (DEPTH 0) INBOX /private/a/b"),
    (1, "GETMETADATA (DEPTH 1) INBOX /private/a/b"),
    (1, "GETMETADATA (DEPTH infinity) INBOX /private/a"),
    (1, 'SETMETADATA "" (/private/comment "account")'),
    (2, 'GETMETADATA "" /private/comment'),
    (1, 'GETMETADATA "" (/shared/admin /shared/comment)'),
    (1, 'SETMETADATA "" (/shared/admin "x")'),
    (1, "GETMETADATA Nowhere /private/comment"),
    (1, 'SETMETADATA Nowhere (/private/comment "x")'),
    (1, "GETMETADATA INBOX /other/comment"),
    (1, "GETMETADATA INBOX comment"),
    (1, "GETMETADATA INBOX /private/a*"),
    (1, 'SETMETADATA INBOX (/private/a* "x")'),
    (1, 'SETMETADATA INBOX (/private/a//b "x")'),
    (1, 'SETMETADATA INBOX (/private/a/ "x")'),
    (1, "SETMETADATA INBOX ()"),
    (1, "SETMETADATA INBOX (/private/a)"),
    (1, "GETMETADATA INBOX ()"),
    (1, "GETMETADATA (FOO 1) INBOX /private/a"),
    (1, "GETMETADATA (DEPTH 2) INBOX /private/a"),
    (1, "GETMETADATA INBOX (DEPTH 1) /private/a"),
    (1, 'SETMETADATA Saved (/private/comment "saved")'),
    (2, "RENAME Saved Other"),
    (1, "GETMETADATA Other /private/comment"),
    (2, "DELETE Other"),
    (2, "CREATE Other"),
    (1, "GETMETADATA Other /private/comment"),
    (1, "EXAMINE INBOX"),
    (1, 'SETMETADATA INBOX (/private/comment "read-only")'),
    (1, "GETMETADATA INBOX /private/comment"),
]

# step: (RIMS, Dovecot, why)
NONE = 'RFC 5464 §5: entries = entry / "(" entry *(SP entry) ")" and entry-values alike: there is at least one'
GONE = 'RFC 5530 §3, NONEXISTENT: "The operation attempts to delete something that does not exist"; Dovecot gives no code'
DIFFERENT = {
    12: (["METADATA INBOX /private NIL", "t OK"], ["t OK"], 'RFC 5464 §4.2: "Responses: required METADATA response"'),
    26: (["t NO [NOPERM]"], ["t NO [CANNOT]"],
         'RFC 5530 §3, NOPERM: "does not permit this user to carry out an operation"; another user, the administrator, can'),
    27: (["t NO [NONEXISTENT]"], ["t NO"], GONE),
    28: (["t NO [NONEXISTENT]"], ["t NO"], GONE),
    35: (["t BAD"], ["t OK"], NONE),
    37: (["t BAD"], ["t OK"], NONE),
    40: (['METADATA INBOX /private/a/b "1"', "t OK"], ["t BAD"],
         "RFC 5464 §4.2.2 has options behind the mailbox in its example, §5 before it; both are understood here"),
}


def plain(line):
    """What is compared of a line; None: nothing."""
    if match := re.match(r"\* METADATA (\S+) \((.*)\)$", line, re.S):
        entries, rest = [], match[2]
        while found := re.match(r" ?(/\S+) (NIL|\"[^\"]*\"|\{(\d+)\}\r\n)", rest):
            name, value, size = found.groups()
            rest = rest[found.end():]
            if size:
                value, rest = f'"{rest[:int(size)]}"', rest[int(size):]
            entries.append(f"{name.lower()} {value}")
        return f"METADATA {match[1].strip(chr(34))} " + ", ".join(sorted(entries)) + rest
    if match := re.match(r"t (OK|NO|BAD)( \[(?!READ-|MAILBOXID)[^\]]*\])?", line):
        return match[0]
    return None


@side_by_side.NEEDS_DOVECOT
class Compare(side_by_side.TestCase):
    def test_answers_are_the_same_or_explained(self):
        ours, theirs = self.rims([]), self.dovecot([], SETTINGS)
        for number, (session, command) in enumerate(STEPS):
            a, b = ([p for line in peers[session].ask(command) if (p := plain(line))] for peers in (ours, theirs))
            with self.subTest(step=number, session=session, command=command):
                if number in DIFFERENT:
                    self.assertEqual(DIFFERENT[number][:2], (a, b))
                else:
                    self.assertEqual(a, b)


if __name__ == "__main__":
    unittest.main()
