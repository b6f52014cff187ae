"""A ledger's own life: what is kept of what is over, moves, backups, what is missing is charged.

May import: errors, ledger, ledger.decision, ledger.postgres, ledger.sqlite, machine, money,
records.
Begin with: compaction.py: old calls become sums; moving.py: from one store to another.
"""
