"""A run that several processes share: what is cut up for them, how each takes its part, how what
they came to is one report.

May import: blocks, items, report, run, subagent.
Begin with: plan.py: what all of them read; feed.py: a shard; spread.py: the run that they are of.
"""
