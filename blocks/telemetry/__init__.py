"""What OpenTelemetry is told of calls, budgets and limits, once somebody has configured it.

May import: errors, money.
Begin with: switch.py: whether anything is told; call.py: what is told of one call.
"""
