"""Tools of MCP servers: how servers are told of, what they offer, the sessions of agents.

May import: blocks, agent, web, web.network.
Begin with: serving.py: the servers of a run; sessions.py: those of one agent.
"""
