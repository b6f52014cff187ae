"""What the running code is part of, found through context variables: the governor, the item, the
task's time, whether limits hold.

May import: errors, ledger.decision, machine, prices, records, terms.
Begin with: scope.py: who a call is for.
"""
