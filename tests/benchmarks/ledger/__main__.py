"""`python -m tests.benchmarks.ledger`."""

import sys

from tests.benchmarks.ledger.pairs import main

sys.exit(main())
