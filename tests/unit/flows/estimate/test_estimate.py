"""What a run would cost, told from its real inputs: never less than it can come to."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.blocks.prices.prices import Price
from prefect_governor.blocks.terms.price import PriceOverride
from prefect_governor.blocks.workspaces.bounds import WorkspaceBounds
from prefect_governor.flows.agent.loop import Bounds
from prefect_governor.flows.answers.schemas import checked
from prefect_governor.flows.answers.shape import Shape
from prefect_governor.flows.deep_research.forecast import forecast as research_forecast
from prefect_governor.flows.deep_research.request import make_inquiry
from prefect_governor.flows.estimate.asking import ask_person, check_multiple, surely_at_most
from prefect_governor.flows.estimate.estimate import WIDE, Forecast, cost_multiple, prompt_tokens
from prefect_governor.flows.estimate.estimate import forecast as forecast_in
from prefect_governor.flows.estimate.loops import LIKELY_CALLS, likely_searches
from prefect_governor.flows.estimate.pace import Left
from prefect_governor.flows.estimate.shown import forecast_lines
from prefect_governor.flows.estimate.standing import Standing, standing_of
from prefect_governor.flows.estimate.work import plan_work
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.parts import parts_of
from prefect_governor.flows.items.trees import tree_digest
from prefect_governor.flows.run.job import Request, make_request
from prefect_governor.flows.tools.kit import kit_of, ready_kit
from prefect_governor.flows.web.providers import PROVIDERS
from tests.unit.prices import flat

PRICE = flat("1", "4").price()
MODEL = "openai/gpt-4o-mini"


def request(*texts: str, name: str = MODEL, **fields: Any) -> Request:
    items = tuple(Item(key=f"item-{at}", text=text) for at, text in enumerate(texts))
    model = ModelChoice(name, "test", max_output_tokens=100, prices={name: PRICE})
    return Request(ask="What is it?", items=items, model=model, **fields)


def forecast(run: Request, *left: Left) -> Forecast:
    """On a machine that has no ledger."""
    return forecast_in(run, Standing((), left, None))


def test_counts_calls_tokens_and_the_most_it_can_cost() -> None:
    found = forecast(request("one two three", "four five six"))
    assert found.calls == 2
    assert found.output_tokens == 200
    overhead = prompt_tokens(request("x"))
    assert 2 * overhead < found.input_tokens < 2 * overhead + 40
    # Half as much again as is counted here, and every answer as long as it may be.
    least = Decimal(found.input_tokens * 1 + found.output_tokens * 4) / 10**6
    assert found.max_usd >= least
    assert found.max_usd <= 2 * least


def test_longer_texts_are_not_cheaper() -> None:
    short, long = forecast(request("word " * 10)), forecast(request("word " * 1000))
    assert long.input_tokens >= short.input_tokens + 900
    assert long.max_usd > short.max_usd


def test_item_that_cannot_be_read_is_named_and_costs_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 no")
    run = request("fine")
    broken_too = (*run.items, Item(key="broken.pdf", source=str(broken)))
    run = Request(ask=run.ask, items=broken_too, model=run.model)
    found = forecast(run)
    assert found.calls == 1
    assert [key for key, _ in found.unreadable] == ["broken.pdf"]
    assert found.to_json()["unreadable"][0]["key"] == "broken.pdf"


def test_model_whose_tokenizer_is_not_known_is_counted_all_the_same() -> None:
    assert forecast(request("word " * 1000, name="groq/openai/gpt-oss-20b")).input_tokens > 900


def test_schema_is_part_of_every_call() -> None:
    shape = Shape(
        checked({"type": "object", "properties": {f"field_{at}": {} for at in range(50)}})
    )
    assert prompt_tokens(request("x", shape=shape)) > prompt_tokens(request("x")) + 150


def test_ceiling_is_what_the_run_would_have() -> None:
    assert forecast(request("x")).ceiling_usd == 1
    assert forecast(request("x", max_usd=Decimal("0.5"))).ceiling_usd == Decimal("0.5")
    assert forecast(request("x", governor="team")).ceiling_usd is None
    assert forecast(request("x", max_total_tokens=5)).ceiling_usd is None


@given(
    calls=st.integers(1, 500),
    prompt=st.integers(0, 5_000),
    documents=st.integers(0, 10**6),
    output=st.integers(0, 10**6),
)
def test_multiple_is_of_one_agent_that_is_told_the_question_once(
    calls: int, prompt: int, documents: int, output: int
) -> None:
    multiple = cost_multiple(
        PRICE,
        input_tokens=documents + calls * prompt,
        output_tokens=output,
        calls=calls,
        prompt_tokens=prompt,
    )
    alone = documents + prompt + 4 * output
    if alone:
        assert multiple == pytest.approx(
            (documents + calls * prompt + 4 * output) / alone, abs=0.01
        )
    assert multiple >= 1.0


def test_what_costs_nothing_is_no_multiple_of_nothing() -> None:
    free = PriceOverride(free=True).price()
    assert cost_multiple(free, input_tokens=9, output_tokens=9, calls=3, prompt_tokens=1) == 1.0


def test_json_has_what_programs_read() -> None:
    found = forecast(request("one two three")).to_json()
    assert {
        "model", "calls", "input_tokens", "output_tokens", "max_usd", "ceiling_usd",
        "cost_multiple", "unreadable", "p50_usd", "p95_usd", "p50_seconds", "p95_seconds",
        "bottleneck", "based_on",
    } <= set(found)  # fmt: skip
    assert found["based_on"] == {"runs": 0, "calls": 0}
    assert 0 < found["p50_usd"] <= found["p95_usd"] <= found["max_usd"]
    assert 0 < found["p50_seconds"] <= found["p95_seconds"]
    assert found["bottleneck"] is None


def test_run_of_few_tokens_and_long_answers_is_said_to_be_a_guess() -> None:
    run = request("one two three " * 50)
    assert WIDE not in "\n".join(forecast_lines(forecast(run)))
    model = ModelChoice(MODEL, "", prices={MODEL: PRICE})
    long = Request(ask=run.ask, items=run.items, model=model)
    assert WIDE in "\n".join(forecast_lines(forecast(long)))


def test_text_that_is_split_makes_a_call_a_part_and_one_that_combines_them() -> None:
    small = Price(PRICE.standard, context_tokens=4_500)  # room for 2,400 after the prompt
    model = ModelChoice(MODEL, "test", max_output_tokens=100, prices={MODEL: small})
    texts = ("short", "a word or two. " * 1000)
    items = tuple(Item(key=str(at), text=text) for at, text in enumerate(texts))
    run = Request(ask="What?", items=items, model=model)
    work = plan_work(run)
    parts = parts_of(model, texts[1])
    assert len(parts) > 2
    assert work.likely.lengths == {1: 1, len(parts) + 1: 1}
    assert sum(call.answers for call in work.likely.calls) == len(parts)
    assert work.likely.longest == len(parts) + 1
    assert forecast(run).calls == len(parts) + 2


def test_items_that_the_ceiling_does_not_cover_are_counted() -> None:
    run = request(*["word " * 100] * 10)
    whole = forecast(run)
    assert whole.over_budget == 0
    half = int(whole.p50_usd * 10**9 / 2)
    found = forecast(run, Left("this run", half, None))
    assert found.over_budget == 5
    assert "does not cover 5 of 10 items" in "\n".join(forecast_lines(found))
    assert found.at_stake_usd <= whole.p50_usd / 2


def test_limits_of_the_run_are_held_against_it() -> None:
    run = make_request(
        ["one", "two", "three"],
        ask="What?",
        model="offline/extract",
        max_concurrent=2,
        requests_per_minute=1,
    )
    found = forecast_in(run, standing_of(run))
    assert found.bottleneck is not None
    assert found.bottleneck.name == "requests_per_minute"
    assert found.p50_seconds > 120
    names = {each.name for each in found.throughputs}
    assert {"max_concurrent", "requests_per_minute", "budget_usd"} <= names


def test_estimate_makes_no_ledger(home: Path) -> None:
    run = request("x")
    assert standing_of(run).store is None
    assert not home.exists()


# Whether it is worth it, and whether a person is asked


def test_multiple_above_the_bar_is_refused() -> None:
    expected = forecast(request(*["word"] * 50))
    assert expected.cost_multiple > 1.2
    check_multiple(expected, expected.cost_multiple)
    check_multiple(expected, None)
    with pytest.raises(ConfigurationError, match="max_cost_multiple"):
        check_multiple(expected, expected.cost_multiple - 0.01)


@pytest.mark.parametrize("usd", ["0", "0.0001", "0.001", "0.01", "0.1", "5"])
@pytest.mark.parametrize("size", [1, 100, 3000])
def test_run_that_is_let_through_by_its_size_alone_cannot_cost_more(usd: str, size: int) -> None:
    run = request(*["wörd " * size] * 5)
    if surely_at_most(run, Standing((), (), None), Decimal(usd)):
        assert forecast(run).max_usd <= Decimal(usd)
    else:
        assert Decimal(usd) < 5


def test_run_under_a_ceiling_that_low_is_let_through_unread(tmp_path: Path) -> None:
    gone = Item(key="x.pdf", source=str(tmp_path / "x.pdf"))
    run = Request(ask="What?", items=(gone,), model=request().model)
    standing = Standing((), (Left("this run", 10**9, None),), None)
    assert surely_at_most(run, standing, Decimal(1))
    assert not surely_at_most(run, standing, Decimal("0.99"))


def test_where_nobody_can_be_asked_the_way_on_is_named() -> None:
    expected = forecast(request("word " * 200))
    with pytest.raises(ConfigurationError, match="--yes") as refused:
        ask_person(expected, Decimal(0), stdin_is_read=False)
    assert "wide guess" not in str(refused.value)
    assert "$0.00" in str(refused.value)


def test_tools_are_a_loop_an_item_and_it_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "a.py").write_text("print(1)")
    with_tools = request("one two three", "four", kit=kit_of(["read", "search"]))
    whole = Item(key="repo", folder=str(folder))
    run = replace(with_tools, items=(*with_tools.items, whole))
    once, found = forecast(request("one two three", "four")), forecast(run)
    assert found.items == 3 and found.calls == 3 * LIKELY_CALLS
    # Each call has the results of those before it, and the tools beside its prompt.
    assert found.input_tokens > 6 * once.input_tokens and found.p95_usd > found.p50_usd > 0
    assert found.max_usd > 4 * found.p95_usd and found.wide
    assert any(
        f"about {LIKELY_CALLS} calls an item, at most {Bounds().turns + 1} a reading" in line
        for line in forecast_lines(found)
    )
    # Whoever is asked about dear runs is asked about this one.
    left = Standing((), (), None)
    assert surely_at_most(request("one"), left, Decimal("0.01"))
    one = replace(with_tools, items=with_tools.items[:1])
    assert not surely_at_most(one, left, Decimal("0.01"))
    assert surely_at_most(one, left, forecast(one).max_usd * 2)
    assert not surely_at_most(replace(run, items=(whole,)), left, Decimal(100))


def test_searches_that_cost_are_foretold_and_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAVILY_API_KEY", "key")
    left = Standing((), (), None)
    free, dear = (
        replace(
            request("one", "two"),
            kit=ready_kit(["web"], sandbox=None, folder=Path(), search="tavily", search_usd=usd),
        )
        for usd in ("0", "1")
    )
    without, found = forecast(free), forecast(dear)
    each = likely_searches(LIKELY_CALLS)
    assert each >= 1 and found.p50_usd - without.p50_usd == 2 * each
    assert 2 * Bounds().tool_calls >= found.p95_usd - without.p95_usd > 2 * each
    assert found.max_usd - without.max_usd == 2 * Bounds().tool_calls
    assert any(f"at most {Bounds().tool_calls}, in the cost" in line for line in found.assumptions)
    assert surely_at_most(free, left, without.max_usd * 3)
    assert not surely_at_most(dear, left, without.max_usd * 3)


def test_a_folder_may_hold_what_its_sandbox_may(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("A has 12.")
    with (tmp_path / "data.bin").open("wb") as file:
        file.truncate(65 * 2**20)
    kit = kit_of(["read"])
    assert kit is not None
    run = replace(request(), items=(Item(key="repo", folder=str(tmp_path)),), kit=kit)
    assert "too large" in forecast(run).unreadable[0][1]
    wide = replace(run, kit=replace(kit, bounds=WorkspaceBounds(max_mib=128)))
    assert not forecast(wide).unreadable and tree_digest(tmp_path, wide.workspace_bounds)


def test_offline_there_is_no_loop(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("It is the first answer.")
    items = (Item(key="repo", folder=str(tmp_path)),)
    run = request(name="offline/extract", kit=kit_of(["read"]))
    found = forecast(replace(run, items=items))
    assert found.calls == 1 and not any("a loop" in line for line in forecast_lines(found))


def test_a_look_says_where_the_web_is_given_and_nobody_searches_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for each in PROVIDERS:
        monkeypatch.delenv(each.variable, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    alone = replace(request("one"), kit=ready_kit(["web"], sandbox=None, folder=Path()))
    found = forecast(alone)
    assert "SEARXNG_API_BASE" in found.notes[0] and found.to_json()["notes"] == [*found.notes]
    assert f"note: {found.notes[0]}" in [*forecast_lines(found)]
    inquiry = make_inquiry("What?", web=True, model=MODEL)
    assert research_forecast(inquiry).notes == found.notes
    monkeypatch.setenv("TAVILY_API_KEY", "key")
    searched = replace(request("one"), kit=ready_kit(["web"], sandbox=None, folder=Path()))
    assert forecast(searched).notes == () and forecast(request("one")).notes == ()
    assert research_forecast(make_inquiry("What?", web=True, model=MODEL)).notes == ()
