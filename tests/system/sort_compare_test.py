"""SORT and THREAD (RFC 5256, 5957): the same answers as Dovecot's, over mail made from a seed

Where they are not, DIFFERENT says why.
"""

import random
import unittest
from email.utils import format_datetime
from datetime import datetime, timedelta, timezone

from tests.system import side_by_side

NAMES = ["Anna", "bert", "Zoe", "\u00c4nne", "Carl B.", "", "", "\u0416\u0430\u043d\u043d\u0430"]
SUBJECTS = ["apples", "Bananas", "cherries and more", "\u00c4pfel", "[list] apples", "", "a", "_x", "100%"]
PREFIXES = ["", "", "", "Re: ", "RE: ", "Fwd: ", "fw: Re: ", "Re[2]: ", "[list] Re: "]
SUFFIXES = ["", "", "", "", " (fwd)"]
COUNT = 250

COMMANDS = [f"{uid}{command}"
            for uid in ("", "UID ")
            for command in (
                [f"SORT ({key}) UTF-8 ALL" for key in
                 ("ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO",
                  "REVERSE DATE", "REVERSE SUBJECT", "REVERSE ARRIVAL", "SUBJECT REVERSE DATE", "FROM SUBJECT SIZE",
                  "REVERSE SIZE REVERSE FROM", "TO REVERSE TO DATE")] +
                ["SORT (DATE) UTF-8 SUBJECT apples", "SORT (SUBJECT) US-ASCII 1:20", "SORT (SUBJECT) UTF-8 DELETED",
                 "SORT RETURN (MIN MAX COUNT) (SUBJECT) UTF-8 ALL", "SORT RETURN (COUNT) (SUBJECT) UTF-8 DELETED",
                 "SORT () UTF-8 ALL", "SORT (NAME) UTF-8 ALL", "SORT (SUBJECT) X-NONE ALL"] +
                [f"THREAD {algorithm} UTF-8 {what}" for algorithm in ("ORDEREDSUBJECT", "REFERENCES", "REFS", "NONE")
                 for what in ("ALL", "1:60", "FROM anna", "DELETED")])]

# Dovecot takes a key that stands twice as it stands the second time. RFC 5256 §3: keys are looked at one after the other,
# so it would decide nothing any more.
DIFFERENT = {"SORT (TO REVERSE TO DATE) UTF-8 ALL", "UID SORT (TO REVERSE TO DATE) UTF-8 ALL"}


def mail(seed):
    """Conversations with everything that mail has: replies without their parents, wrong subjects, no dates. Each with the
    time of its arrival."""
    rng = random.Random(seed)
    begin = datetime(2024, 1, 1, tzinfo=timezone.utc)
    known = []
    for number in range(COUNT):
        lines = []
        parent = rng.choice(known) if known and rng.random() < 0.6 else None
        own = f"<{number}.{rng.randrange(1000)}@example.org>"
        references = []
        subject = rng.choice(SUBJECTS)
        if parent:
            references = parent[1] + [parent[0]]
            subject = parent[2] if rng.random() < 0.9 else subject
        if references and rng.random() < 0.8:
            lines.append("References: " + "\r\n ".join(references))
        elif references:
            lines.append(f"In-Reply-To: {references[-1]}")
        if rng.random() < 0.95:
            lines.append(f"Message-ID: {own}")
        if rng.random() < 0.95:
            zone = timezone(timedelta(hours=rng.randrange(-11, 12)))
            lines.append("Date: " + format_datetime((begin + timedelta(minutes=rng.randrange(500_000))).astimezone(zone)))
        for field in ("From", "To", "Cc"):
            if rng.random() < 0.8:
                name = rng.choice(NAMES)
                address = f"{rng.choice('abcdexyzABC')}{rng.randrange(3)}@{rng.choice('pq')}.example"
                lines.append(f"{field}: " + (f"{encoded(name)} <{address}>" if name else address))
        whole = rng.choice(PREFIXES if parent else PREFIXES[:4]) + subject + rng.choice(SUFFIXES)
        if rng.random() < 0.97:
            lines.append(f"Subject: {encoded(whole)}")
        # One that was never delivered is missing in the conversation.
        known.append((own, references, subject))
        if rng.random() < 0.15:
            continue
        rng.shuffle(lines)
        arrival = begin + timedelta(minutes=rng.randrange(500_000))
        yield arrival, "\r\n".join([*lines, "", "x" * rng.randrange(40), ""])


def encoded(text):
    """Encoded words, or the text itself; a name with a dot is quoted."""
    if not text.isascii():
        return "=?utf-8?q?" + "".join(f"={b:02X}" for b in text.encode()) + "?="
    return f'"{text}"' if "." in text and " " in text else text


@side_by_side.NEEDS_DOVECOT
class Compare(side_by_side.TestCase):
    def test_orders_and_threads_are_the_same_or_explained(self):
        ours, theirs = self.rims([])[1], self.dovecot([])[1]
        for peer in (ours, theirs):
            for arrival, text in mail(1):
                date = arrival.strftime("%d-%b-%Y %H:%M:%S +0000")
                answer = peer.ask(f'APPEND INBOX "{date}" {{{len(text)}+}}\r\n{text}')
                self.assertTrue(answer[-1].startswith("t OK"), answer)
            self.assertTrue(peer.ask("SELECT INBOX")[-1].startswith("t OK"))
        for command in COMMANDS:
            a, b = (peer.ask(command) for peer in (ours, theirs))
            with self.subTest(command=command):
                if command in DIFFERENT:
                    self.assertNotEqual(a[:-1], b[:-1], "the difference is no longer there")
                    continue
                self.assertEqual(a[:-1], b[:-1])
                self.assertEqual(a[-1].split()[:2], b[-1].split()[:2])


if __name__ == "__main__":
    unittest.main()
