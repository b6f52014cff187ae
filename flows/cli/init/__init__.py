"""`prefect-governor init`: what a team begins with, made or brought up to date by one command.

May import: blocks, cli.terminal, fan_out_flow, run, server.
Begin with: command.py; differences.py is the decision what has to change.
"""
