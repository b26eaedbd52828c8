"""tests/crash/lossy.py - power cuts and damage for journals: the other half of lossy_io.c

preload() puts rims-imapd of a copied stage behind a script that preloads the library; power_cut() rolls
back, in files of the dead suite, what no sync covered.
"""

import os
import shutil
import struct
import subprocess

NOTE = struct.Struct("<IIQQQ")
MAGIC = 0x4C4F5353
SECTOR = 512


def preload(suite, directory, mutant, names=("rims-imapd",), **variables):
    """preload_library() of lossy_io.c, the same for all programs `names`."""
    env = {"RIMS_LOSSY_MUTANT": mutant or "none", **variables}
    library = preload_library(suite, directory, "lossy_io.c", {name: env for name in names})
    return {"LD_PRELOAD": library, **env}


def preload_library(suite, directory, source, programs):
    """Makes directory/stage, a copy of the suite's, whose `programs` {name: environment} run with a library in
    front of them, and lets the suite, which has not started yet, run from there. Returns the library, made of
    a file of this folder."""
    stage, suite.stage = suite.stage, os.path.join(directory, "stage")
    os.chmod(directory, 0o755)
    shutil.copytree(stage, suite.stage, symlinks=True)
    library = os.path.join(directory, source.replace(".c", ".so"))
    subprocess.run([os.environ.get("LOSSY_CC", "clang-19"), "-O1", "-fPIC", "-shared", "-o", library,
                    os.path.join(os.path.dirname(os.path.abspath(__file__)), source),
                    "-ldl", "-lpthread"], check=True, timeout=60)
    where = os.path.join(suite.stage, "libexec", "rims")
    real = os.path.join(where, "real")
    os.makedirs(real)
    for name, env in programs.items():
        words = " ".join(f"{key}={value}" for key, value in {"LD_PRELOAD": library, **env}.items())
        script = os.path.join(where, name)
        os.rename(script, os.path.join(real, name))
        with open(script, "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\nexport {words}\nexec {real}/{name} \"$@\"\n")
        os.chmod(script, 0o755)
    return library


class Lossy:
    def __init__(self, suite, directory, mutant=None):
        """The suite's rims-imapd will run on a forgetful disk."""
        # rims-imapd may open files below base_dir only.
        self.undo = os.path.join(suite.mail, "undo")
        os.makedirs(self.undo)
        os.chown(self.undo, os.stat(suite.mail).st_uid, os.stat(suite.mail).st_gid)
        preload(suite, directory, mutant, RIMS_LOSSY_DIR=self.undo, RIMS_LOSSY_UNDER="/journal")

    def _notes(self, name):
        """Notes after the last sync, oldest first, and the path of the file."""
        with open(os.path.join(self.undo, name), "rb") as f:
            data = f.read()
        at, path, notes = 0, None, []
        while at + NOTE.size <= len(data):
            magic, kind, offset, old_size, length = NOTE.unpack_from(data, at)
            body = data[at + NOTE.size:at + NOTE.size + length]
            if magic != MAGIC or len(body) < length:
                break  # torn: the write that it announces never began
            at += NOTE.size + length
            if kind == ord("S"):
                notes = []
            elif kind == ord("P"):
                path = body.decode()
            else:
                notes.append((chr(kind), offset, old_size, body))
        return path, notes

    def power_cut(self, random):
        """Loses what was not synced: by chance all of it, or some of its sectors. Returns how many
        writes were touched. No process of the suite may be alive."""
        touched = 0
        made = []
        for name in sorted(os.listdir(self.undo)):
            path, notes = self._notes(name)
            made += [body.decode() for kind, _, _, body in notes if kind == "C"]
            writes = [n for n in notes if n[0] == "W"]
            if path and writes and os.path.exists(path):
                everything = random.random() < 0.5
                with open(path, "r+b") as f:
                    for _, offset, old_size, body in reversed(writes):
                        touched += 1
                        for start in range(0, len(body), SECTOR):
                            if everything or random.random() < 0.5:
                                f.seek(offset + start)
                                f.write(body[start:start + SECTOR])
                        if everything or random.random() < 0.5:
                            f.flush()
                            # Bytes past the old end go; an old end further out comes back as holes.
                            f.truncate(old_size)
        for path in reversed(made):
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.remove(path)
        for name in os.listdir(self.undo):
            os.remove(os.path.join(self.undo, name))
        return touched


def journals(mail):
    """Paths of all journal segments under a base directory, oldest first."""
    found = []
    for where, _, files in os.walk(mail):
        if os.path.basename(where) == "journal":
            found += [os.path.join(where, f) for f in files]
    return sorted(found)
