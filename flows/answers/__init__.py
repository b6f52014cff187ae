"""The shape that answers must have: a JSON schema, checked once, and the value found in an answer.

May import: blocks.
Begin with: shape.py; found.py for how the value is found.
"""
