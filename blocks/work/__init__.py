"""Governors at work in this process: a runtime each, the ledgers that are open, what follows the
documents.

May import: bypass, context, documents, draws, errors, leases, ledger, ledger.decision,
ledger.postgres, ledger.sqlite, limits, machine, prices, records, statements, telemetry, terms,
wire.
Begin with: registry.py: how one is put to work; runtime.py: what it then knows.
"""
