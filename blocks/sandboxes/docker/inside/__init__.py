"""What runs in a container, by the Python of its image: 3.8 or later, with nothing of this package
but the texts of these two files, which it is given.

May import: nothing of the package.
Begin with: supervisor.py.
"""
