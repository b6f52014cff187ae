"""The web as agents reach it: pages by their lines, searches that are paid, the tools for both.

May import: blocks, agent, items.documents, items.documents.formats, web.network.
Begin with: web.py.
"""
