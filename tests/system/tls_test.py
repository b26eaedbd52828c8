"""tests/system/tls_test.py - certificates: by name, renewed, shown and made; and what a client may ask for"""

import imaplib
import json
import os
import shutil
import ssl
import subprocess
import unittest

from tests.system.harness import NOBODY, Suite, wait_for


def make(directory, name, *hosts):
    """A pair NAME.pem and NAME.key for these hosts."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", f"{directory}/{name}.key", "-out", f"{directory}/{name}.pem", "-days", "2",
                    "-subj", f"/CN={hosts[0]}", "-addext", "subjectAltName=" + ",".join(f"DNS:{h}" for h in hosts)],
                   check=True, capture_output=True)
    for path in (f"{directory}/{name}.key", f"{directory}/{name}.pem"):
        os.chmod(path, 0o600)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)


class Certificates(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(tls=False)
        self.addCleanup(self.suite.close)
        self.directory = self.suite.directory

    def configure(self, lines):
        with open(self.suite.config, "a", encoding="utf-8") as f:
            f.write(lines)

    def replace(self, before, after):
        with open(self.suite.config, encoding="utf-8") as f:
            text = f.read()
        self.assertIn(before, text)
        with open(self.suite.config, "w", encoding="utf-8") as f:
            f.write(text.replace(before, after))

    def ctl(self, *words, status=0):
        done = self.suite.command("sbin/rims-ctl", *words)
        self.assertEqual(done.returncode, status, (words, done.stdout, done.stderr))
        return (done.stdout + done.stderr).decode()

    def connect(self, host, trusts, protocols=None, newest=None):
        """The client's end, which believes only in the certificate of one file."""
        context = ssl.create_default_context(cafile=f"{self.directory}/{trusts}.pem")
        if protocols:
            context.set_alpn_protocols(protocols)
        if newest:
            context.maximum_version = newest

        class Named(imaplib.IMAP4_SSL):
            def _create_socket(self, timeout):
                return context.wrap_socket(imaplib.IMAP4._create_socket(self, timeout), server_hostname=host)
        return Named("127.0.0.1", self.suite.imaps_port, timeout=20)

    def test_each_name_gets_its_certificate_and_sessions_outlive_new_ones(self):
        make(self.directory, "one", "mail.example.org")
        make(self.directory, "two", "mail.example.com", "imap.example.com")
        make(self.directory, "new", "mail.example.com")
        self.configure("tls:\n  certificate: one.pem\n  key: one.key\n  more:\n"
                       "    - { certificate: two.pem, key: two.key }\nlisten: { imaps_port: 0 }\n")
        with self.suite as suite:
            kept = self.connect("imap.example.com", trusts="two")
            kept.login("foo", "bar")
            self.connect("mail.example.org", trusts="one").logout()
            with self.assertRaises(ssl.SSLError):
                self.connect("mail.example.net", trusts="two")

            # Renewed files, which the reload reads. The session goes on.
            for ending in ("pem", "key"):
                os.replace(f"{self.directory}/new.{ending}", f"{self.directory}/two.{ending}")
            self.ctl("reload")
            self.connect("mail.example.com", trusts="two").logout()
            with self.assertRaises(ssl.SSLError):
                self.connect("imap.example.com", trusts="two")
            self.assertEqual(kept.select("INBOX")[0], "OK")

            # A pair that is none: all stays, whoever asks for the reload.
            shutil.copy(f"{self.directory}/one.key", f"{self.directory}/two.key")
            self.assertRegex(self.ctl("reload", status=6), r"tls\.more: key: \S+/two\.key: the key does not belong")
            suite.child.send_signal(1)
            wait_for(lambda: "the configuration stays as it was" in suite.log_text(), 10, "the reason")
            self.connect("mail.example.com", trusts="two").logout()
            self.assertEqual(kept.noop()[0], "OK")
            kept.logout()

    def test_who_wants_another_protocol_or_an_older_tls_is_refused(self):
        make(self.directory, "one", "mail.example.org")
        self.configure("tls: { certificate: one.pem, key: one.key, min_version: \"1.3\" }\nlisten: { imaps_port: 0 }\n")
        with self.suite:
            self.connect("mail.example.org", trusts="one", protocols=["imap"]).logout()
            with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
                self.connect("mail.example.org", trusts="one", protocols=["h2", "http/1.1"])
            with self.assertRaisesRegex(ssl.SSLError, "(?i)protocol.version"):
                self.connect("mail.example.org", trusts="one", newest=ssl.TLSVersion.TLSv1_2)
            self.replace('"1.3"', '"1.2"')
            self.ctl("reload")
            self.connect("mail.example.org", trusts="one", newest=ssl.TLSVersion.TLSv1_2).logout()

    def test_a_first_pair_is_made_shown_and_works(self):
        self.assertIn("self-signed", self.ctl("cert", "show", status=1))
        told = self.ctl("cert", "self-signed", "--days", "30", "mail.example.org", "127.0.0.1", "::1")
        lines = told.split("\n\n", 1)[1]
        self.assertEqual(os.stat(f"{self.directory}/key.pem").st_mode & 0o777, 0o600)
        self.assertIn("is there already", self.ctl("cert", "self-signed", status=1))
        # What it says to write is written.
        self.configure(lines + "listen: { imaps_port: 0 }\n")
        shown = self.ctl("cert", "show")
        self.assertIn("mail.example.org, 127.0.0.1, ::1", shown)
        self.assertIn("itself: clients must be told to trust it", shown)
        report = json.loads(self.ctl("cert", "show", "--json"))["certificates"]
        self.assertEqual([one["names"] for one in report], [["mail.example.org", "127.0.0.1", "::1"]])
        self.assertIsNone(report[0]["problem"])
        printed = subprocess.run(["openssl", "x509", "-in", f"{self.directory}/cert.pem", "-noout", "-fingerprint",
                                  "-sha256"], check=True, capture_output=True, text=True).stdout
        self.assertEqual(printed.strip().split("=")[1].replace(":", "").lower(), report[0]["sha256"])
        self.assertIn("expires within 31 days", self.ctl("cert", "show", "--days", "31", status=1))
        with self.suite:
            for host in ("mail.example.org", "127.0.0.1"):
                self.connect(host, trusts="cert").logout()

    def test_what_is_wrong_with_one_hides_no_other(self):
        make(self.directory, "one", "mail.example.org")
        make(self.directory, "two", "mail.example.com")
        os.chmod(f"{self.directory}/one.key", 0o644)
        self.configure("tls:\n  certificate: one.pem\n  key: one.key\n  more:\n"
                       "    - { certificate: two.pem, key: two.key }\n")
        told = self.ctl("cert", "show", status=1)
        self.assertRegex(told, r"one\.pem \(tls\.certificate\)\n  problem .*mode 0644 lets others read the key")
        self.assertRegex(told, r"two\.pem \(tls\.more\)\n  names   mail\.example\.com\n")

    def test_wrong_words(self):
        before = sorted(os.listdir(self.directory))
        for words in ([], ["show", "x"], ["self-signed", "a b"], ["self-signed", "--days", "0"],
                      ["show", "--days", "x"], ["remove"]):
            self.assertRegex(self.ctl("cert", *words, status=2), "^rims-ctl: cert: ", words)
        for what, days, bounds in (("self-signed", "0", "1 to 36500"), ("self-signed", "36501", "1 to 36500"),
                                  ("show", "-1", "0 to 36500"), ("show", "36501", "0 to 36500")):
            self.assertIn(f'--days: expected {bounds} days, found "{days}"',
                          self.ctl("cert", what, f"--days={days}", status=2))
        self.assertEqual(sorted(os.listdir(self.directory)), before)

    def test_what_the_issuer_says_reaches_the_client(self):
        make(self.directory, "one", "mail.example.org")
        one, key = (f"{self.directory}/one.{ending}" for ending in ("pem", "key"))

        def openssl(*words):
            return subprocess.run(["openssl", *words], check=True, capture_output=True, text=True).stdout
        serial = openssl("x509", "-in", one, "-noout", "-serial").strip().split("=")[1]
        with open(f"{self.directory}/index.txt", "w", encoding="utf-8") as f:
            f.write(f"V\t990101000000Z\t\t{serial}\tunknown\t/CN=mail.example.org\n")
        openssl("ocsp", "-issuer", one, "-cert", one, "-reqout", f"{self.directory}/request", "-no_nonce")
        openssl("ocsp", "-index", f"{self.directory}/index.txt", "-CA", one, "-rsigner", one, "-rkey", key,
                "-reqin", f"{self.directory}/request", "-respout", f"{self.directory}/ocsp.der", "-ndays", "1")
        os.chmod(f"{self.directory}/ocsp.der", 0o644)
        self.configure("tls: { certificate: one.pem, key: one.key, ocsp: ocsp.der }\nlisten: { imaps_port: 0 }\n")
        with self.suite as suite:
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{suite.imaps_port}", "-status",
                                   "-servername", "mail.example.org"], input=b"", capture_output=True, timeout=20,
                                  check=False)
            self.assertIn(b"OCSP Response Status: successful", done.stdout)


if __name__ == "__main__":
    unittest.main()
