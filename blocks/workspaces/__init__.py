"""A folder an item: how it is made, what may stand in it, how names are kept inside, what of it is
kept. What is written there by programs of a model is hostile.

May import: errors, machine.
Begin with: workspace.py; names.py for what is refused, archive.py for what comes out of a sandbox.
"""
