"""Ceilings: money, windows, the Budget block."""
