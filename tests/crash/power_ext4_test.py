"""Power cuts on ext4: 500 states of the disk (long: 10,000), each recovered and compared with the ledger

RIMS_STATES says how many. See tests/crash/power.py.
"""

# time limit: 600 s

import unittest

from tests.crash.power import PowerTest


class Power(PowerTest, unittest.TestCase):
    kind = "ext4"


if __name__ == "__main__":
    unittest.main()
