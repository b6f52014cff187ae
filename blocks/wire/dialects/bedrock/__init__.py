"""Amazon Bedrock's runtime: Converse for every model, InvokeModel for Anthropic's.

May import: errors, prices, wire.dialects.anthropic, wire.replies, wire.requests.
Begin with: converse.py; rules.py for what a request may hold.
"""
