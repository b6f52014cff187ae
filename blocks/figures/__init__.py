"""What the ledger says of a run: figures, why no more is at once, what was only observed, what a
provider's export says of open calls.

May import: bypass, context, errors, ledger.decision, limits, machine, money, prices, records, wire,
work.
Begin with: figures.py.
"""
