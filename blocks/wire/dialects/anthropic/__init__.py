"""Anthropic's messages.

May import: errors, prices, wire.replies, wire.requests.
Begin with: messages.py.
"""
