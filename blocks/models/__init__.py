"""Calls of models through LiteLLM: its functions under a governor, which model, which provider,
which client, what a failure means.

May import: context, errors, machine, models.library, offline, prices, records, secrets, wire,
wire.dialects, wire.replies.
Begin with: completion.py; choice.py for which model is called.
"""
