"""What this machine is: its clocks, its filesystem, where state lives, which process leads, whether
it stood still, when garbage is collected.

May import: errors.
Begin with: home.py for where things are; clock.py for what time is compared by.
"""
