"""CONDSTORE, QRESYNC, MOVE and ENABLE (RFC 5161, 6851, 7162): the same commands to RIMS and to Dovecot, two sessions each

The answers must be the same, but for texts, \\Recent, the values of MODSEQs, and the order of lines and items. Where they are
not, DIFFERENT has both and the sentence of the RFC.
"""

import re
import unittest

from tests.system import side_by_side

MESSAGES = [f"Subject: message {n}\r\n\r\nbody {n}\r\n".encode() for n in range(1, 8)]

# (session, command); {v} and {m} are the UIDVALIDITY and HIGHESTMODSEQ that the last SELECT has told, {m} to session 1.
STEPS = [
    (1, "SELECT INBOX"),
    (1, "STORE 1 +FLAGS (\\Seen)"),
    (1, "STATUS INBOX (HIGHESTMODSEQ)"),
    (1, "STORE 1 -FLAGS (\\Seen)"),
    (1, "STORE 1 +FLAGS.SILENT (\\Seen)"),
    (1, "FETCH 1:2 (MODSEQ)"),
    (1, "FETCH 2 BODY[]"),
    (1, "SELECT INBOX (CONDSTORE)"),
    (1, "FETCH 1:7 FLAGS (CHANGEDSINCE {m})"),
    (1, "STORE 3 (UNCHANGEDSINCE {m}) +FLAGS.SILENT (\\Flagged)"),
    (1, "STORE 3:4 (UNCHANGEDSINCE {m}) +FLAGS.SILENT (\\Answered)"),
    (1, "UID STORE 3:4,99 (UNCHANGEDSINCE {m}) -FLAGS (\\Answered)"),
    (1, "STORE 5 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Flagged)"),
    (1, "SEARCH MODSEQ {m}"),
    (1, "UID SEARCH MODSEQ \"/flags/\\\\flagged\" all {m} FLAGGED"),
    (1, "SEARCH MODSEQ 999999999999"),
    (1, "FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)"),
    (1, "UID FETCH 1:* (FLAGS) (CHANGEDSINCE {m} VANISHED)"),
    (2, "SELECT INBOX (QRESYNC ({v} {m}))"),
    (2, "ENABLE QRESYNC X-UNKNOWN"),
    (2, "ENABLE CONDSTORE"),
    (2, "SELECT INBOX"),
    (2, "EXAMINE INBOX"),
    (2, "SELECT INBOX"),
    (1, "NOOP"),
    (1, "STORE 2,6 +FLAGS.SILENT (\\Deleted)"),
    (1, "EXPUNGE"),
    (2, "FETCH 1 (FLAGS)"),
    (2, "NOOP"),
    (2, "UID FETCH 1:7 (FLAGS) (CHANGEDSINCE {m} VANISHED)"),
    (2, "UID FETCH 1:7 (FLAGS) (VANISHED)"),
    (2, "FETCH 1:5 (FLAGS) (CHANGEDSINCE {m} VANISHED)"),
    (2, "UNSELECT"),
    (2, "SELECT INBOX (QRESYNC ({v} {m}))"),
    (2, "SELECT INBOX (QRESYNC ({v} {m} 1:3))"),
    (2, "SELECT INBOX (QRESYNC (77 {m} 1:3))"),
    (2, "STORE 1 +FLAGS.SILENT (\\Deleted)"),
    (2, "EXPUNGE"),
    (2, "UID EXPUNGE 1:7"),
    (2, "MOVE 1 Saved"),
    (2, "UID MOVE 4:5 Saved"),
    (2, "UID MOVE 99 Saved"),
    (2, "MOVE 9 Saved"),
    (2, "MOVE 1 Nowhere"),
    (1, "NOOP"),
    (1, "MOVE 1 INBOX"),
    (2, "NOOP"),
    (1, "STATUS Saved (MESSAGES HIGHESTMODSEQ)"),
    (1, "ENABLE"),
    (2, "STORE 1 +FLAGS.SILENT (\\Deleted)"),
    (2, "CLOSE"),
    (2, "SELECT Saved (FOO)"),
    (2, "SELECT Saved (QRESYNC (1))"),
    (1, "EXAMINE INBOX"),
    (1, "MOVE 1 Saved"),
]

# step: (RIMS, Dovecot, why)
DIFFERENT = {
    0: (['* 7 EXISTS', '* OK [HIGHESTMODSEQ N]', '* OK [UIDNEXT 8]', '* OK [UIDVALIDITY N]', 't OK [READ-WRITE]'],
       ['* 7 EXISTS', '* OK [UIDNEXT 8]', '* OK [UIDVALIDITY N]', 't OK [READ-WRITE]'],
       'RFC 7162 §3.1.2: "the server MUST send an OK untagged response, including the HIGHESTMODSEQ response code"'),
    2: (['* OK [HIGHESTMODSEQ N]', '* STATUS INBOX (HIGHESTMODSEQ N)', 't OK'],
       ['* OK [HIGHESTMODSEQ N]', '* STATUS INBOX (HIGHESTMODSEQ N)', 't OK [CLIENTBUG]'],
       "RFC 3501 §6.3.10: STATUS SHOULD NOT be used on the selected mailbox; both answer it"),
    3: (['* 1 FETCH FLAGS () MODSEQ UID 1', 't OK'],
       ['* 1 FETCH FLAGS () MODSEQ', 't OK'],
       'RFC 7162 §3.2.4: "the server MUST automatically include both UID and mod-sequence data in all subsequent untagged FETCH responses"'),
    4: (['* 1 FETCH MODSEQ UID 1', 't OK'],
       ['* 1 FETCH MODSEQ', 't OK'],
       'RFC 7162 §3.2.4: "the server MUST automatically include both UID and mod-sequence data in all subsequent untagged FETCH responses"'),
    6: (['* 2 FETCH BODY FLAGS (\\Seen) MODSEQ UID 2', 't OK'],
       ['* 2 FETCH BODY FLAGS (\\Seen)', '* 2 FETCH MODSEQ', 't OK'],
       'RFC 7162 §3.2.4: "the server MUST automatically include both UID and mod-sequence data in all subsequent untagged FETCH responses"'),
    9: (['* 3 FETCH MODSEQ UID 3', 't OK'],
       ['* 3 FETCH MODSEQ', 't OK'],
       'RFC 7162 §3.2.4: "the server MUST automatically include both UID and mod-sequence data in all subsequent untagged FETCH responses"'),
    10: (['* 3 FETCH FLAGS (\\Flagged) MODSEQ UID 3', '* 4 FETCH MODSEQ UID 4', 't OK [MODIFIED 3]'],
        ['* 4 FETCH MODSEQ', 't OK [MODIFIED 3]'],
        'RFC 7162 §3.1.3: "It is RECOMMENDED that the server avoids the need for the client to do that by sending an unsolicited FETCH response"'),
    11: (['* 3 FETCH FLAGS (\\Flagged) MODSEQ UID 3', '* 4 FETCH FLAGS (\\Answered) MODSEQ UID 4', 't OK [MODIFIED 3:4]'],
        ['t OK [MODIFIED 3:4]'],
        'RFC 7162 §3.1.3: "It is RECOMMENDED that the server avoids the need for the client to do that by sending an unsolicited FETCH response"'),
    12: (['* 5 FETCH FLAGS () MODSEQ UID 5', 't OK [MODIFIED 5]'],
        ['t OK [MODIFIED 5]'],
        'RFC 7162 §3.1.3: "It is RECOMMENDED that the server avoids the need for the client to do that by sending an unsolicited FETCH response"'),
    16: (['t BAD'],
        ['t OK'],
        'RFC 7162 §7: mod-sequence-value is at most 9,223,372,036,854,775,807'),
    25: (['* 2 FETCH MODSEQ UID 2', '* 6 FETCH MODSEQ UID 6', 't OK'],
        ['* 2 FETCH MODSEQ', '* 6 FETCH MODSEQ', 't OK'],
        'RFC 7162 §3.2.4: "the server MUST automatically include both UID and mod-sequence data in all subsequent untagged FETCH responses"'),
    26: (['* 2 EXPUNGE', '* 6 EXPUNGE', 't OK [HIGHESTMODSEQ N]'],
        ['* 2 EXPUNGE', '* 6 EXPUNGE', 't OK'],
        'RFC 7162 §3.2.7: "the presence of the HIGHESTMODSEQ response code is optional in this case"'),
    27: (['* 1 FETCH FLAGS (\\Seen)', 't OK [HIGHESTMODSEQ N]'],
        ['* 1 FETCH FLAGS (\\Seen)', '* 2 FETCH FLAGS (\\Deleted \\Seen) MODSEQ UID 2', '* 6 FETCH FLAGS (\\Deleted) MODSEQ UID 6', 't OK [HIGHESTMODSEQ N]'],
        'RFC 3501 §7.4.2 does not ask for the flags of a message that is gone'),
    44: (['* 1 EXPUNGE', '* 2 EXPUNGE', '* 3 EXPUNGE', '* 4 EXPUNGE', 't OK [HIGHESTMODSEQ N]'],
        ['* 1 EXPUNGE', '* 2 EXPUNGE', '* 3 EXPUNGE', '* 4 EXPUNGE', 't OK'],
        'RFC 7162 §3.2.7: "the presence of the HIGHESTMODSEQ response code is optional in this case"'),
    45: (['* 1 EXISTS', '* 1 EXPUNGE', '* OK [COPYUID N 7 8]', 't OK [HIGHESTMODSEQ N]'],
        ['* 1 EXISTS', '* 1 EXPUNGE', '* OK [COPYUID N 7 8]', 't OK'],
        'RFC 6851 §4.4: "the server MUST send the updated per-mailbox modification sequence"'),
    48: (['t BAD'],
        ['t OK'],
        'RFC 5161 §3.1: "BAD: No arguments, or syntax error in an argument"'),
    54: (['t NO [NOPERM]'],
        ['t BAD'],
        'RFC 3501 §6.3.2: "No changes to the permanent state of the mailbox" are permitted after EXAMINE'),
}


def items(text):
    """The items of a FETCH response, each as "NAME value"."""
    text = re.sub(r"\\Recent ?| ?\\Recent", "", text)
    found = []
    for name, value in re.findall(r"([A-Z0-9.\[\]]+) (\([^)]*\)|\{\d+\}.*?\n(?=\)|[A-Z])|\S+?(?=[ )]|$))", text, re.S):
        if name == "FLAGS":
            value = "(" + " ".join(sorted(value.strip("()").split())) + ")"
        found.append("MODSEQ" if name == "MODSEQ" else "BODY" if name.startswith("BODY") else f"{name} {value}")
    return " ".join(sorted(found))


def plain(line):
    """What is compared of a line; None: nothing."""
    if re.match(r"\* \d+ RECENT", line) or line.startswith(
            ("* FLAGS", "* OK [PERMANENTFLAGS", "* OK [UNSEEN", "* OK [MAILBOXID")):
        return None
    fetch = re.match(r"(\* \d+ FETCH) \((.*)\)$", line, re.S)
    if fetch:
        return f"{fetch[1]} {items(fetch[2])}"
    line = re.sub(r"((?:HIGHEST)?MODSEQ|UIDVALIDITY|COPYUID) \d+", r"\1 N", line)
    status = re.match(r"(\*|t) (OK|NO|BAD|BYE)( \[[^\]]*\])?", line)
    if status:
        return status[0].replace(" [ALERT]", "")
    return line


class Server:
    def __init__(self, peers):
        self.peers, self.v, self.m = peers, 0, 1

    def ask(self, session, command):
        lines = self.peers[session].ask(command.format(v=self.v, m=self.m))
        for line in lines:
            if match := re.match(r"\* OK \[UIDVALIDITY (\d+)", line):
                self.v = match[1]
            if (match := re.match(r"\* OK \[HIGHESTMODSEQ (\d+)", line)) and command.startswith("SELECT") and session == 1:
                self.m = match[1]
        return sorted(p for p in map(plain, lines) if p)


@side_by_side.NEEDS_DOVECOT
class Compare(side_by_side.TestCase):
    def test_answers_are_the_same_or_explained(self):
        ours, theirs = Server(self.rims(MESSAGES)), Server(self.dovecot(MESSAGES))
        for number, (session, command) in enumerate(STEPS):
            a, b = ours.ask(session, command), theirs.ask(session, command)
            with self.subTest(step=number, session=session, command=command):
                if number in DIFFERENT:
                    self.assertEqual(DIFFERENT[number][:2], (a, b))
                else:
                    self.assertEqual(a, b)


if __name__ == "__main__":
    unittest.main()
