"""The sub-agent that a fan-out maps over its items: what it is told, and how its model is asked.

May import: blocks, agent, items, mcp, run, tools.
Begin with: subagent.py.
"""
