"""The secrets that this process knows, and what leaves it without them: texts, values, errors, log
records.

May import: nothing of the package.
Begin with: exits.py for what those call where something leaves; names.py for what is a secret.
"""
