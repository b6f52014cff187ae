"""Files as people have them, made from code: no more of each format than a reader needs.

Begin with: documents.py, the table of what each says.
"""
