"""`prefect-governor fan-out`, once its arguments are parsed."""

import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.budget.money import parse_usd
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.resuming import find_run
from prefect_governor.flows.server import ensure_server, use_server
from prefect_governor.flows.session import (
    ceiling_text,
    check_governor,
    check_writable,
    run_flow,
    set_quiet,
)
from prefect_governor.flows.spool import spool
from prefect_governor.flows.terminal import say

if TYPE_CHECKING:
    from prefect_governor.flows.estimate import Forecast
    from prefect_governor.flows.job import Request

COMMAND = "fan-out"
# Nothing was started, as after a usage error.
TURNED_DOWN = 2


def run_fan_out(
    sources: list[str],
    *,
    as_json: bool,
    given: frozenset[str],
    ask: str | None,
    schema: Path | None,
    governor: str | None,
    model: str,
    max_usd: str | None,
    max_total_tokens: int | None,
    max_output_tokens: int | None,
    max_concurrent: int | None,
    rpm: int | None,
    tpm: int | None,
    timeout_seconds: float | None,
    min_success: float,
    max_cost_multiple: float | None,
    dry_run: bool,
    out: Path | None,
    ask_above_usd: str | None,
    yes: bool,
    resume: str | None,
) -> int:
    """Run a fan-out and print what came of it; with `dry_run`, what would. Returns the exit status.

    A run that may well cost more than `ask_above_usd` asks the person first, unless `yes`; one that
    is turned down is a usage error, as is everything else that ends before anything starts.

    With `resume` the run goes on with an earlier one: `given` names the parameters that are new,
    all others are what they were.

    Raises ConfigurationError for anything wrong with what was given, before anything starts.
    """
    set_quiet()
    from prefect_governor.blocks.model.choice import BLOCK, OFFLINE
    from prefect_governor.flows.answers import read_schema
    from prefect_governor.flows.estimating.asking import check_most_multiple
    from prefect_governor.flows.estimating.shown import print_forecast
    from prefect_governor.flows.job import make_request

    parameters: dict[str, Any] = {
        "sources": [_spooled() if source == "-" else source for source in sources],
        "folder": os.getcwd(),
        "ask": ask,
        "schema": None if schema is None else read_schema(schema),
        "governor": governor,
        "model": model,
        "max_usd": max_usd,
        "max_total_tokens": max_total_tokens,
        "max_output_tokens": max_output_tokens,
        "max_concurrent": max_concurrent,
        "requests_per_minute": rpm,
        "tokens_per_minute": tpm,
        "timeout_seconds": timeout_seconds,
        "min_success": min_success,
    }
    past = None if resume is None else find_run(resume, command=COMMAND)
    if past is not None:
        parameters = past.gone_on_with(parameters, given, say=say)
        governor, model = parameters["governor"], parameters["model"]
        sources = parameters["sources"]
    check_most_multiple(max_cost_multiple, name="--max-cost-multiple")
    above = _ask_above(ask_above_usd)
    by_block = model.startswith(BLOCK)
    # Blocks live on the server: what can be checked without it is, before it is started.
    request = make_request(**parameters | ({"model": OFFLINE} if by_block else {}))
    if out is not None:
        _check_apart(out, [*sources, *(str(item.source) for item in request.items if item.source)])
        check_writable(out)
    info = None
    if governor is not None or by_block:
        info = ensure_server(on_progress=say)
        use_server(info)
        request = make_request(**parameters)
    if governor is not None:
        check_governor(governor, starts=not dry_run)
    if dry_run:
        print_forecast(_expected(request, max_cost_multiple), as_json=as_json)
        return 0
    if not _may_start(
        request,
        max_cost_multiple=max_cost_multiple,
        above=None if yes else above,
        stdin_is_read="-" in sources,
    ):
        say("not started; nothing was spent")
        return TURNED_DOWN
    say(f"model: {request.model.name} ({request.model.why})")
    say(f"ceiling: {ceiling_text(request)}")
    if info is None:
        info = ensure_server(on_progress=say)
        use_server(info)
    from prefect_governor.flows.fanout import fan_out

    return run_flow(
        fan_out,
        parameters,
        command=COMMAND,
        ui_url=info.ui_url,
        out=out,
        as_json=as_json,
        kept_as=None if past is None else past.kept_as,
    )


def _ask_above(given: str | None) -> Decimal:
    """The amount from which on a run asks first. Raises ConfigurationError."""
    from prefect_governor.flows.estimating.asking import ASK_ABOVE_USD

    return ASK_ABOVE_USD if given is None else parse_usd(given, name="--ask-above-usd")


def _expected(request: "Request", max_cost_multiple: float | None) -> "Forecast":
    """What a run would come to. Raises ConfigurationError over `max_cost_multiple`."""
    from prefect_governor.flows.estimate import forecast
    from prefect_governor.flows.estimating.asking import check_multiple
    from prefect_governor.flows.estimating.standing import standing_of

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
    from prefect_governor.flows.estimating.asking import ask_person, surely_at_most
    from prefect_governor.flows.estimating.standing import standing_of

    if above is not None and surely_at_most(request, standing_of(request), above):
        above = None
    if above is None and max_cost_multiple is None:
        return True
    expected = _expected(request, max_cost_multiple)
    if above is None or expected.at_stake_usd <= above:
        return True
    return ask_person(expected, above, stdin_is_read=stdin_is_read)


def _spooled() -> str:
    """Stdin as a file of rows, so that the run's parameters stay small and a worker can read it
    again."""
    try:
        lines = sys.stdin.read().splitlines() if sys.stdin else []
        rows = [
            {"key": f"line-{at:0{len(str(len(lines)))}d}", "text": line}
            for at, line in enumerate(lines, start=1)
            if line.strip() and line.encode()
        ]
    except UnicodeError:
        raise ConfigurationError("stdin ('-') is not UTF-8 text: convert it first") from None
    if not rows:
        raise ConfigurationError("stdin ('-') holds no lines: pipe in one item a line")
    return str(spool(rows))


def _check_apart(out: Path, sources: list[str]) -> None:
    """What is asked about must not be what is written."""
    if out.resolve() in {Path(source).resolve() for source in sources if source != "-"}:
        raise ConfigurationError(
            f"--out {out} is one of the sources and would be overwritten: write to another file, or"
            " name sources without it"
        )
