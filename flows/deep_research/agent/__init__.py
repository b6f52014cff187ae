"""A sub-agent of a research run: its loop, its tools, its corpus, and what it was really shown.

May import: blocks, items.
Begin with: loop.py.
"""
