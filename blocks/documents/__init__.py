"""The blocks as Prefect's API has them: read and checked, which ledger they count in, what is told
of them as events.

May import: errors, ledger, machine, prefect_internals, prices, records, secrets, terms.
Begin with: documents.py.
"""
