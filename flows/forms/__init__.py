"""The ready flows' parameters as Prefect's form shows them to whoever starts a deployed run.

May import: nothing of the package.
Begin with: shape.py; fan_out.py and research.py are what people read.
"""
