"""Tools of MCP servers: how servers are told of, the connections of a run, what they offer.

May import: blocks, agent, web.
Begin with: connections.py.
"""
