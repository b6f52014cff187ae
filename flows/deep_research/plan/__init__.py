"""The plan of a research run as a graph, and what of it may start now. Pure.

May import: blocks, items.tables.
Begin with: plan.py; scheduler.py.
"""
