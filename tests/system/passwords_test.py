"""tests/system/passwords_test.py - passwords that other programs have stored, in a running suite

Each is made by that program, stands in config.yml as it is, and its user logs in, from rims-auth's
sandbox. tests/password has fixed ones of each form.
"""

import ctypes
import ctypes.util
import imaplib
import re
import shutil
import subprocess
import unittest

from tests.system.harness import TOP, Suite

PASSWORD = "open sesame"
DOVECOT = ["PBKDF2", "SCRAM-SHA-1", "SCRAM-SHA-256", "SSHA", "SSHA256", "SSHA512", "SMD5", "PLAIN-MD5",
           "LDAP-MD5", "SHA", "SHA256", "SHA512", "SSHA512.HEX", "ARGON2I", "ARGON2ID", "BLF-CRYPT",
           "SHA256-CRYPT", "SHA512-CRYPT", "MD5-CRYPT", "CRYPT", "DES-CRYPT", "CLEARTEXT", "PLAIN", "CLEAR"]
LIBXCRYPT = ["$y$", "$gy$", "$7$", "$2b$", "$2y$", "$6$", "$5$", "$1$", "$sha1$", "$md5"]


def output(*words, given=""):
    return subprocess.run(words, check=True, capture_output=True, timeout=30, text=True, input=given).stdout.strip()


def of_openssl():
    return {form: output("openssl", "passwd", form, "-stdin", given=PASSWORD) for form in ("-apr1", "-1", "-5", "-6")}


def of_libxcrypt():
    library = ctypes.CDLL(ctypes.util.find_library("crypt"))
    library.crypt.restype = library.crypt_gensalt.restype = ctypes.c_char_p
    made = {}
    for form in LIBXCRYPT:
        salt = library.crypt_gensalt(form.encode(), ctypes.c_ulong(0), None, 0)
        made[form] = library.crypt(PASSWORD.encode(), salt).decode()
    return made


def of_dovecot():
    return {scheme: output("doveadm", "pw", "-s", scheme, "-u", "x", "-p", PASSWORD) for scheme in DOVECOT}


class StoredByOthers(unittest.TestCase):
    def log_in(self, stored, password=PASSWORD):
        """`stored`: what config.yml has, by what is told when it fails."""
        users = {f"user{number}": hashed for number, hashed in enumerate(stored.values())}
        suite = Suite(users=users, settings="auth: { delay_first: 0 }\n")
        self.addCleanup(suite.close)
        with open(suite.config, encoding="utf-8") as f:
            text = f.read()
        with open(suite.config, "w", encoding="utf-8") as f:
            f.write(text.replace(" pass: ", " hash: "))
        with suite:
            for user, form in zip(users, stored):
                with self.subTest(form=form):
                    with suite.login(user, password) as imap:
                        self.assertEqual(imap.select("INBOX")[0], "OK")
                    with self.assertRaises(imaplib.IMAP4.error), suite.login(user, "x" + password[1:]):
                        pass
            self.assertNotIn(password, suite.log_text())
            for hashed in stored.values():
                self.assertNotIn(hashed, suite.log_text())

    def test_those_of_openssl_passwd(self):
        self.log_in(of_openssl())

    def test_those_of_libxcrypt(self):
        self.log_in(of_libxcrypt())

    @unittest.skipUnless(shutil.which("doveadm"), "Dovecot is not installed here")
    def test_those_of_doveadm_pw(self):
        self.log_in(of_dovecot())

    def test_the_example_of_the_page(self):
        with open(f"{TOP}/man/rims.yml.5", encoding="utf-8") as f:
            section = f.read().split(".Sh HASHES OF OTHER SYSTEMS")[1].split(".Sh ")[0]
        stored = dict(re.findall(r'user: (\w+), hash: "([^"]+)"', section))
        self.assertEqual(set(stored), {"foo", "bar"})
        self.log_in(stored, "secret")


if __name__ == "__main__":
    unittest.main()
