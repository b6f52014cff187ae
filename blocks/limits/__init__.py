"""How much at once and how fast, as arithmetic: rates, the adaptive cap, the smallest of what
limits, memory, cores and money allow.

May import: money, records.
Begin with: derived.py: the sum that people see; adaptive.py: the cap that is learned.
"""
