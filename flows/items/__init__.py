"""What a fan-out is made of: files, folders, rows and lines as items, and their text.

May import: blocks, items.documents, items.documents.formats, items.encodings, items.tables.
Begin with: sources.py; extraction.py for a file's text.
"""
