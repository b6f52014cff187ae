"""The secrets that this process knows, and what leaves it without them: texts, values, errors, log
records.

May import: errors.
Begin with: exits.py for what those call where something leaves; names.py for what is a secret.
"""
