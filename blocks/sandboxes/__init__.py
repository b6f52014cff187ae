"""Programs of a model run apart from the host: their bounds, their results, one file a runtime.

May import: errors, limits, secrets, workspaces.
Begin with: runtime.py.
"""
