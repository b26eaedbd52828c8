"""Names of users are compared without case and form, by the server and by every tool"""
# time limit: 300 s

import os
import unittest

from tests.system.harness import Suite, wait_for

JOSE = "jose\u0301"  # in two code points; the account is called as in NFC


class Names(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(users={"Bob": "bar", JOSE: "baz"},
                           settings='delivery: {domains: ["b\u00fccher.example"]}\n')
        self.addCleanup(self.suite.close)

    def ctl(self, *words, status=0):
        done = self.suite.command("sbin/rims-ctl", *words)
        self.assertEqual(done.returncode, status, (words, done.stderr.decode()))
        return (done.stdout + done.stderr).decode()

    def rename(self, old, new):
        with open(self.suite.config, encoding="utf-8") as f:
            text = f.read()
        with open(self.suite.config, "w", encoding="utf-8") as f:
            f.write(text.replace(f'user: "{old}"', f'user: "{new}"'))

    def messages(self, user, password):
        with self.suite.login(user, password) as imap:
            return int(imap.select("INBOX")[1][0])

    def test_every_spelling_is_the_same_user(self):
        with self.suite as suite:
            for recipient in ("bob", "BOB", "Bob@xn--bcher-kva.example", "bOb@B\u00dcCHER.Example",
                              "bob+lists@b\u00fccher.example"):
                suite.deliver(b"A: b\n\n", user=recipient)
            self.assertEqual(suite.deliver(b"A: b\n\n", user="bob@bucher.example",
                                           check=False).returncode, 67)
            suite.deliver(b"A: b\n\n", user="JOS\u00c9")
            for user in ("Bob", "bob", "BOB"):
                self.assertEqual(self.messages(user, "bar"), 5, user)
            for user in ("bob", "BOB", "Bob"):
                self.assertIn("INBOX", self.ctl("mailbox", "list", user))
                self.assertIn("Bob: sound: 5 messages", self.ctl("check", user))
                self.assertIn("mailbox", self.ctl("dump", user))
                self.ctl("undelete", "-l", user)
                where = os.path.join(suite.directory, "out-" + user)
                os.mkdir(where)
                os.chmod(where, 0o777)
                self.ctl("export", user, "--to", "mbox", os.path.join(where, "mail"))
                self.ctl("backup", user, os.path.join(where, "backup"))
                self.ctl("restore", "--from", os.path.join(where, "backup"), "-n", user)
            self.assertIn("jos\u00e9: sound: 1 messages", self.ctl("check", "Jos\u00c9"))
            shown = {suite.command("bin/rims", "show-user-mbox", "-f", suite.config, user).stdout
                     for user in (JOSE, "jos\u00e9", "JOS\u00c9")}
            self.assertEqual(len(shown), 1)
            self.assertIn("accounts", self.ctl("check", "--all", "--json"))
            self.assertNotRegex(self.ctl("check", "--all"), "(?m)^account ", "each has its name")

    def test_an_account_of_another_spelling_is_told_and_found(self):
        self.suite.start()
        self.suite.deliver(b"A: b\n\n", user="bob")
        self.suite.stop()
        self.rename("Bob", "bob")
        told = self.ctl("check")
        self.assertRegex(told, r':\d+:\d+: the user "bob" has no account, but there is one of "Bob"')
        self.assertIn("Bob: sound: 1 messages", self.ctl("check", "Bob"))
        told = self.ctl("start")
        self.ctl("stop")
        self.assertRegex(told, r'warning: \S+:\d+:\d+: the user "bob" has no account')
        self.rename("bob", "Bob")
        self.assertNotIn("has no account", self.ctl("check"))
        with self.suite.start() as suite:
            self.assertEqual(self.messages("BOB", "bar"), 1)
            # Who overlooks that has two accounts, and one of them is left behind.
            self.rename("Bob", "BOB")
            self.ctl("reload")
            suite.deliver(b"A: b\n\n", user="bob")
            wait_for(lambda: "(not in the configuration)" in self.ctl("account", "list"), 10,
                     "the new account is there")
            self.assertRegex(self.ctl("check"), r':\d+:\d+: the user "BOB" has an account, and '
                                                'there is one of "Bob": its mail is not served')

    def test_two_names_of_one_user_are_a_mistake_with_both_lines(self):
        self.rename(JOSE, "BOB")
        told = self.ctl("check", status=6)
        self.assertRegex(told, r':\d+:\d+: the users "BOB" and "Bob" \(line \d+\) are the same')
        with self.assertRaisesRegex(AssertionError, "are the same"):
            self.suite.start()


if __name__ == "__main__":
    unittest.main()
