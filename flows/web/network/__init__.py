"""One page from the network: which URLs and addresses may be reached, connections to those alone.

May import: blocks.
Begin with: fetching.py; guard.py.
"""
