"""Money as integers of nano-dollars, and the windows that a budget is counted over. Pure.

May import: errors.
Begin with: usd.py: how an amount that a person writes becomes one that can be added up.
"""
