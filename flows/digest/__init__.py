"""A digest: what changed in the sources since it was told last, and who is told of it.

May import: blocks, items, report.
Begin with: changes.py; told.py for what is remembered.
"""
