"""What is taken from Prefect outside of what it documents, a file for each noun.

Nothing else imports or touches such names. Each has the way that Prefect documents beside it, for
a version that does not have the name; docs/decisions/package/0026-prefects-private-names.md lists
them all.

May import: nothing of the package.
Begin with: names.py; engines.py for the task engines.
"""
