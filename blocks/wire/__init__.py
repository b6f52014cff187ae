"""The httpx transports in which every call is admitted and settled, around its bytes.

May import: context, errors, machine, prices, records, secrets, telemetry, wire.dialects,
wire.dialects.bedrock, wire.replies, wire.requests.
Begin with: transport.py, then exchange.py: the life of one call.
"""
