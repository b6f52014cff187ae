"""What code asks of a governor: calls and clients, slots, money for other things, a part of a
budget.

May import: context, documents, errors, ledger, ledger.decision, machine, models, money,
records, secrets, terms, wire, work, workspaces.
Begin with: calls.py; clients.py; holds.py.
"""
