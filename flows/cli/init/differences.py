"""What has to be made or changed, told from what is there and what is wanted. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from prefect_governor.flows.cli.init.answers import PAUSED, USUAL_CRON, Answers

Change = Literal["made", "changed", "unchanged"]
Fields = Mapping[str, Any]

ENTRYPOINT = "prefect_governor.flows.fan_out_flow.fan_out"
FLOW = "fan-out"


@dataclass(frozen=True)
class Step:
    """One thing, and what becomes of it.

    Attributes:
        kind: "budget", "governor", "model", "work pool", "deployment" or "schedule".
        wanted: its fields, as far as they are asked for.
        differs: those that are otherwise now, with what they are; empty for one that is to be made.
    """

    kind: str
    name: str
    change: Change
    wanted: Fields
    differs: Fields = field(default_factory=dict)


def step(kind: str, name: str, there: Fields | None, wanted: Fields) -> Step:
    """What becomes of one thing. `there` is None where there is none of that name."""
    if there is None:
        return Step(kind, name, "made", wanted)
    differs = {each: there.get(each) for each in wanted if there.get(each) != wanted[each]}
    return Step(kind, name, "changed" if differs else "unchanged", wanted, differs)


def steps_of(answers: Answers, there: Mapping[str, Fields | None], *, form: Any) -> list[Step]:
    """All of them, in the order in which they are made.

    Args:
        there: by kind, the fields of what stands already.
        form: the schema of the flow's parameters, of which Prefect makes the deployment's form.
    """
    name = answers.name
    scheduled = there.get("schedule")
    cron = answers.schedule
    if cron == PAUSED:
        cron = USUAL_CRON if scheduled is None else scheduled["cron"]
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        (
            "budget",
            name,
            {
                "max_usd": answers.max_usd,
                "window": answers.window,
                "time_zone": answers.time_zone,
            },
        ),
        ("governor", name, {"parent": name, "max_concurrent": answers.max_concurrent}),
        ("model", name, {"name": answers.model}),
        ("work pool", answers.pool, {"type": "process"}),
        (
            "deployment",
            f"{FLOW}/{name}",
            {
                "ask": answers.ask,
                "sources": list(answers.sources),
                "folder": answers.folder,
                "governor": name,
                "model": f"block:{name}",
                "work pool": answers.pool,
                "entrypoint": ENTRYPOINT,
                "form": form,
            },
        ),
        (
            "schedule",
            f"{FLOW}/{name}",
            {
                "cron": cron,
                "time_zone": answers.time_zone,
                "active": answers.schedule != PAUSED,
            },
        ),
    ]
    return [step(kind, called, there.get(kind), fields) for kind, called, fields in wanted]


def told(step: Step) -> str:
    """What is done to one thing, in a line; the form is too long to be shown."""
    if step.change == "made":
        shown = [f"{each} {_text(value)}" for each, value in step.wanted.items() if each != "form"]
        return ", ".join(shown)
    return ", ".join(
        "the form of its parameters is the newer one"
        if each == "form"
        else f"{each} {_text(before)} → {_text(step.wanted[each])}"
        for each, before in step.differs.items()
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return "none" if value is None else str(value)
