"""Anthropic's messages.

May import: errors, prices, records, wire.replies, wire.requests.
Begin with: messages.py.
"""
