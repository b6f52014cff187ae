"""Sandboxes in containers of a Docker engine, or of what speaks as one: a container a cell, some
made ahead, none of them used twice.

May import: errors, ledger, sandboxes, sandboxes.bubblewrap, work.
Begin with: runtime.py; inside/ is what runs in them.
"""
