"""Runs whose process died, and reports that a server which was away has not got: told by the next
of our processes.

May import: blocks, publications, report.
Begin with: sweep.py; lost.py for what is told of a run that died.
"""
