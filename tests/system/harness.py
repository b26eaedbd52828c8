"""tests/system/harness.py - starts the real suite for a test, in a directory of its own

    with Suite(users={"foo": "bar"}) as suite:
        suite.deliver(b"Subject: hello\\n\\nhello\\n", user="foo")
        with suite.login("foo") as imap:          # imaplib
            imap.select("INBOX")

The suite runs from build/stage, or from $RIMS_STAGE, on free ports of 127.0.0.1. Tests run by root
start it as the user nobody unless `privileged=True` is asked for. It is ready when the controller
has written run_dir/ports: lines `imap PORT`, `imaps PORT`. stop() (and the end of `with`) checks
that everything ends within ten seconds and that no process is left; when a test fails, the log of
the suite is printed.
"""

import contextlib
import imaplib
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NOBODY = 65534
STOP_LIMIT = 10.0
START_LIMIT = 30.0


class Failure(AssertionError):
    """The suite did not do what every test may rely on."""


def wait_for(condition, limit, what, step=0.01):
    """Polls every `step` seconds until `condition()` is true and returns its value; a Failure after `limit`."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {limit:g} s: {what}")
        time.sleep(step)


def readable_by_nobody(path):
    while True:
        if not os.stat(path).st_mode & 0o001:
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


_stage_copy = None


def stage_directory():
    """The tree to run from, where the user nobody can reach it."""
    global _stage_copy
    stage = os.path.abspath(os.environ.get("RIMS_STAGE", os.path.join(TOP, "build", "stage")))
    if not os.path.isdir(stage):
        raise Failure(f"{stage} is missing: run make")
    if not os.path.exists(os.path.join(stage, "libexec/rims/rims-controller")):
        raise Failure(f"{stage} holds no controller: run make")
    if os.geteuid() != 0 or readable_by_nobody(stage):
        return stage
    if _stage_copy is None:
        _stage_copy = tempfile.TemporaryDirectory(prefix="rims-stage-")
        os.chmod(_stage_copy.name, 0o755)
        shutil.copytree(stage, os.path.join(_stage_copy.name, "stage"), symlinks=True)
    return os.path.join(_stage_copy.name, "stage")


_certificate = None


def certificate():
    """(certificate, key) files for 127.0.0.1 and localhost, made once per test program."""
    global _certificate
    if _certificate is None:
        _certificate = tempfile.TemporaryDirectory(prefix="rims-cert-")
        where = _certificate.name
        os.chmod(where, 0o755)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", f"{where}/key.pem", "-out", f"{where}/cert.pem"],
            check=True, capture_output=True, timeout=60)
        os.chmod(f"{where}/key.pem", 0o600)
    return f"{_certificate.name}/cert.pem", f"{_certificate.name}/key.pem"


def processes():
    """{pid: (parent, name)} of every process there is, zombies left out."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as f:
                text = f.read()
            name = text[text.index("(") + 1:text.rindex(")")]
            state, parent = text[text.rindex(")") + 2:].split()[:2]
            if state != "Z":
                found[int(entry)] = (int(parent), name)
    return found


class Suite:
    def __init__(self, users=None, settings=None, tls=True, privileged=False, env=None,
                 directory=None, log_level="DEBUG"):
        """users: {name: plain password}. settings: lines of YAML put into config.yml as they are;
        a section of ours (tls, listen) must not be repeated there."""
        self.users = {"foo": "bar"} if users is None else users
        self.stage = stage_directory()
        self.env = {**os.environ, **(env or {})}
        self.privileged = privileged
        self.drop = os.geteuid() == 0 and not privileged
        self._made = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="rims-test-")
        self.config = os.path.join(self.directory, "config.yml")
        self.mail = os.path.join(self.directory, "mail")
        self.run_dir = os.path.join(self.directory, "run")
        self.output = os.path.join(self.directory, "output")
        self.cert = None
        self.child = None
        self.imap_port = self.imaps_port = None
        self.tags = set()  # what the tags of our own sessions start with
        os.makedirs(self.mail, exist_ok=True)
        os.makedirs(self.run_dir, exist_ok=True)
        self._write_config(settings or "", tls, log_level)
        if self.drop:
            for where, _, files in os.walk(self.directory):
                for path in [where] + [os.path.join(where, f) for f in files]:
                    os.chown(path, NOBODY, NOBODY)
        elif privileged:
            os.chmod(self.directory, 0o755)

    def _write_config(self, settings, tls, log_level):
        lines = [f"base_dir: {self.mail}", "imap_host: 127.0.0.1", "imap_port: 0",
                 f"log_level: {log_level}", "hostname: localhost", "paths:", f"  run_dir: {self.run_dir}",
                 "user_list:"]
        for user, password in self.users.items():
            lines.append(f'  - {{user: "{user}", pass: "{password}"}}')
        if tls:
            cert, key = certificate()
            self.cert = os.path.join(self.directory, "cert.pem")
            shutil.copy(cert, self.cert)
            shutil.copy(key, os.path.join(self.directory, "key.pem"))
            os.chmod(os.path.join(self.directory, "key.pem"), 0o600)
            lines += ["tls:", "  certificate: cert.pem", "  key: key.pem", "listen:",
                      "  imaps_port: 0"]
        with open(self.config, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n" + settings)
        os.chmod(self.config, 0o600)

    def mail_on(self, directory):
        """base_dir is this one instead, before the first start."""
        with open(self.config, encoding="utf-8") as f:
            text = f.read()
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text.replace(f"base_dir: {self.mail}\n", f"base_dir: {directory}\n"))
        self.mail = directory

    # Life ---------------------------------------------------------------------------------------

    def start(self):
        ports = os.path.join(self.run_dir, "ports")
        with contextlib.suppress(FileNotFoundError):
            os.remove(ports)
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.drop else {}
        with open(self.output, "ab") as out:
            self.child = subprocess.Popen(
                [f"{self.stage}/libexec/rims/rims-controller", "-c", self.config],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=self.env,
                cwd="/", start_new_session=True, **who)

        def ready():
            if self.child.poll() is not None:
                raise Failure(f"the controller ended with status {self.child.returncode}\n"
                              + self.output_text())
            with contextlib.suppress(FileNotFoundError):
                with open(ports, encoding="ascii") as f:
                    return dict(line.split() for line in f)
            return None
        try:
            told = wait_for(ready, START_LIMIT, "the suite is ready")
        except BaseException:
            self._end()
            self.dump()
            raise
        self.imap_port = int(told["imap"])
        self.imaps_port = int(told["imaps"]) if "imaps" in told else None
        return self

    def stop(self):
        """SIGTERM; everything must end in time, with status 0, and leave no process."""
        if self.child is None or self.child.returncode is not None:
            return
        family = self.pids()
        began = time.monotonic()
        self.child.terminate()
        try:
            status = self.child.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._end()
            raise Failure(f"not stopped within {STOP_LIMIT:g} s\n" + self.output_text()) from None
        left = [p for p in family if p in processes()]
        if left:
            names = {p: processes().get(p) for p in left}
            self._end(left)
            raise Failure(f"left after the end: {names}")
        if status != 0:
            raise Failure(f"the controller ended with status {status}\n" + self.output_text())
        return time.monotonic() - began

    def _end(self, pids=()):
        for pid in [*self.pids(), *pids]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.child is not None:
            self.child.wait()

    def kill_controller(self):
        """SIGKILL to the controller alone; returns when all of its children have ended, too."""
        family = self.pids()
        self.child.kill()
        self.child.wait()
        wait_for(lambda: not set(family) & set(processes()), STOP_LIMIT,
                 "the children of a killed controller end")

    def kill_all(self):
        """SIGKILL to every process at once, as when the power goes."""
        family = self.pids()
        # The controller first stops: it must not start anything while its children are killed.
        for pid in family[:1]:
            os.kill(pid, signal.SIGSTOP)
        for pid in sorted(set(family) | set(self.pids()), reverse=True):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.child.wait()
        wait_for(lambda: not set(family) & set(processes()), STOP_LIMIT, "killed processes end")

    def close(self):
        if self._made:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self if self.child else self.start()

    def __exit__(self, kind, value, trace):
        try:
            if kind is not None:
                self.dump()
                self._end()
            else:
                self.stop()
        except BaseException:
            self.dump()
            raise
        finally:
            self.close()

    # What is there ------------------------------------------------------------------------------

    def pids(self, role=None):
        """Process ids of the suite, the controller's first; or those of one role ("imapd")."""
        if self.child is None or self.child.returncode is not None:
            return []
        everything = processes()
        family = [self.child.pid] if self.child.pid in everything else []
        family += sorted(p for p, (parent, _) in everything.items() if parent == self.child.pid)
        if role is None:
            return family
        return [p for p in family if everything[p][1] == ("rims-" + role)[:15]]

    def kill(self, role, number=0, sig=signal.SIGKILL):
        """Kills one process of a role and returns its pid."""
        pid = self.pids(role)[number]
        os.kill(pid, sig)
        return pid

    def log_text(self):
        text = ""
        for where, _, files in os.walk(self.mail):
            for name in sorted(files):
                if name.startswith("imap.log"):
                    with open(os.path.join(where, name), encoding="utf-8", errors="replace") as f:
                        text += f.read()
            break
        return text

    def output_text(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.output, encoding="utf-8", errors="replace") as f:
                return f.read()
        return ""

    def dump(self):
        for name, text in (("output", self.output_text()), ("imap.log", self.log_text())):
            lines = text.splitlines()[-60:]
            print(f"--- the suite's {name}:", *lines, sep="\n    ", file=sys.stderr, flush=True)

    # Use ----------------------------------------------------------------------------------------

    def command(self, *words, stdin=b"", limit=30, **more):
        """Runs a program of the suite as the user that runs it: command("bin/rims", "version")."""
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.drop else {}
        return subprocess.run([os.path.join(self.stage, words[0]), *words[1:]], input=stdin,
                              capture_output=True, timeout=limit, cwd="/",
                              env={**self.env, "RIMS_CONFIG": self.config}, **who, **more)

    def deliver(self, message, user="foo", sender="sender@example.org", mailbox=None, check=True,
                limit=30):
        """Hands a message to rims-deliver. With `check`, anything but exit status 0 is a Failure."""
        words = ["bin/rims-deliver", "-d", user, "-f", sender]
        if mailbox:
            words += ["-m", mailbox]
        done = self.command(*words, stdin=message, limit=limit)
        if check and done.returncode != 0:
            raise Failure(f"rims-deliver: status {done.returncode}: {done.stderr.decode()}")
        return done

    def tls_context(self):
        return ssl.create_default_context(cafile=self.cert)

    @contextlib.contextmanager
    def login(self, user="foo", password=None, security=None, limit=30):
        """imaplib, logged in; security is None, "starttls" or "tls"."""
        if security == "tls":
            imap = imaplib.IMAP4_SSL("127.0.0.1", self.imaps_port, timeout=limit,
                                     ssl_context=self.tls_context())
        else:
            imap = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=limit)
            if security == "starttls":
                imap.starttls(self.tls_context())
        self.tags.add(imap.tagpre.decode())
        try:
            imap.login(user, password or self.users[user])
            yield imap
        finally:
            with contextlib.suppress(OSError, imaplib.IMAP4.error):
                imap.logout()
