"""`prefect-governor init`, once its arguments are parsed."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.flows.cli.init.answers import (
    PAUSED,
    Answers,
    Check,
    answers_of,
    checked_name,
)
from prefect_governor.flows.cli.init.differences import FLOW, Step, steps_of, told
from prefect_governor.flows.cli.terminal.command_line import working_folder
from prefect_governor.flows.cli.terminal.session import set_quiet
from prefect_governor.flows.cli.terminal.terminal import say
from prefect_governor.flows.server.server import ensure_server, status, use_server

if TYPE_CHECKING:
    from prefect_governor.blocks.models.choice import ModelChoice
    from prefect_governor.blocks.terms.price import PriceOverride

USUAL: Mapping[str, Any] = {
    "max_usd": "5.00",
    "window": "day",
    "ask": "What does this say, and what should a reader know first?",
    "schedule": PAUSED,
    "max_concurrent": 20,
    "pool": "governed",
    "time_zone": "UTC",
}


def run_init(name: str, options: Mapping[str, Any], *, yes: bool, as_json: bool) -> None:
    """Make what a team begins with, or bring it up to date, and say what was done.

    Raises ConfigurationError for anything wrong, before anything is made.
    """
    set_quiet()
    checked_name(name, "NAME")
    if options["pool"] is not None:
        checked_name(options["pool"], "--pool")
    configured = status().configured_url is not None
    info = ensure_server(on_progress=say)
    use_server(info)
    from prefect.client.orchestration import get_client
    from prefect.utilities.callables import parameter_schema

    from prefect_governor.blocks.models.choice import first_there
    from prefect_governor.flows.cli.init.making import Maker
    from prefect_governor.flows.cli.init.standing import Standing
    from prefect_governor.flows.fan_out_flow import fan_out

    with get_client(sync_client=True) as client:
        there = Standing.read(client, name, options["pool"])
        folder = working_folder()
        usual = {
            **USUAL,
            "folder": folder,
            "sources": ("docs",) if (Path(folder) / "docs").is_dir() else (".",),
        }
        offered = {**usual, **there.offered()}
        if "model" not in offered:
            offered["model"] = first_there().name
        answers = answers_of(name, options, offered, Questions(silent=yes).ask)
        choice, answers = _checked(
            answers, is_there=offered["model"] == answers.model and there.model
        )
        form = parameter_schema(fan_out).model_dump(mode="json", exclude_unset=True)
        steps = steps_of(answers, there.fields(), form=form)
        maker = Maker(client, there, price=_price(choice))
        maker.make(steps)
        pages = {step.kind: f"{info.ui_url.rstrip('/')}{maker.page(step)}" for step in steps}
    next_lines = _next_lines(answers, api_url=None if configured else info.url)
    if as_json:
        click.echo(json.dumps(_as_json(name, steps, pages, next_lines), default=str))
    else:
        _print(steps, pages, next_lines)


class Questions:
    """Asks a person at the terminal, again where an answer makes no sense. Where nobody answers,
    what is offered is the answer."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent or sys.stdin is None or sys.stdin.closed

    def ask(self, question: str, offered: str, check: Check) -> Any:
        """The checked answer, or what is offered where that is empty.

        Raises click.Abort where a person says no more (Ctrl-D), ConfigurationError for an answer
        that makes no sense where no person is there to ask again.
        """
        while True:
            answer = self._answer(question, offered)
            try:
                return check(answer)
            except ConfigurationError as error:
                if self._silent or not sys.stdin.isatty():
                    raise
                say(str(error))

    def _answer(self, question: str, offered: str) -> str:
        if self._silent:
            return offered
        click.echo(f"{question}\n  [{offered}] ", err=True, nl=False)
        line = sys.stdin.readline()
        if not line:
            click.echo(err=True)
            if sys.stdin.isatty():
                raise click.Abort
            self._silent = True
        return line.strip() or offered


def _checked(answers: Answers, *, is_there: Any) -> "tuple[ModelChoice | None, Answers]":
    """The model that it comes to, once all that a run would refuse is checked. None for one whose
    block is there as it is. Raises ConfigurationError."""
    from prefect_governor.blocks.model import choose
    from prefect_governor.blocks.models.choice import AUTO, BLOCK, first_there
    from prefect_governor.flows.run.job import make_request

    choice = None
    if is_there:
        choose(f"{BLOCK}{answers.name}")
    else:
        local = first_there()
        choice = local if answers.model in (AUTO, local.name) else choose(answers.model)
        choice.check()
        answers = replace(answers, model=choice.name)
    make_request(
        ask=answers.ask,
        sources=list(answers.sources),
        folder=answers.folder,
        model="offline/extract",
    )
    return choice, answers


def _price(choice: "ModelChoice | None") -> "PriceOverride | None":
    """What the Model block has to say where no list knows the model: it is on this machine."""
    from prefect_governor.blocks.prices.prices import OFFLINE, load_price
    from prefect_governor.blocks.terms.price import PriceOverride

    if choice is None or choice.name == OFFLINE or load_price(choice.name) is not None:
        return None
    return PriceOverride(free=True) if choice.prices else None


def _next_lines(answers: Answers, *, api_url: str | None) -> list[str]:
    """What to run next, in a shell that knows nothing of a server that was started here."""
    where = "" if api_url is None else f"PREFECT_API_URL={shlex.quote(api_url)} "
    deployed = shlex.quote(f"{FLOW}/{answers.name}")
    return [
        f"{where}prefect worker start --pool {answers.pool} --type process",
        f"{where}prefect deployment run {deployed} --watch",
    ]


def _as_json(
    name: str, steps: list[Step], pages: Mapping[str, str], next_lines: list[str]
) -> dict[str, Any]:
    return {
        "name": name,
        "changed": any(step.change != "unchanged" for step in steps),
        "things": [
            {
                "kind": step.kind,
                "name": step.name,
                "change": step.change,
                "what": told(step),
                "url": pages[step.kind],
            }
            for step in steps
        ],
        "next": next_lines,
    }


def _print(steps: list[Step], pages: Mapping[str, str], next_lines: list[str]) -> None:
    for step in steps:
        what = f": {told(step)}" if step.change != "unchanged" else ""
        click.echo(scrubbed(f"{step.change:9}  {step.kind} {step.name}{what}"))
        click.echo(f"           {pages[step.kind]}")
    if all(step.change == "unchanged" for step in steps):
        click.echo("all of it is there as it should be; nothing was changed")
    click.echo("\nNext, a worker in one terminal, and a run in another:")
    for line in next_lines:
        click.echo(f"  {line}")
