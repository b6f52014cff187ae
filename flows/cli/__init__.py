"""The command line. Parses, calls a flow, prints; heavy imports wait until they are needed.

May import: answers, automations, blocks, cli.budget, cli.doctor, cli.init, cli.research,
cli.terminal, estimate, fan_out_flow, items, publications, recovery, run, server, shards.
Begin with: main.py: the commands.
"""
