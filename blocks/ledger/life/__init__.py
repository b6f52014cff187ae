"""A ledger's own life: what is kept of what is over, and its move to another store.

May import: errors, ledger, ledger.decision, ledger.postgres, ledger.sqlite, machine, records.
Begin with: compaction.py: old calls become sums; moving.py: from one store to another.
"""
