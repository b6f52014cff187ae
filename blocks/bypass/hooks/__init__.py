"""Each library that sends HTTP, and threads: what of theirs is hooked, and the way back to it.

May import: bypass, context, errors, wire.
Begin with: httpx.py.
"""
