"""LiteLLM itself: imported once, and what it does for itself left out where nobody reads it.

May import: context, machine.
Begin with: module.py.
"""
