"""The ledger in one SQLite file: for all processes of a machine. Keeps rows, decides nothing.

May import: errors, ledger, ledger.decision, limits, machine, records.
Begin with: store.py; what the columns mean stands in migrations/.
"""
