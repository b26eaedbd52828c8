"""NOTIFY (RFC 5465): the same commands to RIMS and to Dovecot, two sessions each; what the first one is told of the second

Dovecot tells some of it by itself, a second later, and the rest at the next command; here all of it comes before that. So NOOPs
collect it. The lines must be the same, but for \\Recent, numbers that are each server's own, and \\HasChildren, which Dovecot
does not tell. Where they are not, DIFFERENT has both and the sentence of the RFC.
"""

import re
import time
import unittest

from tests.system import side_by_side

MESSAGES = [f"Subject: message {n}\r\n\r\nbody {n}\r\n".encode() for n in range(1, 4)]
NEW = "{14+}\r\nSubject: new\r\n"
ALL = ("NOTIFY SET STATUS (selected (MessageNew (UID FLAGS) MessageExpunge FlagChange))"
       " (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))")

# (session, command). What session 1 is told of a command of session 2 is collected behind it.
STEPS = [
    (1, "ENABLE CONDSTORE"),
    (1, "NOTIFY"),
    (1, "NOTIFY ALL"),
    (1, "NOTIFY SET ()"),
    (1, "NOTIFY SET (personal)"),
    (1, "NOTIFY SET (personal ())"),
    (1, "NOTIFY SET (personal MailboxName)"),
    (1, "NOTIFY SET (nobody (MailboxName))"),
    (1, "NOTIFY SET (selected (FlagChange))"),
    (1, "NOTIFY SET (personal (MessageNew))"),
    (1, "NOTIFY SET (selected (MailboxName))"),
    (1, "NOTIFY SET (selected NONE) (selected-delayed NONE)"),
    (1, "NOTIFY SET (personal (MessageNew (UID) MessageExpunge))"),
    (1, "NOTIFY SET (personal (AnnotationChange))"),
    (1, "NOTIFY SET (personal (X-Event))"),
    (1, "NOTIFY SET (mailboxes Missing (MailboxName))"),
    (1, "NOTIFY SET (subtree (Missing Saved) (MessageNew MessageExpunge)) (inboxes NONE) (subscribed NONE)"),
    (1, "SELECT INBOX"),
    (2, "SELECT INBOX"),
    (1, ALL),
    (2, "STORE 1 +FLAGS.SILENT (\\Seen)"),
    (2, f"APPEND INBOX {NEW}"),
    (2, "STORE 1 +FLAGS.SILENT (\\Deleted)"),
    (2, "EXPUNGE"),
    (2, f"APPEND Saved {NEW}"),
    (2, "COPY 1:2 Saved"),
    (2, "CREATE Other"),
    (2, "RENAME Other Another"),
    (2, "SUBSCRIBE Another"),
    (2, "UNSUBSCRIBE Another"),
    (2, "DELETE Another"),
    (1, f"APPEND INBOX {NEW}"),
    (1, "STORE 1 +FLAGS (\\Flagged)"),
    (2, "NOOP"),
    (1, "NOTIFY NONE"),
    (2, "STORE 2 +FLAGS.SILENT (\\Deleted)"),
    (2, "EXPUNGE"),
    (2, f"APPEND INBOX {NEW}"),
    (2, f"APPEND Saved {NEW}"),
    (1, "FETCH 1 FLAGS"),
    (1, "NOTIFY SET (selected-delayed (MessageNew MessageExpunge FlagChange))"),
]

UID = 'RFC 7162 §3.2.4: "the server MUST automatically include both UID and mod-sequence data"; RFC 5465 §5.1: "MUST include UID"'
BOTH = 'RFC 5465 §5: "If one of MessageNew or MessageExpunge is specified, then both events MUST be specified"'
NOT_BAD = 'RFC 5465 §3.1: "the server MUST refuse the command with a tagged NO response (not a BAD)"'
VALID = "RFC 5465 §5.2 asks for UIDNEXT and MESSAGES; UIDVALIDITY, too, is here, for what has the name now"
MADE = 'RFC 5465 §5.1: "the server MUST notify the client about mailbox UIDVALIDITY changes"'

# What we say, what Dovecot says, and why.
DIFFERENT = {
    9: (["t BAD"], ["t OK"], BOTH),
    10: (["t BAD"], ["t OK"],
         'RFC 5465 §6.1: "It is an error to specify other types of events with either the SELECTED or the SELECTED-DELAYED selector"'),
    14: (["t NO [BADEVENT"], ["t BAD"], NOT_BAD),
    20: (["t OK", "told * 1 FETCH FLAGS (\\Seen) MODSEQ UID 1"], ["t OK", "told * 1 FETCH FLAGS (\\Seen) MODSEQ"], UID),
    22: (["t OK", "told * 1 FETCH FLAGS (\\Deleted \\Seen) MODSEQ UID 1"],
         ["t OK", "told * 1 FETCH FLAGS (\\Deleted \\Seen) MODSEQ"], UID),
    24: (["t OK", "told * STATUS Saved HIGHESTMODSEQ MESSAGES 1 UIDNEXT 2 UIDVALIDITY UNSEEN 1"],
         ["t OK", "told * STATUS Saved HIGHESTMODSEQ MESSAGES 1 UIDNEXT 2 UNSEEN 1"], VALID),
    25: (["t OK", "told * STATUS Saved HIGHESTMODSEQ MESSAGES 3 UIDNEXT 4 UIDVALIDITY UNSEEN 3"],
         ["t OK", "told * STATUS Saved HIGHESTMODSEQ MESSAGES 3 UIDNEXT 4 UNSEEN 3"], VALID),
    26: (["t OK", 'told * LIST () "/" Other', "told * STATUS Other HIGHESTMODSEQ MESSAGES 0 UIDNEXT 1 UIDVALIDITY UNSEEN 0"],
         ["t OK", 'told * LIST () "/" Other'], MADE),
    27: (["t OK", 'told * LIST () "/" Another ("OLDNAME" (Other))',
          "told * STATUS Another HIGHESTMODSEQ MESSAGES 0 UIDNEXT 1 UIDVALIDITY UNSEEN 0"],
         ["t OK", 'told * LIST () "/" Another ("OLDNAME" (Other))'], MADE),
    31: (["* 4 EXISTS", "t OK"], ["* 4 EXISTS", "* 4 FETCH FLAGS () UID 5", "t OK"],
         'RFC 5465 §5.2: "A FETCH response SHOULD NOT be generated for a new message created by the client on this particular '
         'connection"'),
    32: (["* 1 FETCH FLAGS (\\Flagged) MODSEQ UID 2", "t OK"], ["* 1 FETCH FLAGS (\\Flagged) MODSEQ", "t OK"], UID),
    40: (["* 2 EXPUNGE", "* 4 EXISTS", "t OK"], ["t OK"],
         'RFC 5465 §3.1: "A successful NOTIFY SET command MUST cause the server to immediately return any accumulated changes"'),
}


def plain(line):
    """The line without what each server has for itself."""
    line = re.sub(r"\\Recent ?| ?\\Recent|\\Has(No)?Children ?| ?\\Has(No)?Children", "", line)
    line = re.sub(r"(UIDVALIDITY|HIGHESTMODSEQ) \d+|(MODSEQ) \(\d+\)", r"\1\2", line)
    if match := re.match(r"(\* STATUS \S+|\* \d+ FETCH) \((.*)\)$", line):
        flags = re.sub(r"\(([^)]*)\)", lambda found: f"({' '.join(sorted(found[1].split()))})", match[2])
        words = re.findall(r"[A-Z]+(?: (?:\([^)]*\)|\d+))?", flags)
        return f"{match[1]} {' '.join(sorted(words))}"
    if match := re.match(r"t (?:OK|(?:NO|BAD)(?: \[[A-Z-]+)?)", line):
        return match[0]
    return line


class Lines:
    """Those of one server that are compared, without STATUS of what has not changed and of what a new account has."""

    def __init__(self):
        self.status = {}

    def useful(self, lines):
        kept = set()
        for line in map(plain, lines):
            if re.match(r"\* (\d+ RECENT|OK |FLAGS|STATUS (Archive|Drafts|Junk|Sent|Trash) )", line):
                continue
            if line.startswith("* STATUS "):
                name, counts = line.split()[2], re.findall(r"[A-Z]+ \d+", line)
                if self.status.get(name) == counts:
                    continue
                self.status[name] = counts
            kept.add(line)
        return kept


@side_by_side.NEEDS_DOVECOT
class Compare(side_by_side.TestCase):
    def play(self, peers, known=None):
        """For each step what its own session was answered, and session 1 was told; `known`: how much that will be."""
        answers = []
        useful = Lines().useful
        for number, (session, command) in enumerate(STEPS):
            lines = useful(peers[session].ask(command))
            end = time.monotonic() + 5
            while session == 2:
                more = peers[1].ask("NOOP")[:-1]
                lines |= {f"told {line}" for line in useful(more)}
                if known is None or len(lines) >= len(known[number]) or time.monotonic() > end:
                    break
                time.sleep(0.1)
            answers.append(sorted(lines))
        return answers

    def test_what_is_told_is_the_same_or_explained(self):
        ours = self.play(self.rims(MESSAGES))
        theirs = self.play(self.dovecot(MESSAGES), ours)
        for number, (step, a, b) in enumerate(zip(STEPS, ours, theirs)):
            with self.subTest(step=step, number=number):
                if number in DIFFERENT:
                    self.assertEqual((a, b), DIFFERENT[number][:2], "another difference than the known one")
                else:
                    self.assertEqual(a, b)


if __name__ == "__main__":
    unittest.main()
