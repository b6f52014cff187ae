"""A person at work in both of Prefect's UIs: blocks, runs from their forms, money, buttons.

May import: tests.ui, tests.integration.
Begin with: person.py.
"""
