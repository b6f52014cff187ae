"""What the documents of a Governor, a Budget, a Limit and a Model say, as plain pydantic models
without Prefect. The Blocks inherit from them.

May import: errors, money, prefect_internals, prices, records, secrets.
Begin with: governor.py; a new field that people fill in stands here first.
"""
