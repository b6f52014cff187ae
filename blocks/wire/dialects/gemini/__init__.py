"""Gemini's own API.

May import: errors, prices, wire.replies, wire.requests.
Begin with: generate.py.
"""
