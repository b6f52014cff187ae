"""The web as agents reach it: a guard of addresses, pages with their lines, searches that are paid.

May import: blocks, agent, items.
Begin with: web.py; guard.py.
"""
