"""A research whose agents work in several processes: tasks that are handed out as they become
ready, and the process that takes some of them.

May import: blocks, deep_research, deep_research.plan, report, run, shards.
Begin with: handing.py: the run's side; helping.py: a shard's.
"""
