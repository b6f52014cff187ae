"""Programs of a model run apart from the host: their bounds, their results, one file a runtime.

May import: nothing of the package.
Begin with: runtime.py.
"""
