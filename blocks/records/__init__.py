"""The plain values that the wire, the decision and a store hand each other. No I/O, no clock.

May import: errors, money.
Begin with: calls.py: Demand, Admission, Usage are the life of a call; budgets.py: Account is a
Budget in the ledger.
"""
