"""What a reply says: the meaning of a status, how an answer ended, the provider's own rates, the
events of a stream, no secrets. Pure.

May import: errors, records, secrets.
Begin with: verdict.py: what a status means for money; endings.py for what an answer came to.
"""
