"""tests/system/documents_test.py - documents and comments name what is there (tools/check-docs)"""

import os
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def check(tree):
    done = subprocess.run([sys.executable, os.path.join(TOP, "tools", "check-docs"), tree],
                          capture_output=True, text=True)
    return done.returncode, done.stdout


class Documents(unittest.TestCase):
    def test_what_the_tree_names_is_there(self):
        status, said = check(TOP)
        self.assertEqual(status, 0, said)

    def test_what_is_missing_is_named_with_its_place(self):
        files = {
            "README.md": "[a](doc/a.md) [b](doc/b.md)\n[c](doc/a.md#one-two) [d](doc/a.md#three)\n",
            "doc/a.md": "# One two\n`common/x/x.h` `x/x.h` tests/*/*_test.py tests/FOLDER/NAME_test.py\n"
                        "`common/x/y.h` y.h tests/*/*_test.c `common/z`\n",
            "common/x/x.h": "// common/x/x.h - see doc/a.md, common/y/x.h and y.cc\n#include <stdio.h>\n",
            "tests/x/x_test.py": "",
        }
        with tempfile.TemporaryDirectory() as tree:
            for name, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
                with open(os.path.join(tree, name), "w", encoding="utf-8") as f:
                    f.write(text)
            status, said = check(tree)
        self.assertEqual(status, 1)
        self.assertEqual(said.splitlines(), [
            "README.md:1: doc/b.md does not exist",
            "README.md:2: doc/a.md#three: doc/a.md has no such heading",
            "common/x/x.h:1: common/y/x.h does not exist",
            "common/x/x.h:1: there is no y.cc",
            "doc/a.md:3: common/x/y.h does not exist",
            "doc/a.md:3: tests/*/*_test.c does not exist",
            "doc/a.md:3: common/z does not exist",
            "doc/a.md:3: there is no y.h",
            "docs: 8 wrong",
        ])


if __name__ == "__main__":
    unittest.main()
