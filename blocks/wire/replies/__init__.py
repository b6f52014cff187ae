"""What a reply says: the meaning of a status, the provider's own rates, the events of a stream, no
secrets. Pure.

May import: records.
Begin with: verdict.py: what a status means for money.
"""
