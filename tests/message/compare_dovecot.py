#!/usr/bin/env python3
"""Compares our ENVELOPE, BODY, BODYSTRUCTURE and sections with Dovecot's, for the whole corpus.

  compare_dovecot.py STRUCTURE_DUMP DOC [--verbose] [--only NAME]

Starts Dovecot's imap over a pipe, already logged in, on a Maildir in a temporary directory: no
network, no root needed (started as root, Dovecot runs as nobody). DOC is message-structure.md: its
section "Differences with Dovecot" lists every case that differs, and why. A difference that is not
listed fails, and so does a listed one that is none. Without Dovecot the test is skipped (exit 77).

Not counted as differences, because IMAP gives them no meaning or Dovecot can not do otherwise:
  - quoted or literal; the order of parameters; runs of white space in a header's text
  - Dovecot serves a bare LF as CRLF and counts it so: sections are compared after the same
    change to ours, sizes are not compared where the message has bare LFs
  - a section that is not there is NIL with us and an empty string with Dovecot; where part 2 has
    no parts, Dovecot takes 2.1 for 2, and for us there is no 2.1
  - the case of media types
  - how a NUL, which no IMAP string can hold, is shown
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import corpus_gen  # noqa: E402

DOVECOT = "/usr/lib/dovecot/imap"
NOBODY = 65534
SECTIONS = [
    "HEADER", "TEXT", "1", "1.MIME", "1.HEADER", "1.TEXT", "1.1", "1.1.MIME", "1.1.1", "1.2", "1.2.HEADER", "1.2.TEXT",
    "2", "2.MIME", "2.HEADER", "2.TEXT", "2.1", "2.1.MIME", "2.2", "2.1.1", "3", "3.MIME", "3.1", "1.1.HEADER", "1.1.TEXT",
    "HEADER.FIELDS (SUBJECT FROM X-NONE)", "HEADER.FIELDS.NOT (SUBJECT RECEIVED TO)", "2.HEADER.FIELDS (SUBJECT)",
    "1.HEADER.FIELDS.NOT (SUBJECT)",
]
CONFIG = """
base_dir = {dir}/run
state_dir = {dir}/run
log_path = {dir}/log
mail_location = maildir:{dir}/Maildir
ssl = no
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {uid}
mail_gid = {gid}
stats_writer_socket_path =
"""


# ------------------------------------------------------------ reading IMAP

class Reader:
    """Strings become bytes, lists lists, NIL None, numbers ints, other atoms str."""

    def __init__(self, data, at=0):
        self.data = data
        self.at = at

    def value(self):
        c = self.data[self.at:self.at + 1]
        if c == b"(":
            self.at += 1
            out = []
            while self.data[self.at:self.at + 1] != b")":
                if self.data[self.at:self.at + 1] == b" ":
                    self.at += 1
                    continue
                out.append(self.value())
            self.at += 1
            return out
        if c == b'"':
            m = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.S).match(self.data, self.at)
            self.at = m.end()
            return re.sub(rb"\\(.)", rb"\1", m.group(1))
        if c == b"{":
            m = re.compile(rb"\{(\d+)\}\r\n").match(self.data, self.at)
            self.at = m.end() + int(m.group(1))
            return self.data[m.end():self.at]
        m = re.compile(rb"[^ ()\r\n]+").match(self.data, self.at)
        self.at = m.end()
        word = m.group(0)
        if word == b"NIL":
            return None
        return int(word) if word.isdigit() else word.decode()


def fetched(out):
    """The FETCH responses of a session: {sequence: {item: value}}."""
    result = {}
    start = re.compile(rb"\* (\d+) FETCH \(")
    line_end = re.compile(rb"\r\n")
    reader = Reader(out)
    while reader.at < len(out):
        m = start.match(out, reader.at)
        if not m:
            m = line_end.search(out, reader.at)
            if not m:
                break
            reader.at = m.end()
            continue
        reader.at = m.end()
        items = result.setdefault(int(m.group(1)), {})
        while out[reader.at:reader.at + 1] != b")":
            if out[reader.at:reader.at + 1] == b" ":
                reader.at += 1
                continue
            m = re.compile(rb"BODY\[([^]]*)\]|[A-Z.]+").match(out, reader.at)
            reader.at = m.end() + 1
            name = m.group(1) if m.group(1) is not None else m.group(0)
            items[name.decode().upper()] = reader.value()
    return result


# ------------------------------------------------------------ the two sides

def from_dovecot(messages):
    with tempfile.TemporaryDirectory(prefix="rims-compare-") as top:
        os.chmod(top, 0o755)
        root = os.geteuid() == 0
        uid, gid = (NOBODY, NOBODY) if root else (os.geteuid(), os.getegid())
        import grp
        import pwd
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(top, "Maildir", sub))
        os.mkdir(os.path.join(top, "run"))
        with open(os.path.join(top, "conf"), "w") as conf:
            conf.write(CONFIG.format(dir=top, uid=uid, gid=gid, user=pwd.getpwuid(uid).pw_name,
                                     group=grp.getgrgid(gid).gr_name))
        for i, data in enumerate(messages):
            with open("%s/Maildir/cur/%d.M%d.x:2,S" % (top, 1000000000 + i, i), "wb") as out:
                out.write(data)
        drop = {}
        if root:
            subprocess.run(["chown", "-R", "%d:%d" % (uid, gid), top], check=True)
            drop = {"user": uid, "group": gid, "extra_groups": []}
        items = "ENVELOPE BODY BODYSTRUCTURE " + " ".join("BODY.PEEK[%s]" % s for s in SECTIONS)
        commands = ["a SELECT INBOX"]
        commands += ["b FETCH %d (%s)" % (i + 1, items) for i in range(len(messages))]
        commands += ["c LOGOUT", ""]
        done = subprocess.run([DOVECOT, "-c", os.path.join(top, "conf")], input="\r\n".join(commands).encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False,
                              env={"HOME": top, "USER": pwd.getpwuid(uid).pw_name}, **drop)
        result = fetched(done.stdout)
        if len(result) != len(messages):
            sys.exit("dovecot answered for %d of %d messages: %s" %
                     (len(result), len(messages), done.stderr.decode(errors="replace")[-500:]))
        return [result[i + 1] for i in range(len(messages))]


def from_us(dump, messages):
    with tempfile.TemporaryDirectory(prefix="rims-compare-") as top:
        names = []
        for i, data in enumerate(messages):
            names.append(os.path.join(top, str(i)))
            with open(names[-1], "wb") as out:
                out.write(data)
        out = subprocess.run([dump] + SECTIONS, input="\n".join(names).encode(), stdout=subprocess.PIPE,
                             timeout=120, check=True).stdout
    result = []
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        name, _, length = out[at:end].decode().rpartition(" ")
        at = end + 1
        if name == "FILE":
            result.append({})
        elif length == "NIL":
            result[-1][name] = None
        else:
            value = out[at:at + int(length)]
            at += int(length) + 1
            if name in ("ENVELOPE", "BODY", "BODYSTRUCTURE"):
                reader = Reader(value)
                value = reader.value()
                assert reader.at == int(length), name
            result[-1][name] = value
    return result


# ------------------------------------------------------------ what is the same

def plain_text(value, nul):
    if isinstance(value, list):
        return [plain_text(v, nul) for v in value]
    if isinstance(value, bytes):
        if nul:
            value = value.replace(b"\xef\xbf\xbd", b"?").replace(b"\x80", b"?")
        return re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip()
    return value


def plain_body(body, sizes, nul, top=True):
    """A body with sorted parameters; sizes only where they can agree."""
    body = plain_text(body, nul) if top else body
    if isinstance(body[0], list):
        children = [plain_body(b, sizes, nul, False) for b in body if isinstance(b, list) and b and is_body(b)]
        rest = body[len(children):]
        rest = [sort_params(v) for v in rest]
        return children + rest
    out = [body[0].lower(), body[1].lower(), sort_params(body[2])] + body[3:]
    if not sizes:
        out[6] = "size"
    if out[:2] == [b"message", b"rfc822"] and len(out) > 8 and isinstance(out[8], list):
        out[8] = plain_body(out[8], sizes, nul, False)
    return [sort_disposition(v) if i > 8 else v for i, v in enumerate(out)]


def is_body(value):
    return isinstance(value[0], list) or (len(value) >= 7 and isinstance(value[6], int))


def sort_params(value):
    if isinstance(value, list) and len(value) % 2 == 0 and all(isinstance(v, bytes) for v in value):
        return sorted(zip(value[::2], value[1::2]))
    return sort_disposition(value)


def sort_disposition(value):
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], list):
        return [value[0], sort_params(value[1])]
    return value


def same(item, message, our, their):
    ours, theirs = our.get(item), their.get(item)
    nul = b"\0" in message
    bare = re.search(rb"(?<!\r)\n", message) is not None
    if item == "ENVELOPE":
        return plain_text(ours, nul) == plain_text(theirs, nul)
    if item in ("BODY", "BODYSTRUCTURE"):
        return plain_body(ours, not bare, nul) == plain_body(theirs, not bare, nul)
    if ours is None:
        parent = re.sub(r"\.1(?=\.[A-Z]|$)", "", item, count=1)
        return theirs in (None, b"", b"\r\n") or (item != parent and theirs == their.get(parent))
    if theirs is None:
        return False
    ours = re.sub(rb"(?<!\r)\n", b"\r\n", ours)
    if nul:
        ours = ours.replace(b"\0", b"\x80")
    return ours == theirs


# ------------------------------------------------------------ the report

def explained_cases(doc):
    """Lines "* `name`: ITEM, ITEM" of the document. A name may end in "*": then it stands for all
    cases that begin so and differ in that item."""
    cases = {}
    with open(doc, encoding="utf-8") as lines:
        for line in lines:
            m = re.match(r"\* `([^`]+)`: (.+)$", line.strip())
            if m:
                cases.setdefault(m.group(1), set()).update(s.strip() for s in m.group(2).split(","))
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dump")
    parser.add_argument("doc")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--only")
    args = parser.parse_args()
    if not os.access(DOVECOT, os.X_OK):
        print("dovecot-imapd is not installed: skipped")
        return 77
    corpus = {k: v for k, v in corpus_gen.corpus().items() if not args.only or k.startswith(args.only)}
    messages = list(corpus.values())
    theirs = from_dovecot(messages)
    ours = from_us(args.dump, messages)
    explained = explained_cases(args.doc) if os.path.exists(args.doc) else {}
    used = set()
    compared = failed = 0
    for name, message, our, their in zip(corpus, messages, ours, theirs):
        for item in ["ENVELOPE", "BODY", "BODYSTRUCTURE"] + SECTIONS:
            compared += 1
            if same(item, message, our, their):
                continue
            kind = item.split(" ")[0]
            keys = [key for key, kinds in explained.items()
                    if kind in kinds and (key == name or (key.endswith("*") and name.startswith(key[:-1])))]
            if keys:
                used.update((key, kind) for key in keys)
                if not args.verbose:
                    continue
            else:
                failed += 1
            print("%s %s%s\n  ours    %r\n  dovecot %r" %
                  (name, item, " (explained)" if keys else "", our.get(item), their.get(item)))
    if not args.only:
        for key, kinds in explained.items():
            for kind in kinds:
                if (key, kind) not in used:
                    failed += 1
                    print("%s %s: explained, but there is no difference" % (key, kind))
    print("%d messages, %d answers compared, %d explained, %d failed" % (len(messages), compared, len(used), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
