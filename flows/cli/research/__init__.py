"""`prefect-governor research`.

May import: blocks, cli.terminal, deep_research, research_flow, shards.
Begin with: commands.py.
"""
