"""Slots leased from Prefect's global concurrency limits, for all processes of a governor.

May import: context, errors, ledger, ledger.decision, ledger.postgres, machine.
Begin with: keeper.py: the thread; lease_keeper.py: what it does for one limit.
"""
