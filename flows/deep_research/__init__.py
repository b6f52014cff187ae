"""A research run: the lead's plan, the sub-agents, what may change on the way, the answer.

May import: agent, answers, blocks, deep_research.plan, estimate, items, mcp, publications, report,
report.shown, run, subagent, tools, web.
Begin with: conductor.py; study.py for what its tasks share.
"""
