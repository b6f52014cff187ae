"""The loop of a sub-agent that calls tools: the tools, its corpus, and what it was really shown.

May import: blocks, items.
Begin with: loop.py.
"""
