"""Agents and tools of the user's own in a research run."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.agent.tools import tool_of
from tests.integration.governing import MODEL
from tests.integration.research.asking import ask, plan
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")


def test_tools_and_agents_of_the_users_own(upstream: ProviderProcess, notes: Path) -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    def agent(task: Any, inputs: dict[str, str], governor: Any) -> dict[str, Any]:
        seen.append((task.id, inputs))
        reply = governor.completion(
            MODEL, [{"role": "user", "content": task.objective}], max_tokens=20
        )
        first = reply.choices[0].message.content
        return {"answer": f"{first} [notes-01.md:1]", "evidence": {"notes-01.md": [[1, 2]]}}

    tasks = plan(("a", "first", []), ("b", "second", ["a"]))
    report = ask("Both?", notes, plan=tasks, agent=agent, max_rounds=0)
    stats = upstream.settled_stats()
    assert [name for name, _ in seen] == ["a", "b"] and set(seen[1][1]) == {"a"}
    assert int(report.budget.spent_usd * 10**9) == stats["billed_nano"]
    assert [item.calls for item in report.items] == [1, 1]


def test_what_the_governors_tools_showed_an_agent_of_the_users_own_may_be_cited(
    upstream: ProviderProcess, notes: Path
) -> None:
    offered: dict[str, list[str]] = {}

    def agent(task: Any, inputs: dict[str, str], governor: Any) -> str:
        by_name = {each.__name__: each for each in governor.tools}
        offered[task.id] = sorted(by_name)
        if inputs:
            return str(by_name["read_result"]("a"))
        by_name["read"]("notes-01.md", first=1, last=2)
        return "seen [notes-01.md:1-2], never seen [notes-02.md:1]"

    def own(word: str) -> str:
        """A tool of the run."""
        return word

    tasks = plan(("a", "first", []), ("b", "second", ["a"]))
    report = ask("Both?", notes, plan=tasks, agent=agent, tools=[own], max_rounds=0)
    assert offered == {
        "a": ["own", "read", "search_corpus"], "b": ["own", "read", "read_result", "search_corpus"],
    }  # fmt: skip
    for item in report.items:
        assert item.result["answer"].strip() == "seen [notes-01.md:1-2], never seen"
        assert item.result["retrieved"] == {"notes-01.md": [[1, 2]]}


def test_a_tools_calls_are_never_more_at_once_than_the_limit_that_it_names(
    upstream: ProviderProcess, notes: Path
) -> None:
    Governor(
        budget=Budget(max_usd=1, window="total"),
        limits=[Limit(tag="llm", max_concurrent=8), Limit(tag="warehouse", max_concurrent=2)],
    ).save("with-a-tool", overwrite=True)
    at_work = most = calls = 0
    counting = threading.Condition()

    def in_stock(part: str) -> str:
        """How many of a part are in stock."""
        nonlocal at_work, most, calls
        with counting:
            at_work, calls = at_work + 1, calls + 1
            most = max(most, at_work)
            counting.notify_all()
            # On a busy machine the second of the two may be long in coming.
            counting.wait_for(lambda: most >= 2, timeout=20)
        time.sleep(0.05)
        with counting:
            at_work -= 1
        return f"12 of {part}"

    asked = {"tool_calls": [{"name": "in_stock", "arguments": {"part": "A"}}] * 3}
    upstream.renew(script=[{"match": "Your task", "by": "turn", "reply": [asked, "twelve"]},
                           {"match": ".", "reply": "twelve of each"}])  # fmt: skip
    tasks = plan(*[(f"t{at}", "count", []) for at in range(4)])
    options: dict[str, Any] = {"plan": tasks, "governor": "with-a-tool", "max_rounds": 0}
    report = ask("How many?", notes, tools=[tool_of(in_stock, limit="warehouse")], **options)
    assert report.outcome == "complete" and (most, calls) == (2, 12)
    # The control: the same tool without a limit.
    most = calls = 0
    ask("How many?", notes, tools=[in_stock], **options)
    assert most > 2 and calls == 12
    with pytest.raises(ConfigurationError, match="no limit 'shop'"):
        ask("How many?", notes, tools=[tool_of(in_stock, limit="shop")], **options)
