"""A governor's page of money, for whoever pays: gathered, foretold, written, and kept up by the
process that is elected to.

May import: documents, ledger, ledger.decision, machine, money, records, secrets.
Begin with: statement.py: what is in it; publishing.py: when it is written anew.
"""
