"""A ledger's own life: what is kept of what is over. Holds the ledger's lock for moments.

May import: ledger.decision, records.
Begin with: compaction.py: old calls become sums.
"""
