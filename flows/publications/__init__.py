"""What is to be written of a flow run, kept on disk until Prefect's server has it.

May import: blocks.
Begin with: publication.py for what is kept; writing.py for how it gets there, once.
"""
