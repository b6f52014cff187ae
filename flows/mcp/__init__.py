"""Tools of MCP servers: how servers are told of, the connections of a run, what they offer.

May import: blocks, agent, web, web.network.
Begin with: connections.py.
"""
