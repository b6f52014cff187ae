"""Frameworks as they install today, each at its documentation's first program, with a governor and
without: `python -m tests.frameworks [NAME…]` measures them and writes docs/frameworks.md.

A framework is a file of `programs/`, which is found by itself: its programs in their two forms, the
packages that they need, the hosts that they speak to. Each is run in an environment of its own
(`environments`), by `worker`, which sees no host but the strict provider's (`front`, `redirect`).
What the table says is `measured`, by the provider's own bill.
"""
