"""Model calls inside a governor's scope by clients that are not the governor's: governed where HTTP
leaves Python, or refused before a byte of them does.

May import: context, errors, prices, secrets, wire, wire.dialects.
Begin with: calls.py: what is looked at, and what becomes of it; install.py: where.
"""
