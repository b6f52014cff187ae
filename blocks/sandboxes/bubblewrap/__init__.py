"""Sandboxes by bubblewrap: namespaces, a system call filter, cgroups or what stands in for them.

May import: errors, sandboxes.
Begin with: runtime.py.
"""
