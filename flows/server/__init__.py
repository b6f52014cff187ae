"""A Prefect server when there is none: found, or started once in the background and reused.

May import: blocks.
Begin with: server.py; background.py for its process, process.py for what runs in it.
"""
