"""The ledger in this process: its one door (the desk), its writer that commits for everybody, who
is alive. Not the decision, not the storage.

May import: errors, ledger.decision, machine, records, secrets.
Begin with: desk.py: what callers ask; writer.py: how it is committed.
"""
