"""`python -m tests.benchmarks.ledger`."""

from tests.benchmarks.ledger.pairs import main

main()
