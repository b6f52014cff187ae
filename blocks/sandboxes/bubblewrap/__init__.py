"""Sandboxes by bubblewrap: namespaces, a system call filter, cgroups or what stands in for them.

May import: errors, sandboxes, workspaces.
Begin with: runtime.py.
"""
