"""The one decision that every call passes, and all that it decides upon: purses, gates, the queue,
allocations. Pure: rows come in and go out.

May import: errors, limits, machine, money, records.
Begin with: admission.py: one call; batch.py: many in one transaction; store.py: what a store must
do.
"""
