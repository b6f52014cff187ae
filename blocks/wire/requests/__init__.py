"""What a request may cost at most: its body read, its images counted, its max_tokens fitted. Pure.

May import: errors, ledger.decision, money, prices, records, wire.replies.
Begin with: plans.py: what a dialect has to say of a call.
"""
