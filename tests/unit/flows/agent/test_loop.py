"""The loop ends: with an answer, at a bound, or by an error that a person can act on."""

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed, OverBudget
from prefect_governor.flows.agent import loop
from prefect_governor.flows.agent.citations import Citation
from prefect_governor.flows.agent.corpus import Corpus
from prefect_governor.flows.agent.evidence import Evidence, check_citations
from prefect_governor.flows.agent.loop import Bounds, Trace, Turn, run_agent
from prefect_governor.flows.agent.marking import marked
from prefect_governor.flows.agent.tools import (
    MOST_CHARACTERS,
    corpus_tools,
    tool_of,
    tools_of,
)
from prefect_governor.flows.items.item import Item

QUESTION = [{"role": "user", "content": "how many?"}]


def calls(*wanted: tuple[str, dict[str, Any]], tokens: int = 10) -> Turn:
    return Turn(
        "", tuple((f"c{at}", name, json.dumps(args)) for at, (name, args) in enumerate(wanted)),
        tokens,
    )  # fmt: skip


class Script:
    """A model that says what it is told to, and keeps what it was asked."""

    def __init__(self, *turns: Turn) -> None:
        self.turns = list(turns)
        self.asked: list[tuple[list[dict[str, Any]], bool]] = []
        self.tools: list[int] = []

    async def __call__(
        self,
        messages: Sequence[dict[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        must_answer: bool,
    ) -> Turn:
        self.asked.append((list(messages), must_answer))
        self.tools.append(len(tools))
        return self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]


async def test_what_ends_an_agent_ends_the_calls_beside_it() -> None:
    at_work, ended = asyncio.Event(), asyncio.Event()

    async def dear() -> str:
        """Costs too much."""
        await at_work.wait()
        raise OverBudget("no money")

    async def long() -> str:
        """Works for ever."""
        at_work.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    script = Script(calls(("dear", {}), ("long", {})))
    with pytest.raises(OverBudget):
        await run_agent(QUESTION, tools_of([dear, long]), script)
    await asyncio.wait_for(ended.wait(), 5)


def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


async def test_results_stand_in_the_order_of_the_asking_whichever_came_first() -> None:
    first_done = asyncio.Event()

    async def slow() -> str:
        """Ends last."""
        await first_done.wait()
        return "slow"

    async def quick() -> str:
        """Ends first."""
        first_done.set()
        return "quick"

    script = Script(calls(("slow", {}), ("quick", {})), Turn("done"))
    assert await run_agent(QUESTION, tools_of([slow, quick]), script) == "done"
    said = [each["content"] for each in script.asked[1][0][-2:]]
    assert said == [marked(name, source=name) for name in ("slow", "quick")]


@pytest.mark.parametrize(
    ("bounds", "what"),
    [
        (Bounds(turns=3), "turns"),
        (Bounds(tool_calls=2), "tool calls"),
        (Bounds(tokens=20), "tokens"),
        (Bounds(seconds=6.5), "time"),
    ],
)
async def test_at_a_bound_it_must_answer_without_tools(bounds: Bounds, what: str) -> None:
    ticks = iter(range(100))
    script = Script(*[calls(("double", {"number": 1}))] * 20)
    trace = Trace()
    script.turns[2:] = [Turn("all I found")]
    answer = await run_agent(
        QUESTION, tools_of([double]), script, bounds=bounds,
        clock=lambda: float(next(ticks)), trace=trace,
    )  # fmt: skip
    assert (answer, trace.stopped_by, trace.turns) == ("all I found", what, 3)
    messages, must_answer = script.asked[-1]
    assert must_answer and what in messages[-1]["content"]


async def test_one_reply_cannot_run_past_the_bound_of_tool_calls() -> None:
    script = Script(calls(*[("double", {"number": at}) for at in range(9)]), Turn("done"))
    trace = Trace()
    await run_agent(QUESTION, tools_of([double]), script, bounds=Bounds(tool_calls=4), trace=trace)
    results = [each["content"] for each in script.asked[1][0] if each["role"] == "tool"]
    assert trace.tools == {"double": 4} and len(results) == 9
    assert results[3] == marked("6", source="double") and "used up" in results[4]


async def test_what_a_tool_says_wrong_is_an_answer_to_mend() -> None:
    def broken() -> str:
        """Always fails."""
        raise OSError("the disk is full")

    script = Script(
        calls(("double", {"number": "x"}), ("broken", {}), ("nosuch", {}), ("double", {"n": 1})),
        Turn("done"),
    )
    await run_agent(QUESTION, tools_of([double, broken]), script)
    results = [each["content"] for each in script.asked[1][0][-4:]]
    assert "number: " in results[0] and "the disk is full" in results[1]
    assert "there are: double, broken" in results[2] and "n: " in results[3]


async def test_the_end_of_the_money_is_not_something_for_the_model_to_mend() -> None:
    def paid() -> str:
        """Costs."""
        raise OverBudget("nothing is left")

    with pytest.raises(OverBudget):
        await run_agent(QUESTION, tools_of([paid]), Script(calls(("paid", {}))))


async def test_an_answer_of_nothing_fails_the_item() -> None:
    with pytest.raises(ItemFailed, match="nothing"):
        await run_agent(QUESTION, {}, Script(Turn("  ")))


def test_a_tool_is_told_by_its_hints_and_docstring() -> None:
    schema = tool_of(double).schema["function"]
    assert schema["name"] == "double" and schema["description"] == "Twice a number."
    assert schema["parameters"]["required"] == ["number"]
    assert schema["parameters"]["properties"] == {"number": {"type": "integer"}}


def test_what_cannot_be_a_tool_is_refused_with_the_reason() -> None:
    def silent(number: int) -> int:
        return number

    def bare(number) -> int:  # type: ignore[no-untyped-def]
        """No hint."""
        return int(number)

    def many(*numbers: int) -> int:
        """Any."""
        return sum(numbers)

    for function, why in ((silent, "docstring"), (bare, "type hint"), (many, "numbers")):
        with pytest.raises(ConfigurationError, match=why):
            tool_of(function)
    with pytest.raises(ConfigurationError, match="two tools"):
        tools_of([double, double])


async def test_a_tools_answer_is_cut_and_says_so() -> None:
    def long() -> str:
        """Long."""
        return "x" * (MOST_CHARACTERS + 5)

    assert (await tool_of(long).call("")).text.endswith("cut: 5 characters more")


@pytest.fixture
def corpus() -> Corpus:
    text = "\n".join(["# Ports", "", "The depot listens on port 7001.", *["filler text"] * 30])
    return Corpus(
        [
            Item(key="docs/ports.md", text=text),
            Item(key="docs/cats.md", text="# Cats\n\nCats sleep in the sun."),
            Item(key="gone.md", source="/nowhere/gone.md"),
        ]
    )


def test_a_search_gives_the_lines_that_say_it(corpus: Corpus) -> None:
    (found, *_) = corpus.search("which port does the depot use")
    assert found.source == "docs/ports.md" and found.first <= 3 <= found.last
    assert corpus.search("port", within=["docs/cats.md"]) == []
    assert list(corpus.unreadable) == ["gone.md"]


def test_a_read_is_bounded_and_says_what_there_is(corpus: Corpus) -> None:
    assert corpus.read("docs/ports.md", first=3, last=3).numbered().endswith("7001.")
    assert corpus.read("ports.md", first=1).last == 33
    for source, first, why in (("x.md", 1, "no such"), ("docs/cats.md", 9, "3 lines")):
        with pytest.raises(LookupError, match=why):
            corpus.read(source, first=first)
    with pytest.raises(LookupError, match="0 pages"):
        corpus.read("docs/cats.md", page=1)


async def test_what_the_corpus_tools_show_is_evidence_and_nothing_else_is(corpus: Corpus) -> None:
    evidence = Evidence()
    tools = tools_of(corpus_tools(corpus))
    shown = await tools["read"].call('{"source": "docs/cats.md", "first": 3}')
    evidence.update(shown.lines)
    assert shown.text.startswith("[docs/cats.md:3-3]\n")
    assert evidence.holds(Citation("docs/cats.md", 3, 3))
    assert not evidence.holds(Citation("docs/cats.md", 1, 1))
    evidence.update((await tools["search_corpus"].call('{"query": "depot port"}')).lines)
    assert evidence.holds(Citation("docs/ports.md", 3, 3))


def hangs() -> str:
    """Never ends, and hears nothing."""
    threading.Event().wait()
    return ""


async def waits() -> str:
    """Never ends by itself."""
    await asyncio.Event().wait()
    return ""


async def test_what_a_tool_showed_too_late_is_no_evidence(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_LEAST_SECONDS", 0.05)
    let_go, came = threading.Event(), threading.Event()
    (read,) = (tool for tool in corpus_tools(corpus) if tool.name == "read")

    def slow(**values: Any) -> Any:
        let_go.wait(30)
        came.set()
        return read.function(**values)

    late = replace(read, name="late", function=slow)
    evidence = Evidence()
    script = Script(
        calls(("late", {"source": "docs/cats.md"}), ("read", {"source": "docs/ports.md"})),
        Turn("Cats [docs/cats.md:3], ports [docs/ports.md:3]."),
    )

    async def ask(*asked: Any) -> Turn:
        if script.asked:
            # Between the two it comes after all, to nobody.
            let_go.set()
            assert await asyncio.to_thread(came.wait, 30)
        return await script(*asked)

    tools = tools_of([late, read])
    answer = await run_agent(QUESTION, tools, ask, bounds=Bounds(seconds=0.05), evidence=evidence)
    checked = check_citations(answer, evidence)
    assert checked.text == "Cats, ports [docs/ports.md:3]."
    assert checked.removed == ("[docs/cats.md:3]",)


@pytest.mark.parametrize("tool", [hangs, waits])
async def test_a_tool_that_hangs_is_left_when_the_agents_time_is_over(
    tool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_LEAST_SECONDS", 0.05)
    script = Script(calls((tool.__name__, {}), ("double", {"number": 4})), Turn("done"))
    answer = await run_agent(
        QUESTION, tools_of([tool, double]), script, bounds=Bounds(seconds=0.05)
    )
    assert answer == "done"
    told, doubled = (each["content"] for each in script.asked[1][0] if each["role"] == "tool")
    assert f"error: {tool.__name__} was still at it" in told
    assert doubled == marked("8", source="double")


async def test_a_model_that_calls_tools_whatever_it_is_told_is_brought_to_an_answer() -> None:
    deaf = calls(("double", {"number": 1}))
    script = Script(deaf, deaf, Turn("what I have"))
    assert await run_agent(QUESTION, tools_of([double]), script, bounds=Bounds(turns=2)) == (
        "what I have"
    )
    assert script.tools == [1, 1, 0]
    messages, must_answer = script.asked[-1]
    assert must_answer and "No tool can be called" in messages[-1]["content"]


async def test_a_model_that_never_answers_fails_its_item_and_ends() -> None:
    script = Script(calls(("double", {"number": 1})))
    with pytest.raises(ItemFailed, match="answered with nothing"):
        await run_agent(QUESTION, tools_of([double]), script, bounds=Bounds(turns=2))
    assert len(script.asked) == 3
