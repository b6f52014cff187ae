"""`offline/extract`: the extractive model in the package, behind the same HTTP as any other.

May import: prices, wire.
Begin with: answering.py: how an answer is made; transport.py: how it is reached.
"""
