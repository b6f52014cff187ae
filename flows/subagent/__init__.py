"""The sub-agent that a fan-out maps over its items: what it is told, and how its model is asked.

May import: blocks, agent, handfuls, items, mcp, report, run, runner, tools.
Begin with: subagent.py; starting.py for how its task runs begin.
"""
