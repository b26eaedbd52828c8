"""tests/system/dovecot.py - a Dovecot without a server, for tests of what it has written

    @unittest.skipUnless(INSTALLED, "Dovecot is not installed here")
    home, doveadm = make(directory, "mdbox:HOME/mail", "mdbox_rotate_size = 2k")
    doveadm("save", "-m", "INBOX", stdin=b"Subject: x\\n\\nx\\n")

Run by root, it works as the user nobody.
"""

import json
import os
import shutil
import subprocess
import tempfile

from tests.system.harness import NOBODY

INSTALLED = bool(shutil.which("doveadm") and shutil.which("setpriv"))


def make(directory, location, settings=""):
    """A new directory below `directory`, and doveadm as a function. HOME in `location` and `settings` is that directory."""
    home = tempfile.mkdtemp(prefix="dovecot-", dir=directory)
    os.makedirs(f"{home}/run")
    with open(f"{home}/dovecot.conf", "w", encoding="utf-8") as f:
        f.write(f"""protocols =
base_dir = {home}/run
log_path = {home}/log
mail_location = {location.replace("HOME", home)}
first_valid_uid = 0
first_valid_gid = 0
{settings.replace("HOME", home)}
namespace inbox {{
  inbox = yes
  separator = /
}}
""")
    root = os.geteuid() == 0
    if root:
        for where in (home, f"{home}/run", f"{home}/dovecot.conf"):
            os.chown(where, NOBODY, NOBODY)

    def doveadm(*words, stdin=b"", text=True):
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if root else []
        done = subprocess.run(
            [*drop, "doveadm", "-c", f"{home}/dovecot.conf", *words], input=stdin, timeout=60,
            capture_output=True, env={"PATH": os.environ["PATH"], "HOME": home, "USER": "nobody"})
        if done.returncode != 0:
            raise AssertionError(f"doveadm {' '.join(words)}: {done.stderr.decode()}")
        return done.stdout.decode() if text else done.stdout
    return home, doveadm


def what_it_has(doveadm, mailbox):
    """(UIDVALIDITY, UIDNEXT, {uid: (flags and keywords, date, bytes)}) as Dovecot itself says it."""
    status = dict(word.split("=") for word in doveadm(
        "-f", "flow", "mailbox", "status", "uidvalidity uidnext", mailbox).split()[-2:])
    rows = json.loads(doveadm("-f", "json", "fetch", "uid flags date.received.unixtime text", "mailbox", mailbox))
    return int(status["uidvalidity"]), int(status["uidnext"]), {
        int(row["uid"]): (set(row["flags"].split()) - {r"\Recent"}, int(row["date.received.unixtime"]),
                          row["text"].encode()) for row in rows}
