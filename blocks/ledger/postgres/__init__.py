"""The ledger in a PostgreSQL database: one for all machines. Keeps rows, decides nothing.

May import: errors, ledger, ledger.decision, limits, machine, records.
Begin with: store.py; what the columns mean stands in migrations/.
"""
