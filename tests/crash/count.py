"""tests/crash/count.py - what a harness did, in the one line that tools/run-tests collects

    HARNESS kill: runs=1 states=0 faults=503 lost=0 duplicated=0 corrupt=0 mutants=0/0

runs: how often the whole was set up; states: what was recovered and compared; faults: what was done
to it; lost, duplicated, corrupt: messages; mutants: noticed/tried. Several lines of one harness are
added up. Tests in C++ print the same line.
"""

import os

LONG = os.environ.get("RIMS_LONG", "") not in ("", "0")
# Asked for by name, not as a part of `make test`.
HARNESSES = LONG or bool(os.environ.get("RIMS_HARNESSES"))
COLUMNS = ("runs", "states", "faults", "lost", "duplicated", "corrupt")


def size(variable, short, long):
    """How much to do: what the environment says, else the size for CI or that of `make check-long`."""
    return int(os.environ.get(variable, long if LONG else short))


def tell(harness, mutants=(0, 0), **counts):
    unknown = set(counts) - set(COLUMNS)
    assert not unknown, unknown
    numbers = " ".join(f"{name}={counts.get(name, 0)}" for name in COLUMNS)
    print(f"HARNESS {harness}: {numbers} mutants={mutants[0]}/{mutants[1]}", flush=True)
