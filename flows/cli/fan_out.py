"""`prefect-governor fan-out`, once its arguments are parsed."""

import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.text import check_whole
from prefect_governor.blocks.money.usd import parse_usd
from prefect_governor.flows.cli.terminal.command_line import working_folder
from prefect_governor.flows.cli.terminal.outputs import STDOUT
from prefect_governor.flows.cli.terminal.session import run_command, set_quiet
from prefect_governor.flows.items.encodings.lines import lines_in, piped_text
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.reading import reading_of
from prefect_governor.flows.items.spool import spool

if TYPE_CHECKING:
    from prefect_governor.flows.cli.terminal.options import Told
    from prefect_governor.flows.estimate.estimate import Forecast
    from prefect_governor.flows.run.job import Request

COMMAND = "fan-out"


def run_fan_out(sources: list[str], told: "Told") -> int:
    """Run a fan-out and print what came of it; with `dry_run`, what would. Returns the exit status.

    A run that may well cost more than `ask_above_usd` asks the person first, unless `yes`; one that
    is turned down is a usage error, as is everything else that ends before anything starts.

    Raises ConfigurationError for anything wrong with what was given, before anything starts.
    """
    set_quiet()
    from prefect_governor.flows.answers.shape import read_schema
    from prefect_governor.flows.estimate.shown import print_forecast
    from prefect_governor.flows.run.job import check_most_multiple, make_request
    from prefect_governor.flows.shards.asked import SHARED, asked_for, check_can_be_shared
    from prefect_governor.flows.shards.deployed import check_deployment

    check_whole(told.parameters["ask"] or "", "--ask")
    if told.out == STDOUT and told.as_json:
        raise ConfigurationError("--out - and --json both want standard output: give one of them")
    parameters = {
        "sources": [
            _spooled(told.parameters["reading"]) if source == "-" else source for source in sources
        ],
        "folder": working_folder(),
        **told.parameters,
    }
    # What is checked here, once, is no matter of the run's.
    most = parameters.pop("max_cost_multiple")
    check_most_multiple(most, name="--max-cost-multiple")
    if parameters["mcp"] is not None:
        parameters["mcp"] = str(parameters["mcp"])
    if parameters["schema"] is not None:
        parameters["schema"] = read_schema(parameters["schema"])
    above = _ask_above(told.ask_above_usd)

    def make(**parameters: Any) -> "Request":
        shared = {name: parameters.pop(name, None) for name in SHARED}
        asked = asked_for(**shared)
        request = make_request(**parameters)
        if asked is not None:
            check_can_be_shared(request, parameters["tools"])
            if asked.deployment is not None:
                check_deployment(asked.deployment, COMMAND)
        if told.out not in (None, STDOUT):
            files = [str(item.source) for item in request.items if item.source]
            files += getattr(request.more, "files", ())
            _check_apart(told.out, [*(parameters["sources"] or ()), *files])
        return request

    def flow() -> Any:
        from prefect_governor.flows.fan_out_flow import fan_out

        return fan_out

    return run_command(
        COMMAND,
        parameters,
        told,
        make=make,
        show=lambda request: print_forecast(_expected(request, most), as_json=told.as_json),
        may_start=lambda request: _may_start(
            request,
            max_cost_multiple=most,
            above=None if told.yes else above,
            stdin_is_read="-" in sources,
        ),
        flow=flow,
    )


def _ask_above(given: str | None) -> Decimal:
    """The amount from which on a run asks first. Raises ConfigurationError."""
    from prefect_governor.flows.estimate.asking import ASK_ABOVE_USD

    return ASK_ABOVE_USD if given is None else parse_usd(given, name="--ask-above-usd")


def _expected(request: "Request", max_cost_multiple: float | None) -> "Forecast":
    """What a run would come to. Raises ConfigurationError over `max_cost_multiple`."""
    from prefect_governor.flows.estimate.asking import check_multiple
    from prefect_governor.flows.estimate.estimate import forecast
    from prefect_governor.flows.estimate.standing import standing_of

    expected = forecast(request, standing_of(request))
    check_multiple(expected, max_cost_multiple, name="--max-cost-multiple")
    return expected


def _may_start(
    request: "Request",
    *,
    max_cost_multiple: float | None,
    above: Decimal | None,
    stdin_is_read: bool,
) -> bool:
    """Whether a run is worth its cost and, where it may well cost more than `above` (None: ask
    nothing), a person says yes. Raises ConfigurationError."""
    from prefect_governor.flows.estimate.asking import ask_person, surely_at_most
    from prefect_governor.flows.estimate.standing import standing_of

    if above is not None and surely_at_most(request, standing_of(request), above):
        above = None
    if above is None and max_cost_multiple is None:
        return True
    expected = _expected(request, max_cost_multiple)
    if above is None or expected.at_stake_usd <= above:
        return True
    return ask_person(expected, above, stdin_is_read=stdin_is_read)


def _spooled(reading: Any) -> str:
    """Stdin as a file of rows, so that the run's parameters stay small and a worker can read it
    again."""
    raw = sys.stdin.buffer.read() if sys.stdin else b""
    encoding = reading_of(reading).encoding
    lines = list(lines_in(piped_text(raw, name="stdin ('-')", encoding=encoding)))
    width = len(str(lines[-1][0])) if lines else 0
    items = [Item(key=f"line-{at:0{width}d}", text=line) for at, line in lines]
    if not items:
        raise ConfigurationError("stdin ('-') holds no lines: pipe in one item a line")
    return str(spool(items))


def _check_apart(out: Path, sources: list[str]) -> None:
    """What is asked about must not be what is written."""
    # Of these two ways to ask, the one that takes a link to itself.
    if os.path.realpath(out) in {os.path.realpath(source) for source in sources}:
        raise ConfigurationError(
            f"--out {out} is one of the sources and would be overwritten: write to another file, or"
            " name sources without it"
        )
