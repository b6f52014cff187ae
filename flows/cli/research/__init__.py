"""`prefect-governor research`.

May import: blocks, cli.terminal, deep_research, research_flow.
Begin with: commands.py.
"""
