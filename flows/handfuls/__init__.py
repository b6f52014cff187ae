"""Handfuls of items: several that share one task run of Prefect's.

May import: blocks.
Begin with: sizes.py for how many; handful.py for how they come and end.
"""
