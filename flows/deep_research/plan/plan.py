"""A plan: sub-questions, what each depends on, and what each writes. Pure, apart from a file read.

A plan is checked whole: whoever wrote it is told of everything that is wrong with it at once.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.text import storable_value
from prefect_governor.blocks.money.usd import parse_usd
from prefect_governor.blocks.secrets.exits import scrubbed_value
from prefect_governor.flows.items.tables.yamls import NOT_OF_ITS_TAG

Effort = Literal["fact", "comparison", "investigation"]

# What an id may be: it names files, artifacts and nodes of a picture.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
# The most tasks that one plan may hold.
MOST_TASKS = 10_000


def _several(value: Any) -> Any:
    """One name stands for a list of it; a field that is left empty for none."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def _written(value: Any) -> Any:
    """As it may be drawn, kept and asked."""
    return scrubbed_value(storable_value(value))


# Text that says something, and a list of such.
Named = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1),
    BeforeValidator(_written),
]
Names = Annotated[tuple[Named, ...], BeforeValidator(_several)]


class PlanTask(BaseModel):
    """One sub-question.

    Attributes:
        id: names it, in the plan and in the report.
        objective: what its agent is to find out.
        output: the shape of its answer, in words.
        sources: where to look first: names or patterns of files of the corpus.
        boundaries: what it is not to do.
        depends_on: ids of tasks whose results it needs; it starts once all of them succeeded.
        allow_partial: those of `depends_on` that it can do without, should they not succeed.
        writes: keys that no two tasks write at the same time.
        effort: how much a look at it is worth; bounds its agent's turns and calls.
        max_usd: money that is set aside for it before any task starts, and the most it may spend;
            what is left goes back as it ends. A person's to set: a lead's is not heeded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    objective: Named
    output: Annotated[str | None, BeforeValidator(_written)] = None
    sources: Names = ()
    boundaries: Annotated[str | None, BeforeValidator(_written)] = None
    depends_on: Names = ()
    allow_partial: Names = ()
    writes: Names = ()
    effort: Effort = "fact"
    max_usd: Annotated[Decimal, Field(gt=0)] | None = None

    @field_validator("max_usd", mode="before")
    @classmethod
    def _exact(cls, value: Any) -> Decimal | None:
        if value is None:
            return None
        try:
            return parse_usd(value, name="max_usd")
        except ConfigurationError as error:
            raise ValueError(str(error)) from None


class Plan(BaseModel):
    """The tasks of a run, in the order of their report. Made by `check_plan`, which refuses what
    cannot run."""

    model_config = ConfigDict(frozen=True)

    tasks: tuple[PlanTask, ...]

    def task(self, task_id: str) -> PlanTask:
        """Raises KeyError."""
        return next(each for each in self.tasks if each.id == task_id)


def check_plan(data: Any, *, known: Sequence[PlanTask] = ()) -> Plan:
    """A plan from what a file or a lead agent gave: `{"tasks": [{"id": …, "objective": …}]}`.

    `known` are tasks of a run under way that new ones may depend on, and whose ids are taken; they
    are not part of the plan that is returned.

    Raises:
        ConfigurationError: naming everything that is wrong: a missing or unknown field, an id that
            cannot be one or stands twice, a dependency that nothing has, a cycle with its members.
    """
    rows = data.get("tasks") if isinstance(data, Mapping) else None
    if not isinstance(rows, list) or not rows:
        raise ConfigurationError("the plan has no tasks: it is an object with a list, `tasks`")
    if len(rows) > MOST_TASKS:
        raise ConfigurationError(f"the plan has {len(rows):,} tasks; {MOST_TASKS:,} are the most")
    wrong: list[str] = []
    tasks: list[PlanTask] = []
    for at, row in enumerate(rows, 1):
        try:
            tasks.append(PlanTask.model_validate(row))
        except ValidationError as error:
            name = row.get("id") if isinstance(row, Mapping) else None
            where = f"task {name!r}" if isinstance(name, str) else f"task {at}"
            wrong += [f"{where}: {_field(each)}" for each in error.errors(include_input=False)]
    wrong += _wrong_names([*known, *tasks], new=tasks)
    if not wrong and (cycle := find_cycle(tasks)):
        wrong.append(f"the tasks wait for each other in a cycle: {' -> '.join(cycle)}")
    if wrong:
        raise ConfigurationError("the plan cannot run: " + "; ".join(wrong))
    return Plan(tasks=tuple(tasks))


def load_plan(path: Path) -> Plan:
    """A plan from a YAML (or JSON) file. Raises ConfigurationError."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"the plan {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        # An impossible date, and text that is not UTF-8, are ValueErrors.
        raise ConfigurationError(f"the plan {path} is not YAML: {error}") from None
    except NOT_OF_ITS_TAG:
        raise ConfigurationError(
            f"the plan {path} is not YAML: a value is not what its tag (!!…) says"
        ) from None
    except RecursionError:
        raise ConfigurationError(f"the plan {path} is not YAML: it is nested too deeply") from None
    try:
        return check_plan(data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def find_cycle(tasks: Iterable[PlanTask]) -> list[str]:
    """The ids of a cycle, the first again at its end; empty where there is none. Dependencies on
    what is not among the tasks are taken as done."""
    needs = {each.id: each.depends_on for each in tasks}
    done: set[str] = set()
    for start in needs:
        if start in done:
            continue
        # In the order of the walk; a dict, so that membership costs nothing on a long chain.
        path = {start: None}
        walk = [(start, iter(needs[start]))]
        while walk:
            node, left = walk[-1]
            following = next((each for each in left if each in needs and each not in done), None)
            if following is None:
                done.add(node)
                walk.pop()
                del path[node]
            elif following in path:
                members = list(path)
                return [*members[members.index(following) :], following]
            else:
                path[following] = None
                walk.append((following, iter(needs[following])))
    return []


def critical_path(tasks: Sequence[PlanTask], seconds: Mapping[str, float]) -> float:
    """The longest chain of dependencies, by how long each task takes: no schedule is shorter."""
    longest: dict[str, float] = {}
    for each in in_order(tasks):
        before = (longest.get(need, 0.0) for need in each.depends_on)
        longest[each.id] = max(before, default=0.0) + seconds[each.id]
    return max(longest.values(), default=0.0)


def in_order(tasks: Sequence[PlanTask]) -> list[PlanTask]:
    """The tasks, each after what it depends on; otherwise in their own order."""
    left = {each.id: set(each.depends_on) for each in tasks}
    for needs in left.values():
        needs.intersection_update(left)
    by_id = {each.id: each for each in tasks}
    waiting: dict[str, list[str]] = {}
    for task_id, needs in left.items():
        for need in needs:
            waiting.setdefault(need, []).append(task_id)
    ready = [task_id for task_id, needs in left.items() if not needs]
    ordered: list[PlanTask] = []
    for task_id in ready:
        ordered.append(by_id[task_id])
        for follower in waiting.get(task_id, ()):
            left[follower].discard(task_id)
            if not left[follower]:
                ready.append(follower)
    return ordered


def _field(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _wrong_names(tasks: Sequence[PlanTask], *, new: Sequence[PlanTask]) -> list[str]:
    wrong: list[str] = []
    ids = [each.id for each in tasks]
    for task_id in dict.fromkeys(each.id for each in new):
        if ids.count(task_id) > 1:
            wrong.append(f"the id {task_id!r} stands twice")
        if not _ID.fullmatch(task_id):
            wrong.append(
                f"the id {task_id!r} cannot be one: letters, digits, '.', '_' and '-', 64 at most"
            )
    there = set(ids)
    for each in new:
        wrong += [
            f"task {each.id!r} depends on {need!r}, which the plan does not have"
            for need in dict.fromkeys(each.depends_on)
            if need not in there
        ]
        wrong += [
            f"task {each.id!r} allows {need!r} to be partial, but does not depend on it"
            for need in each.allow_partial
            if need not in each.depends_on
        ]
    return wrong
