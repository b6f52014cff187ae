"""A document's text out of its bytes, within bounds of time and memory.

May import: blocks, items.documents.formats, items.encodings.
Begin with: extraction.py; workers.py for the processes in which it runs.
"""
