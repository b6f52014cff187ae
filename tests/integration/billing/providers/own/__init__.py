"""Servers on a machine of one's own."""
