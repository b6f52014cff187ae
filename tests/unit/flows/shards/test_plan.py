"""What the processes of a run share in a folder comes out as it was put in."""

from dataclasses import replace
from decimal import Decimal
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.figures import LimitFigures
from prefect_governor.blocks.limits.derived import Pace
from prefect_governor.flows.fan_out_flow import fan_out
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.report.model import ItemFile, ItemReport, Tokens
from prefect_governor.flows.research_flow import research
from prefect_governor.flows.shards.feed import check_ledger
from prefect_governor.flows.shards.figures import latest, merged, notes_of, pace_of
from prefect_governor.flows.shards.plan import Plan, order, read_plan, write_items
from prefect_governor.flows.shards.planning import Part, parameters_of, shared_parameters
from prefect_governor.flows.shards.told import Listening, Teller, Told

ITEMS = [
    Item(key="a", text="first\nand\u2028second \ud800"),
    Item(key="ä b", source="/tmp/b.txt", notes=("read as cp1252",)),
    Item(key="c", text="", data={"n": 1}),
    Item(key="d", folder="/tmp/d"),
    Item(key="e", text="last"),
]


def planned(folder: Path) -> Plan:
    written = write_items(folder, iter(ITEMS))
    plan = Plan(
        folder=folder, kept_as="run", attempt="now", work=written.digest, ledger="ledger",
        purse="root", shards=2, total=len(ITEMS), size=2, offsets=tuple(written.starts[::2]),
        results="out.jsonl", parameters={"ask": "what?", "max_usd": "1.5"}, name="brave-fox",
    )  # fmt: skip
    plan.save()
    return plan


def test_a_shard_reads_each_chunk_as_it_was_written(tmp_path: Path) -> None:
    plan = read_plan(planned(tmp_path / "plan").folder)
    read = [item for number in range(3) for item in plan.items(number)]
    assert read == [item.model_copy(update={"data": None}) for item in ITEMS]
    assert plan == planned(tmp_path / "plan")


@pytest.mark.parametrize(
    ("flow", "question", "more"),
    [
        (fan_out, {"ask": "what?"}, {"items_per_task": 3}),
        (research, {"question": "what?"}, {"plan": {"tasks": []}, "max_rounds": 1}),
    ],
    ids=["fan-out", "research"],
)
def test_the_form_of_a_deployment_takes_what_a_shard_is_given(
    flow: Flow[..., Any], question: dict[str, str], more: dict[str, Any]
) -> None:
    # Prefect's server holds the parameters of each flow run of a deployment against its form.
    form = parameter_schema(flow).model_dump(mode="json", exclude_unset=True)
    defaults = {
        name: list(each.default) if isinstance(each.default, tuple) else each.default
        for name, each in signature(flow.fn).parameters.items()
        if each.default is not Parameter.empty
    }
    asked = {"shards": 2, "processes": "auto", "max_usd": "0.50", **more}
    for said in ({}, asked):
        given = shared_parameters({**defaults, **question, **said}, flow.name)
        validate({**given, "part_of": {"folder": "/tmp/plan", "shard": 0}}, form, preprocess=True)
        assert set(given) == (set(defaults) | set(question)) - {"processes"}
        assert given["shards"] is None
    if flow is fan_out:
        assert given["items_per_task"] == 3
    assert given["max_usd"] == 0.5


def test_other_items_are_other_work(tmp_path: Path) -> None:
    digests = {write_items(tmp_path, items).digest for items in (ITEMS, ITEMS, ITEMS[1:])}
    assert len(digests) == 2
    with pytest.raises(ConfigurationError, match="two items have the key 'a'"):
        write_items(tmp_path, [*ITEMS, ITEMS[0]])
    with pytest.raises(ConfigurationError, match="there are no items"):
        write_items(tmp_path, [])


def test_a_shard_whose_run_has_ended_is_told_to_stop(tmp_path: Path) -> None:
    plan = planned(tmp_path / "attempts" / "plan")
    assert plan.told_to_stop() is None and not plan.told_to_abort()
    order(plan.folder, stop="the key is dead")
    order(plan.folder, stop="another reason", abort=True)
    assert plan.told_to_stop() == "the key is dead" and plan.told_to_abort()
    plan.remove()
    assert plan.told_to_stop() == "the run has ended"
    with pytest.raises(ConfigurationError, match="Retry that run"):
        plan.items(0)
    with pytest.raises(ConfigurationError, match="Retry that run"):
        read_plan(plan.folder)


def test_a_shard_with_another_ledger_is_refused(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    check_ledger(plan, "ledger")
    with pytest.raises(ConfigurationError, match="PREFECT_GOVERNOR_LEDGER_URL"):
        check_ledger(plan, "another")


REPORT = ItemReport(
    key="a",
    state="succeeded",
    result={"said": "ä \ud800", "n": [1.5]},
    usd=Decimal("0.000000123"),
    tokens=Tokens(input=3, output=4),
    calls=1,
    attempts=2,
    seconds=0.25,
    notes=("read as cp1252",),
    files=(ItemFile(name="files/a/x", bytes=3, sha256="0" * 64),),
)


def test_reports_come_whole_once_and_to_the_last_digit(tmp_path: Path) -> None:
    one, two = Teller(tmp_path, "shard-0001-10"), Teller(tmp_path, "shard-0002-11")
    listening = Listening(tmp_path)
    assert list(listening.reports()) == []
    one.reports({4: REPORT})
    two.reports({0: replace_key("b"), 7: replace_key("c")})
    assert dict(listening.reports()) == {4: REPORT, 0: replace_key("b"), 7: replace_key("c")}
    one.reports({5: replace_key("d")})
    # A line that is half written is read when the rest of it has come.
    path = tmp_path / "shard-0002-11.jsonl"
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole[:10])
    assert dict(listening.reports()) == {5: replace_key("d")}
    with path.open("ab") as file:
        file.write(whole[10:])
    assert [at for at, _ in listening.reports()] == [0, 7]


def replace_key(key: str) -> ItemReport:
    return REPORT.model_copy(update={"key": key})


def test_the_figures_of_the_shards_are_those_of_one_run(tmp_path: Path) -> None:
    told = [
        Told(2, calls=5, throttled=1, held_seconds={"rpm": 1.0, "cap": 0.5}, notes=("a",)),
        Told(1, calls=4, waiting_for="slots", held_seconds={"cap": 0.75}, upstreams=("u",)),
        Told(notes=("a", "b")),
    ]  # fmt: skip
    for number, each in enumerate(told):
        Teller(tmp_path, f"shard-{number:04d}-1").figures(each)
    assert Listening(tmp_path).figures() == dict(enumerate(told))
    ended = latest(dict(enumerate(told)), running={1})
    assert [(each.in_flight, each.waiting_for) for each in ended] == [
        (0, None),
        (1, "slots"),
        (0, None),
    ]
    here = LimitFigures(bottleneck=None, cap=7, max_in_flight=0, throttled=0)
    expected = replace(
        here, bottleneck="cap", max_in_flight=3, throttled=1, in_flight=3, calls=9,
        waiting_for="slots",
    )  # fmt: skip
    assert merged(here, told, most=3) == expected
    assert merged(replace(here, cap=2), told, most=3).in_flight == 2
    assert notes_of(told) == ("a", "b")
    assert pace_of(told) is None
    paced = [
        Told(paced_calls=30, paced_seconds=1.0, late_seconds=0.1),
        Told(paced_calls=90, paced_seconds=3.0, late_seconds=0.02),
        Told(),
    ]
    pace = pace_of(paced)
    assert pace is not None
    assert replace(pace, late_seconds=round(pace.late_seconds, 9)) == Pace(120, 3.0, 0.04, 2)
    assert merged(here, [], most=0) == here


def test_a_shard_is_given_the_parameters_of_its_run_and_its_own_place_once(tmp_path: Path) -> None:
    # As Prefect keeps a run's: all of them, with their defaults.
    plan = replace(planned(tmp_path), parameters={"ask": "what?", "part_of": None, "items": None})
    given = parameters_of(plan, 3)
    assert given == {**plan.parameters, "part_of": {"folder": str(tmp_path), "shard": 3}}
    assert Part.of(given["part_of"]) == Part(read_plan(tmp_path), 3)
    assert Part.of(None) is None
    with pytest.raises(ConfigurationError, match="leave it out"):
        Part.of("3")
