"""The options of `init`: an answer each to one of its questions."""

import click

from prefect_governor.flows.cli.terminal.command_line import F, option
from prefect_governor.flows.cli.terminal.options import run_options

INIT = (
    option("--max-usd", metavar="X", help="The ceiling in USD. [default: 5.00]"),
    option(
        "--window",
        type=click.Choice(["run", "hour", "day", "week", "month", "total"]),
        help="What the ceiling is counted over. [default: day]",
    ),
    option(
        "--model",
        metavar="M",
        help="LiteLLM's name, or auto. [default: the first that is there, as `fan-out` takes it]",
    ),
    option(
        "--source",
        "sources",
        multiple=True,
        metavar="SOURCE",
        help="A file, folder or glob that is asked about. May be given often. [default: docs where"
        " that is, else all of the folder]",
    ),
    option("--folder", metavar="DIR", help="What sources are relative to. [default: this one]"),
    option("--ask", metavar="TEXT", help="What is asked about each item."),
    option(
        "--schedule",
        metavar="CRON",
        help="When it runs by itself, or 'paused'. [default: paused]",
    ),
    option("--time-zone", metavar="ZONE", help="Of the window and the schedule. [default: UTC]"),
    option(
        "--max-concurrent", type=int, metavar="N", help="Calls in flight at once. [default: 20]"
    ),
    option("--pool", metavar="NAME", help="The work pool. [default: governed]"),
)


def init_options(command: F) -> F:
    """Put the options of `init` on it."""
    return run_options(INIT)(command)
