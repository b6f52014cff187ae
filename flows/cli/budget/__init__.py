"""`prefect-governor budget`: what is spent and by whom, the ceiling, calls that nobody knows the
cost of.

May import: blocks, cli.terminal, server.
Begin with: commands.py.
"""
