"""What nobody knows the bill of, over all budgets: the page that a person reads.

May import: blocks, report.
Begin with: page.py.
"""
