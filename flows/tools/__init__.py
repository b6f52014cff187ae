"""The tools of a fan-out's sub-agents: an item's workspace, read and searched, and programs on it.

May import: blocks, agent, items, items.documents, items.documents.formats, items.encodings, mcp,
web.
Begin with: kit.py: what was asked for; bench.py: what the tools of one item work on.
"""
