"""What a run would do, cost and take, from its real inputs, without a call; and whether it is worth
it.

May import: blocks, agent, items, run, run.log, subagent.
Begin with: estimate.py; spread.py for the arithmetic.
"""
