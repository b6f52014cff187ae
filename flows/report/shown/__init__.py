"""How amounts, figures and texts of others are written for a person: in artifacts, states, lines.

May import: nothing of the package.
Begin with: spending.py; literal.py for what a cell of a table may hold.
"""
