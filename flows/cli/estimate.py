"""`prefect-governor estimate`: of a fan-out, and of a research."""

from collections.abc import Sequence
from typing import Any

import click

from prefect_governor.flows.cli.research.commands import COMMAND as RESEARCH
from prefect_governor.flows.cli.research.commands import research_estimate
from prefect_governor.flows.cli.terminal.command_line import Command

FAN_OUT = "fan-out"


class Estimate(Command):
    """The command as it stands is of a fan-out, which may be named; `research` is of a research. A
    source that is called so has a question, which a research is given without an option."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        first = args[0] if args else None
        if first == RESEARCH and not _asks(args):
            name = f"{info_name} {RESEARCH}"
            return research_estimate.make_context(name, args[1:], parent, **extra)
        if first == FAN_OUT:
            info_name, args = f"{info_name} {FAN_OUT}", args[1:]
        return super().make_context(info_name, args, parent, **extra)


def _asks(args: Sequence[str]) -> bool:
    return any(each == "--ask" or each.startswith("--ask=") for each in args)
