"""What every command shares: how arguments are declared, a run from its first line to its exit
status, Ctrl-C, progress on stderr, the result on stdout.

May import: blocks, report, report.shown, run, server.
Begin with: command_line.py; session.py.
"""
