"""`prefect-governor research`, once its arguments are parsed."""

import json
from pathlib import Path
from typing import Any

from prefect_governor.blocks.budget.money import parse_usd
from prefect_governor.flows.resuming import find_run
from prefect_governor.flows.server import ensure_server, use_server
from prefect_governor.flows.session import (
    ceiling_text,
    check_governor,
    check_writable,
    run_flow,
    set_quiet,
)
from prefect_governor.flows.terminal import say

COMMAND = "research"


def run_research(
    question: str | None,
    *,
    folder: str,
    as_json: bool,
    given: frozenset[str],
    corpus: tuple[str, ...],
    plan: Path | None,
    max_tasks: int | None,
    max_rounds: int | None,
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
    """Run a research and print its answer; with `dry_run`, what it would be. Returns the exit
    status.

    With `resume` the run goes on with an earlier one: `given` names the parameters that are new,
    all others are what they were.

    Raises ConfigurationError for anything wrong with what was given, before anything starts.
    """
    set_quiet()
    from prefect_governor.blocks.model.choice import BLOCK, OFFLINE
    from prefect_governor.flows.inquiry.flow import research
    from prefect_governor.flows.inquiry.forecast import forecast, may_start, print_forecast
    from prefect_governor.flows.inquiry.request import (
        DEFAULT_MAX_ROUNDS,
        DEFAULT_MAX_TASKS,
        make_inquiry,
    )

    parameters: dict[str, Any] = {
        "question": question,
        "corpus": list(corpus),
        "plan": None if plan is None else str(plan),
        "folder": folder,
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
        "max_tasks": DEFAULT_MAX_TASKS if max_tasks is None else max_tasks,
        "max_rounds": DEFAULT_MAX_ROUNDS if max_rounds is None else max_rounds,
        "max_cost_multiple": max_cost_multiple,
    }
    past = None if resume is None else find_run(resume, command=COMMAND)
    if past is not None:
        parameters = past.gone_on_with(parameters, given, say=say)
        governor, model = parameters["governor"], parameters["model"]
    above = None if ask_above_usd is None else parse_usd(ask_above_usd, name="--ask-above-usd")
    by_block = model.startswith(BLOCK)
    # Blocks live on the server: what can be checked without it is, before it is started.
    inquiry = make_inquiry(**parameters | ({"model": OFFLINE} if by_block else {}))
    if out is not None:
        check_writable(out)
    info = None
    if governor is not None or by_block:
        info = ensure_server(on_progress=say)
        use_server(info)
        inquiry = make_inquiry(**parameters)
    if governor is not None:
        check_governor(governor, starts=not dry_run)
    expected = forecast(inquiry)
    if dry_run:
        print(json.dumps(expected.to_json())) if as_json else print_forecast(expected)
        return 0
    if not yes and not may_start(expected, above):
        say("not started; nothing was spent")
        return 2
    say(f"model: {inquiry.model.name} ({inquiry.model.why})")
    say(f"ceiling: {ceiling_text(inquiry)}")
    if info is None:
        info = ensure_server(on_progress=say)
        use_server(info)
    return run_flow(
        research,
        parameters,
        command=COMMAND,
        ui_url=info.ui_url,
        out=out,
        as_json=as_json,
        kept_as=None if past is None else past.kept_as,
    )
