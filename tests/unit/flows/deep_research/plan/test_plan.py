"""A plan that cannot run is refused whole, with everything that is wrong with it."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.deep_research.plan.plan import (
    PlanTask,
    check_plan,
    critical_path,
    find_cycle,
    in_order,
    load_plan,
)


def row(task_id: str, *depends_on: str, **more: object) -> dict[str, object]:
    return {"id": task_id, "objective": f"find {task_id}", "depends_on": list(depends_on), **more}


def refusal(*rows: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_plan({"tasks": list(rows)})
    return str(caught.value)


@pytest.mark.parametrize("amount", [0, -1, "much", "0.0000000001"])
def test_money_that_cannot_be_set_aside_is_refused_by_its_task(amount: object) -> None:
    assert "task 'a': max_usd" in refusal(row("a", max_usd=amount))


def test_money_is_exact_and_outlives_its_way_through_json() -> None:
    (task,) = check_plan({"tasks": [row("a", max_usd="0.000000001")]}).tasks
    assert PlanTask.model_validate(task.model_dump(mode="json")) == task
    assert str(task.max_usd) == "1E-9"


def test_a_plan_keeps_its_order() -> None:
    plan = check_plan({"tasks": [row("b", "a"), row("a"), row("c", "a", "b")]})
    assert [each.id for each in plan.tasks] == ["b", "a", "c"]
    assert [each.id for each in in_order(plan.tasks)] == ["a", "b", "c"]


def test_a_cycle_is_named_with_its_members_and_nothing_else() -> None:
    message = refusal(row("x"), row("a", "c", "x"), row("b", "a"), row("c", "b"))
    assert "cycle" in message
    named = message.split("cycle: ")[1].split(" -> ")
    assert set(named) == {"a", "b", "c"} and named[0] == named[-1]


def test_a_task_that_waits_for_itself_is_a_cycle() -> None:
    assert "a -> a" in refusal(row("a", "a"))


def test_everything_that_is_wrong_is_said_at_once() -> None:
    message = refusal(row("a"), row("a"), row("b", "nowhere"), {"id": "c"}, row("d/e"))
    for part in ("'a' stands twice", "'nowhere'", "task 'c': objective", "'d/e' cannot be one"):
        assert part in message


def test_an_unknown_field_is_named() -> None:
    assert "dependson" in refusal({"id": "a", "objective": "x", "dependson": []})


@pytest.mark.parametrize("data", [None, [], {}, {"tasks": []}, {"tasks": {"a": 1}}, "text"])
def test_what_is_no_plan_is_refused(data: object) -> None:
    with pytest.raises(ConfigurationError, match="no tasks"):
        check_plan(data)


def test_a_dependency_that_may_be_partial_must_be_one() -> None:
    message = refusal(row("a"), row("b", "a", allow_partial=["c"]))
    assert "allows 'c'" in message


def test_tasks_that_are_added_may_depend_on_those_under_way_and_take_no_id_of_theirs() -> None:
    under_way = check_plan({"tasks": [row("a")]}).tasks
    more = check_plan({"tasks": [row("b", "a")]}, known=under_way)
    assert [each.id for each in more.tasks] == ["b"]
    with pytest.raises(ConfigurationError, match="'a' stands twice"):
        check_plan({"tasks": [row("a")]}, known=under_way)


def test_a_file_is_named_in_its_refusal(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("tasks:\n- {id: a, objective: x, depends_on: [b]}\n")
    with pytest.raises(ConfigurationError, match=r"plan\.yaml.*'b'"):
        load_plan(path)
    path.write_text("tasks: [")
    with pytest.raises(ConfigurationError, match="not YAML"):
        load_plan(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_plan(tmp_path / "none.yaml")


@given(
    edges=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=40),
)
def test_a_cycle_is_found_exactly_where_there_is_one(edges: list[tuple[int, int]]) -> None:
    needs: dict[int, set[int]] = {at: set() for at in range(12)}
    for one, other in edges:
        needs[one].add(other)
    tasks = [
        PlanTask(id=f"t{at}", objective="x", depends_on=tuple(f"t{n}" for n in sorted(needs[at])))
        for at in needs
    ]
    cycle = find_cycle(tasks)
    # What can be put in order has no cycle, and the other way round.
    assert bool(cycle) == (len(in_order(tasks)) < len(tasks))
    for task, need in pairwise(cycle):
        assert int(need[1:]) in needs[int(task[1:])]


def test_a_long_chain_costs_no_more_than_its_length() -> None:
    tasks = check_plan(
        {"tasks": [row("t0")] + [row(f"t{at}", f"t{at - 1}") for at in range(1, 5_000)]}
    ).tasks
    assert critical_path(tasks, {each.id: 1.0 for each in tasks}) == 5_000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tasks:\n  - {id: a, objective: b, max_usd: 2026-02-31}\n", "day is out of range"),
        ("[" * 100_000, "nested too deeply"),
        ("tasks: [\n", "not YAML"),
        (b"tasks: \xff\xfe\n", "not YAML"),
        ("tasks:\n  - {id: a, objective: b, writes: !!timestamp soon}\n", "not what its tag"),
        ("tasks: !!bool perhaps\n", "not what its tag"),
        ("tasks: !!int ''\n", "not what its tag"),
    ],
    ids=[
        "an impossible date",
        "brackets without a bottom",
        "an open bracket",
        "no UTF-8",
        "a time that is none",
        "a truth that is none",
        "a number that is none",
    ],
)
def test_text_that_is_no_plan_is_one_line_that_says_why(
    text: str | bytes, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=why):
        load_plan(path)


def test_fields_that_are_left_empty_are_as_if_they_were_not_there(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "tasks:\n"
        "  - id: a\n    objective: find a\n    depends_on:\n    sources:\n    writes:\n"
        "  - id: b\n    objective: find b\n    depends_on: a\n    writes: report.md\n"
    )
    first, second = load_plan(path).tasks
    assert (first.depends_on, first.sources, first.writes) == ((), (), ())
    assert (second.depends_on, second.writes) == (("a",), ("report.md",))


@pytest.mark.parametrize(
    "field", [{"objective": " \n"}, {"writes": [""]}, {"depends_on": [" "]}, {"sources": [""]}]
)
def test_names_and_objectives_that_say_nothing_are_refused(field: dict[str, object]) -> None:
    (name,) = field
    assert f"task 'a': {name}" in refusal({**row("a"), **field})
