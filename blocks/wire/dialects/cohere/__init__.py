"""Cohere's own API: chat and embeddings. Its rerank is that of others too, see `rerank`.

May import: errors, prices, wire.replies, wire.requests.
Begin with: chat.py.
"""
