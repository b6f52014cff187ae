"""What a fan-out is made of: files, folders, rows and lines as items, and their text.

May import: blocks.
Begin with: sources.py; extraction.py for what is read out of a file.
"""
