"""What a run came to: its model, its outcome and reasons, its artifacts, the state that says it.

May import: blocks, items, publications, report.shown.
Begin with: model.py; publish.py for how a report gets into Prefect.
"""
