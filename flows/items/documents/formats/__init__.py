"""What each format holds, taken out of its bytes, and what a file is at all. Pure.

May import: blocks, items.encodings.
Begin with: kinds.py; a file for each family of formats.
"""
