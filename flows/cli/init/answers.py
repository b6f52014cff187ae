"""What a person answers, or leaves as it is."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.money.usd import parse_usd
from prefect_governor.blocks.money.windows import Window

WINDOWS: tuple[str, ...] = get_args(Window)
# In place of a cron line: the schedule is there, and starts nothing.
PAUSED = "paused"
USUAL_CRON = "0 6 * * *"
# As Prefect names blocks and pools without trouble in addresses and commands.
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Check = Callable[[Any], Any]
Ask = Callable[[str, str, Check], Any]


@dataclass(frozen=True)
class Answers:
    """All that is to be made, as a person wants it.

    `schedule` is a cron line, or "paused".
    """

    name: str
    max_usd: Decimal
    window: str
    model: str
    sources: tuple[str, ...]
    ask: str
    schedule: str
    folder: str
    max_concurrent: int
    pool: str
    time_zone: str


# The five questions: what is answered, as it is asked.
QUESTIONS = (
    ("max_usd", "What may all of its runs cost together, in USD a {window}?"),
    ("model", "Which model, by LiteLLM's name?"),
    ("sources", "Which files is it about? Files, folders, globs; several with commas."),
    ("ask", "What is asked about each of them?"),
    ("schedule", "When does it run by itself? A cron line, or 'paused' to start it by hand."),
)


def checked_name(name: str, option: str) -> str:
    """Raises ConfigurationError for what Prefect would not take as a name."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{option} {name!r}: use lower-case letters, digits and single dashes, such as llm-team"
        )
    return name


def answers_of(name: str, told: Mapping[str, Any], there: Mapping[str, Any], ask: Ask) -> Answers:
    """What is given by options, else what a person says, who is offered what is there.

    Args:
        told: by options; None for what was not given.
        there: what holds where nothing is said: what stands already, else the usual.
        ask: gets a question, the answer that is offered and what checks an answer, and returns the
            checked one.

    Raises ConfigurationError for an answer that makes no sense, by the option's name.
    """
    said = {
        field: _CHECKS.get(field, _as_it_is)(value)
        for field, value in told.items()
        if value not in (None, ())
    }
    window = said.get("window", there["window"])
    for field, question in QUESTIONS:
        if field not in said:
            offered = there[field]
            shown = ", ".join(offered) if field == "sources" else str(offered)
            said[field] = ask(question.format(window=_span(window)), shown, _CHECKS[field])
    all_of_it = {**there, **said}
    return Answers(
        name=name,
        max_usd=all_of_it["max_usd"],
        window=window,
        model=all_of_it["model"],
        sources=all_of_it["sources"],
        ask=all_of_it["ask"],
        schedule=all_of_it["schedule"],
        folder=all_of_it["folder"],
        max_concurrent=all_of_it["max_concurrent"],
        pool=all_of_it["pool"],
        time_zone=all_of_it["time_zone"],
    )


def _span(window: str) -> str:
    return window if window not in ("total", "run") else {"total": "life", "run": "run"}[window]


def _filled(text: str, option: str) -> str:
    if not text.strip():
        raise ConfigurationError(f"{option} is empty")
    return text.strip()


def _sources(given: Any) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    if not (sources := tuple(part.strip() for part in parts if part.strip())):
        raise ConfigurationError("--source is empty: name a file, a folder or a glob")
    return sources


def _count(count: int, option: str) -> int:
    if count < 1:
        raise ConfigurationError(f"{option} is at least 1, not {count}")
    return count


def _zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"--time-zone {zone!r} is not known; use one such as Europe/Berlin"
        ) from None
    return zone


def _schedule(given: str) -> str:
    from prefect.client.schemas.schedules import CronSchedule

    line = given.strip()
    if line.lower() == PAUSED:
        return PAUSED
    try:
        CronSchedule(cron=line)
    except ValueError:
        raise ConfigurationError(
            f"--schedule {given!r} is no cron line such as '{USUAL_CRON}', nor '{PAUSED}'"
        ) from None
    return line


def _usd(given: Any) -> Decimal:
    return parse_usd(given, name="--max-usd")


def _as_it_is(given: Any) -> Any:
    return given


# By field: what an answer is checked by, as soon as it is given.
_CHECKS: Mapping[str, Check] = {
    "max_usd": _usd,
    "model": partial(_filled, option="--model"),
    "sources": _sources,
    "ask": partial(_filled, option="--ask"),
    "schedule": _schedule,
    "max_concurrent": partial(_count, option="--max-concurrent"),
    "pool": partial(checked_name, option="--pool"),
    "time_zone": _zone,
}
