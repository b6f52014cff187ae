"""`prefect-governor ledger`: what is kept of old calls, moves, backups, a lost ledger rebuilt.

May import: blocks, cli.budget, cli.terminal, server.
Begin with: commands.py: the commands.
"""
