"""Postfix hands mail to rims-deliver, or speaks LMTP: every message arrives as it was sent, once

A second instance of Postfix, with configuration, queue and port of its own in a temporary
directory, started by root; nothing of the system's Postfix is touched.
"""
# time limit: 300 s

import contextlib
import hashlib
import os
import pwd
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile
import time
import unittest

from tests.clients.support import crlf
from tests.system.harness import TOP, Suite, wait_for
from tests.system.lmtp_test import TRACE, ports

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
syslog_name = rims-test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.org
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_header_rewrite_clients =
smtpd_recipient_restrictions = permit_mynetworks, reject
smtputf8_enable = no
allow_min_user = yes
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
"""

VIRTUAL = """\
mydestination =
virtual_mailbox_domains = example.org
virtual_mailbox_maps =
virtual_transport = rims
rims_destination_recipient_limit = 1
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60  1 pickup
cleanup   unix  n - n -   0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n -   - trivial-rewrite
bounce    unix  - - n -   0 bounce
defer     unix  - - n -   0 bounce
trace     unix  - - n -   0 bounce
error     unix  - - n -   - error
retry     unix  - - n -   - error
discard   unix  - - n -   - discard
showq     unix  n - n -   - showq
anvil     unix  - - n -   1 anvil
proxymap  unix  - - n -   - proxymap
scache    unix  - - n -   1 scache
postlog   unix-dgram n - n - 1 postlogd
local     unix  - n n -   - local
lmtp      unix  - - n -   - lmtp
rims      unix  - n n -  10 pipe
  flags= user={user} null_sender=
  argv={stage}/bin/rims-deliver -c {config} -f ${{sender}} -i ${{queue_id}} -d {recipient}
"""


def readme_recipe():
    """What README.md puts into main.cf."""
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as f:
        return re.search(r"in `main\.cf`:\n\n```\n(.*?)```", f.read(), flags=re.S)[1]


class Postfix:
    def __init__(self, suite, settings=VIRTUAL, recipient="${recipient}"):
        self.directory = tempfile.mkdtemp(prefix="rims-postfix-")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        os.chmod(self.directory, 0o755)
        user = pwd.getpwuid(os.stat(suite.config).st_uid).pw_name
        values = {"dir": self.directory, "port": self.port, "user": user, "stage": suite.stage,
                  "config": suite.config, "recipient": recipient}
        for name, text in (("main.cf", MAIN_CF + settings), ("master.cf", MASTER_CF)):
            with open(f"{self.directory}/{name}", "w", encoding="ascii") as f:
                f.write(text.format(**values))
        os.mkdir(f"{self.directory}/queue")
        os.mkdir(f"{self.directory}/data")
        shutil.chown(f"{self.directory}/data", "postfix", "postfix")
        try:
            self.run("postfix", "start")
            wait_for(self._greets, 30, "Postfix greets")
        except BaseException:
            print(self.log())
            self.close()
            raise

    def _greets(self):
        with contextlib.suppress(OSError), \
                socket.create_connection(("127.0.0.1", self.port), 5) as s:
            return s.recv(4) == b"220 "
        return False

    def run(self, program, *words):
        done = subprocess.run([f"/usr/sbin/{program}", "-c", self.directory, *words],
                              capture_output=True, timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{program} {words}: {done.stderr.decode()}\n{self.log()}")
        return done.stdout.decode()

    def log(self):
        with contextlib.suppress(FileNotFoundError), \
                open(f"{self.directory}/maillog", encoding="utf-8", errors="replace") as f:
            return f.read()
        return ""

    def statuses(self):
        """How each delivery attempt ended: ["sent", "deferred", ...]"""
        return re.findall(r"relay=(?:rims|[^,]*\[[^,]*\](?::\d+)?|none),.* status=(\w+)", self.log())

    def waiting(self):
        return self.run("postqueue", "-j").splitlines()

    def close(self):
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.run("postfix", "stop")
        shutil.rmtree(self.directory, ignore_errors=True)


def letter(number):
    """Ugly on purpose: 8-bit bytes, dots, From lines, trailing blanks; lines end with CRLF."""
    lines = [f"From: s{number}@example.net", "To: foo@example.org", f"Subject: letter {number}",
             f"Message-ID: <letter{number}@example.net>",
             "Date: Mon, 02 Nov 2026 10:00:00 +0100", "MIME-Version: 1.0",
             "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "",
             ".", "..", ".leading dot", "From here on", ">From there", "trailing blanks  \t", "",
             "Größe: 日本語", f"{number} " * (number % 150), "x" * 900, "", ""]
    return crlf("\n".join(lines).encode())


def stored(suite, user="foo"):
    """All messages of INBOX as they are."""
    with suite.login(user) as imap:
        _, data = imap.select("INBOX", readonly=True)
        if int(data[0]) == 0:
            return []
        _, data = imap.fetch("1:*", "(BODY.PEEK[])")
        return [part[1] for part in data if isinstance(part, tuple)]


def count(suite, user="foo"):
    with suite.login(f'"{user}"', suite.users[user]) as imap:  # imaplib does not quote it
        _, data = imap.status("INBOX", "(MESSAGES)")
        return int(re.search(rb"MESSAGES (\d+)", data[0]).group(1))


def without_trace(message):
    """What was sent: Postfix puts one Received field in front, and nothing else."""
    head = re.match(rb"Received: [^\r]*\r\n(?:[ \t][^\r]*\r\n)*", message)
    return message[head.end():] if head else message


@unittest.skipUnless(shutil.which("postfix") or os.path.exists("/usr/sbin/postfix"),
                     "postfix is not installed")
@unittest.skipUnless(os.geteuid() == 0, "only root can start Postfix")
class PostfixTest(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(users={"foo": "bar", "-x y;id": "bar"}).start()
        self.addCleanup(self.suite.close)
        self.addCleanup(self._stop_suite)
        self.postfix = Postfix(self.suite)
        self.addCleanup(self.postfix.close)

    def _stop_suite(self):
        if not self._outcome.success:
            print(self.postfix.log()[-5000:])
            self.suite.dump()
        self.suite.stop()

    def send(self, messages, to="foo@example.org", sender="s@example.net"):
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=60) as smtp:
            for message in messages:
                smtp.sendmail(sender, [to] if isinstance(to, str) else to, message)

    def test_messages_arrive_byte_for_byte(self):
        letters = [letter(n) for n in range(120)]
        self.send(letters[:100])
        self.send(letters[100:], sender="")  # the null sender
        wait_for(lambda: count(self.suite) >= len(letters), 120, "all letters are there")
        found = [hashlib.sha256(without_trace(m)).hexdigest() for m in stored(self.suite)]
        sent = [hashlib.sha256(m).hexdigest() for m in letters]
        self.assertEqual(sorted(found), sorted(sent))
        self.assertEqual(set(self.postfix.statuses()), {"sent"})
        wait_for(lambda: not self.postfix.waiting(), 30, "the queue is empty")

    def test_a_flood_of_smtp_source_arrives(self):
        subprocess.run(["/usr/sbin/smtp-source", "-s", "10", "-m", "200", "-l", "4096", "-f",
                        "s@example.net", "-t", "foo@example.org",
                        f"127.0.0.1:{self.postfix.port}"], check=True, timeout=120)
        wait_for(lambda: len(self.postfix.statuses()) >= 200, 120, "200 attempts")
        self.assertEqual(count(self.suite), 200)
        self.assertEqual(self.postfix.statuses().count("sent"), 200)

    def test_status_75_defers_and_the_mail_comes_later(self):
        self.suite.stop()
        self.send([letter(1), letter(2)])
        wait_for(lambda: self.postfix.statuses().count("deferred") >= 2, 60, "both are deferred")
        self.assertEqual(set(self.postfix.statuses()), {"deferred"})
        self.assertIn("rims-deliverd can not be reached", self.postfix.log())
        self.suite.start()
        self.postfix.run("postqueue", "-f")
        wait_for(lambda: count(self.suite) == 2, 60, "both have arrived")
        wait_for(lambda: not self.postfix.waiting(), 30, "the queue is empty")
        self.assertEqual(sorted(without_trace(m) for m in stored(self.suite)),
                         sorted([letter(1), letter(2)]))

    def test_an_unknown_user_bounces_and_a_hostile_one_is_data(self):
        self.send([letter(1)], to="nobody-of-that-name@example.org", sender="")
        wait_for(lambda: "bounced" in self.postfix.statuses(), 60, "it is bounced")
        self.assertRegex(self.postfix.log(), r"status=bounced \(user unknown.*no such user")
        self.send([letter(2)], to='"-x y;id"@example.org')
        wait_for(lambda: count(self.suite, "-x y;id") == 1, 60, "it has arrived")

    def test_deliveries_survive_the_death_of_every_process(self):
        for role in ("deliverd", "imapd", "auth"):
            self.send([letter(n) for n in range(10)])
            self.suite.kill(role)
            time.sleep(0.05)
            self.send([letter(n) for n in range(10, 20)])
        wait_for(lambda: not self.postfix.waiting(), 120, "the queue is empty")
        self.assertEqual(set(self.postfix.statuses()) - {"sent", "deferred"}, set())
        found = [without_trace(m) for m in stored(self.suite)]
        # A message whose answer was lost is tried again: twice is possible, less than three
        # times (it was sent three times) is not.
        for number in range(20):
            self.assertGreaterEqual(found.count(letter(number)), 3, number)
        self.assertEqual({hashlib.sha256(m).digest() for m in found},
                         {hashlib.sha256(letter(n)).digest() for n in range(20)})


@unittest.skipUnless(shutil.which("postfix") or os.path.exists("/usr/sbin/postfix"),
                     "postfix is not installed")
@unittest.skipUnless(os.geteuid() == 0, "only root can start Postfix")
class ReadmeTest(unittest.TestCase):
    def test_users_need_no_system_account(self):
        """With what README.md says, mail for a local name that only RIMS knows arrives."""
        user = "only-rims-knows"
        with self.assertRaises(KeyError):
            pwd.getpwnam(user)
        with Suite(users={user: "bar"}) as suite:
            postfix = Postfix(suite, "mydestination = localhost\n" + readme_recipe(), "${user}")
            try:
                with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as smtp:
                    smtp.sendmail("s@example.net", [f"{user}@localhost"], letter(1))
                wait_for(lambda: postfix.statuses(), 60, "an attempt")
                self.assertEqual(postfix.statuses(), ["sent"], postfix.log())
                self.assertEqual([without_trace(m) for m in stored(suite, user)], [letter(1)])
            finally:
                postfix.close()


def lmtp_recipe(where):
    """What rims-deliverd(8) puts into main.cf, with this place for its socket."""
    with open(os.path.join(TOP, "man", "rims-deliverd.8"), encoding="utf-8") as f:
        text = re.search(r"^virtual_mailbox_domains = .*?(?=^\.Ed)", f.read(), flags=re.M | re.S)[0]
    assert "lmtp:unix:/run/rims/lmtp\n" in text
    return "mydestination =\n" + text.replace("lmtp:unix:/run/rims/lmtp", where)


@unittest.skipUnless(shutil.which("postfix") or os.path.exists("/usr/sbin/postfix"),
                     "postfix is not installed")
@unittest.skipUnless(os.geteuid() == 0, "only root can start Postfix")
class LmtpTest(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(users={"foo": "bar", "bar": "baz"}, tls=False, settings=(
            'lmtp: {listen: ["unix:lmtp", "127.0.0.1:0"]}\nlisten: {deliver_socket_mode: 0666}\n'))
        os.chmod(self.suite.directory, 0o755)
        self.suite.start()
        self.addCleanup(self.suite.close)
        self.addCleanup(self._stop_suite)

    def _stop_suite(self):
        if not self._outcome.success:
            self.suite.dump()
        self.suite.stop()

    def postfix(self, where=None):
        postfix = Postfix(self.suite, lmtp_recipe(where or f"lmtp:unix:{self.suite.run_dir}/lmtp"))
        self.addCleanup(postfix.close)
        self.addCleanup(lambda: self._outcome.success or print(postfix.log()[-5000:]))
        return postfix

    @staticmethod
    def send(postfix, messages, to=("foo@example.org",), sender="s@example.net"):
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as smtp:
            for message in messages:
                smtp.sendmail(sender, to, message)

    def found(self, user="foo"):
        """The messages of INBOX below the fields of RIMS and the one of Postfix."""
        messages = stored(self.suite, user)
        self.assertTrue(all(TRACE.match(m) for m in messages))
        return [without_trace(m[TRACE.match(m).end():]) for m in messages]

    def test_messages_arrive_byte_for_byte_at_the_local_socket_and_at_the_port(self):
        for where in (None, f"lmtp:inet:127.0.0.1:{ports(self.suite)['lmtp']}"):
            with self.subTest(where):
                before = len(self.found())
                postfix = self.postfix(where)
                letters = [letter(n) for n in range(60)]
                self.send(postfix, letters[:50])
                self.send(postfix, letters[50:], sender="")
                wait_for(lambda n=before: count(self.suite) >= n + len(letters), 120, "all are there")
                self.assertEqual(sorted(self.found()[before:]), sorted(letters))
                wait_for(lambda p=postfix: not p.waiting(), 30, "the queue is empty")
                self.assertEqual(set(postfix.statuses()), {"sent"}, postfix.log())
                postfix.close()

    def test_one_message_for_two_users_and_one_unknown(self):
        postfix = self.postfix()
        self.send(postfix, [letter(1)], sender="",
                  to=("foo@example.org", "bar@example.org", "nobody-of-that-name@example.org"))
        wait_for(lambda: len(postfix.statuses()) == 3, 60, "each has its status")
        self.assertEqual(sorted(postfix.statuses()), ["bounced", "sent", "sent"])
        self.assertRegex(postfix.log(), r"dsn=5\.1\.1, status=bounced .*no such user")
        self.assertEqual(self.found(), [letter(1)])
        self.assertEqual(self.found("bar"), [letter(1)])

    def test_a_suite_that_is_down_defers(self):
        self.suite.stop()
        postfix = self.postfix()
        self.send(postfix, [letter(1), letter(2)])
        wait_for(lambda: postfix.statuses().count("deferred") >= 2, 60, "both are deferred")
        self.assertEqual(set(postfix.statuses()), {"deferred"})
        self.suite.start()
        postfix.run("postqueue", "-f")
        wait_for(lambda: not postfix.waiting(), 60, "the queue is empty")
        self.assertEqual(sorted(self.found()), sorted([letter(1), letter(2)]))

    def test_each_arrives_once_whatever_process_dies(self):
        postfix = self.postfix()
        letters = [letter(n) for n in range(90)]
        for n, role in enumerate(("deliverd", "imapd", "auth")):
            self.send(postfix, letters[30 * n:30 * n + 10])
            self.suite.kill(role)
            self.send(postfix, letters[30 * n + 10:30 * n + 30])
        wait_for(lambda: not postfix.waiting(), 120, "the queue is empty")
        self.assertEqual(set(postfix.statuses()) - {"sent", "deferred"}, set())
        self.assertEqual(sorted(self.found()), sorted(letters))


if __name__ == "__main__":
    unittest.main()
