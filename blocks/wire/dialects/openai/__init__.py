"""OpenAI's APIs, which most others speak too: chat completions, embeddings, responses.

May import: errors, prices, records, wire.replies, wire.requests.
Begin with: chat.py.
"""
