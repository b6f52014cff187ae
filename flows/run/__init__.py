"""A run's life: what it was asked, what is under way, what became of it, how it is stopped, watched
and gone on with.

May import: answers, blocks, handfuls, items, publications, report, report.shown, run.log, runner,
server, tools, web.
Begin with: job.py: a run that is ready; outcomes.py: what came of it.
"""
