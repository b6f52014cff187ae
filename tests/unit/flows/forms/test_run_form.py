"""The forms of the ready flows, as Prefect makes them and as its server holds runs to them."""

import inspect
from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from prefect_governor import fan_out, research
from prefect_governor.flows.automations.asking import ask_to_raise
from prefect_governor.flows.automations.holding import hold_deployments
from prefect_governor.flows.digest_flow import digest
from prefect_governor.flows.reconcile_flow import reconcile

FLOWS: dict[str, Flow[..., Any]] = {
    "fan_out": fan_out, "research": research, "digest": digest, "reconcile": reconcile,
    "hold_deployments": hold_deployments, "ask_to_raise": ask_to_raise,
}  # fmt: skip
INPUTS = sorted(
    (name, each) for name in FLOWS for each in inspect.signature(FLOWS[name].fn).parameters
)
NEEDED: dict[str, dict[str, Any]] = {
    "fan_out": {"ask": "What?"},
    "research": {"question": "What?"},
    "digest": {"ask": "What?", "sources": ["docs"]},
    "reconcile": {},
    "hold_deployments": {"budget": "llm-team", "deployments": ["nightly/summaries"]},
    "ask_to_raise": {"budget": "llm-team"},
}
# Either an object or a path: a box of JSON.
OF_ANY_TYPE = {"mcp", "plan"}
# Either a number or "auto": tabs that are named so.
NUMBER_OR_AUTO = {"items_per_task", "processes"}


def form(flow: str) -> dict[str, Any]:
    return parameter_schema(FLOWS[flow]).model_dump(mode="json", exclude_unset=True)


def refused(flow: str, **parameters: Any) -> list[str]:
    """What the server has against a run with these."""
    errors = validate(NEEDED[flow] | parameters, form(flow))
    return [error.message for error in errors]


@pytest.mark.parametrize(("flow", "name"), INPUTS)
def test_input_is_of_one_type_and_says_what_it_is(flow: str, name: str) -> None:
    shown = form(flow)["properties"][name]
    if name in NUMBER_OR_AUTO:
        assert [each["title"] for each in shown["anyOf"]] == ["number", "auto"]
    else:
        assert "anyOf" not in shown, "tabs of type names in the form"
        assert ("type" in shown) != (name in OF_ANY_TYPE)
    assert shown["title"][0].isupper()
    assert shown["title"] != name
    assert shown["description"].endswith((".", ")"))
    for what in ("pydantic", "Python", "iterator", "None", "pathlib"):
        assert what not in shown["description"]


@pytest.mark.parametrize(("flow", "name"), INPUTS)
def test_examples_and_defaults_of_the_form_are_taken(flow: str, name: str) -> None:
    shown = form(flow)["properties"][name]
    values = [*shown.get("examples", ()), *([shown["default"]] if "default" in shown else [])]
    for value in values:
        assert refused(flow, **{name: value}) == []
    assert shown.get("default", 0) is not None


@pytest.mark.parametrize("flow", FLOWS)
def test_what_is_left_empty_is_no_error_of_the_schema(flow: str) -> None:
    shown = form(flow)
    assert shown.get("required", []) == list(NEEDED[flow])
    # Of tabs both UIs send nothing for what is empty, of the others a null.
    empty = {
        name
        for name, each in shown["properties"].items()
        if "default" not in each and "anyOf" not in each
    }
    assert refused(flow, **dict.fromkeys(empty - NEEDED[flow].keys())) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_usd", -1), ("max_concurrent", 0), ("min_success", 1.1), ("search", "google"),
     ("accept", ["all"]), ("ask", ""), ("sources", "docs")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_where_the_run_is_started(name: str, value: Any) -> None:
    assert refused("fan_out", **{name: value})


@pytest.mark.parametrize("flow", FLOWS)
def test_python_takes_what_it_took(flow: str) -> None:
    inner = inspect.signature(FLOWS[flow].fn).parameters
    assert set(form(flow)["properties"]) == set(inner)
    first = next(iter(inner.values()))
    kinds = inspect.Parameter
    keywords = flow == "digest"
    assert first.kind is (kinds.KEYWORD_ONLY if keywords else kinds.POSITIONAL_OR_KEYWORD)
    if "model" in inner:
        assert inner["model"].default == "auto"
        assert inner["max_usd"].default is None


@pytest.mark.parametrize("flow", ["fan_out", "research"])
def test_example_of_a_deployment_of_shards_is_one_of_the_flow(flow: str) -> None:
    (example,) = form(flow)["properties"]["deployment"]["examples"]
    assert example.partition("/")[0] == FLOWS[flow].name


def test_what_a_person_needs_stands_first() -> None:
    assert list(form("fan_out")["properties"])[:6] == [
        "ask", "sources", "folder", "governor", "model", "max_usd",
    ]  # fmt: skip
    assert list(form("research")["properties"])[:7] == [
        "question", "corpus", "folder", "web", "governor", "model", "max_usd",
    ]  # fmt: skip
    assert list(form("digest")["properties"])[:8] == [
        "ask", "sources", "folder", "notify", "out", "governor", "model", "max_usd",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(NUMBER_OR_AUTO))
def test_number_or_auto_is_what_is_taken(name: str) -> None:
    for taken in (1, 7, "auto"):
        assert refused("fan_out", **{name: taken}) == []
    for wrong in (0, "7", "many", 1.5):
        assert refused("fan_out", **{name: wrong})
