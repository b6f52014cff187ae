"""What a run's log tells a person, on its page in Prefect: some ten lines, whatever its size.

May import: blocks, report, report.shown.
Begin with: run_log.py; lines.py for the words.
"""
