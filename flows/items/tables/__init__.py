"""Tables as rows: delimited text, JSON Lines, JSON arrays, YAML lists, workbooks, Parquet.

May import: blocks, items.encodings.
Begin with: table.py; kinds.py for which file is a table; delimited.py for how a dialect is told.
"""
