"""A ledger without a database in common: what a machine may spend of a budget is drawn, on
Prefect's API alone, from a counter that all machines share; what it does not spend is given back.

May import: errors, leases, ledger, ledger.decision, ledger.sqlite, machine, records.
Begin with: plan.py: how much is drawn and given back; drawer.py: how; counters.py: what is asked.
"""
