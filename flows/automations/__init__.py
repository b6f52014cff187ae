"""What Automations run: deployments held back while a budget is nearly spent, a person asked to
raise one.

May import: blocks, cli.budget, forms.
Begin with: holding.py.
"""
