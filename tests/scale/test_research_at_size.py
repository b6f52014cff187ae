"""Research runs of a size at which waves, lost answers and idle slots would show."""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from prefect_governor import research
from prefect_governor.blocks.errors import RunFailed
from prefect_governor.flows.agent.evidence import citations_in
from prefect_governor.flows.deep_research.plan.plan import check_plan, critical_path
from prefect_governor.flows.deep_research.report import ResearchReport
from tests.provider.answers.riddles import Riddle, World, make_world
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"

pytestmark = [pytest.mark.scale, pytest.mark.slow, pytest.mark.usefixtures("server")]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def notes(world: World, tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in world.files.items():
        (folder / name).write_text(text)
    return folder


def ask(riddle: Riddle, notes: Path, **more: Any) -> ResearchReport:
    options: dict[str, Any] = {
        "corpus": ["*.md"], "folder": str(notes), "model": MODEL, "max_output_tokens": 400
    }  # fmt: skip
    try:
        report = research(riddle.question, **options | more)
    except RunFailed as error:
        report = error.report
    assert isinstance(report, ResearchReport)
    return report


def plain(answer: str) -> str:
    """An answer without its citations."""
    for citation in citations_in(answer):
        answer = answer.replace(f" {citation}", "")
    return answer.strip()


def test_every_question_of_the_set_is_answered(
    upstream: ProviderProcess, world: World, notes: Path
) -> None:
    upstream.renew(reads=True)
    wrong = [
        (riddle.question, riddle.answer, report.answer)
        for riddle in world.riddles
        if plain((report := ask(riddle, notes, max_rounds=0)).answer or "") != riddle.answer
    ]
    print(f"{len(world.riddles) - len(wrong)} of {len(world.riddles)} questions answered")
    assert len(world.riddles) >= 30
    assert not wrong


@pytest.mark.parametrize("by", ["body", "request"])
def test_with_faults_every_missing_answer_is_named_and_every_other_is_right(
    upstream: ProviderProcess, world: World, notes: Path, by: str
) -> None:
    """A tenth of the calls fail: a retry does better, or fails again and the answer is missing."""
    upstream.renew(reads=True, faults={"seed": 5, "by": by, "error_500": 0.1})
    right = missing = 0
    for riddle in world.riddles:
        report = ask(riddle, notes, max_rounds=0)
        lost = [item for item in report.items if item.state != "succeeded"]
        unwritten = any("synthesis failed" in note for note in report.notes)
        if lost or report.outcome == "failed":
            missing += 1
            assert all(item.reason for item in lost)
            assert report.reason
            assert all(item.key in (report.answer or "") for item in lost)
            # What did not fail is right all the same.
            found = {item.key: plain(item.result["answer"]) for item in report.items if item.result}
            assert found.items() <= truth(riddle, world).items(), riddle
        elif unwritten:
            missing += 1
            assert riddle.answer.split("; ")[0] in plain(report.answer or ""), riddle
        else:
            right += 1
            assert plain(report.answer or "") == riddle.answer, riddle
    stats = upstream.settled_stats()
    print(f"by {by}: {right} right, {missing} with something missing, faults {stats['faults']}")
    assert sum(stats["faults"].values()) > 0
    assert right + missing == len(world.riddles)
    assert (missing == 0) is (by == "body")


def truth(riddle: Riddle, world: World) -> dict[str, str]:
    """The answer of each task of a question's plan."""
    found: dict[str, str] = {}
    for hop in riddle.hops:
        subject = found[hop.after] if hop.after else hop.subject
        assert subject is not None
        found[hop.id] = world.facts[hop.relation, subject]
    return found


def make_plan(size: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    names = [f"t{at:02}" for at in range(size)]
    return {
        "tasks": [
            {
                "id": name,
                "objective": f"step {at}",
                "depends_on": rng.sample(names[max(0, at - 12) : at], min(at, rng.choice([1, 2]))),
            }
            for at, name in enumerate(names)
        ]
    }


def test_60_tasks_of_2_seconds_are_within_a_tenth_of_their_critical_path(
    upstream: ProviderProcess, notes: Path
) -> None:
    plan = make_plan(60, seed=3)
    upstream.renew(latency_seconds=2.0, script={"Your task": "done", ".": "all of it"})
    longest = critical_path(check_plan(plan).tasks, dict.fromkeys(
        (task["id"] for task in plan["tasks"]), 2.0))  # fmt: skip
    report = research(
        "How?", plan=plan, model=MODEL, max_output_tokens=40, max_rounds=0, max_concurrent=60
    )
    log = [record for record in upstream.log() if record["end"] is not None]
    # The synthesis comes after the last of them.
    begins, ends = [r["arrival"] for r in log], sorted(r["end"] for r in log)
    took = ends[-2] - min(begins)
    print(f"critical path {longest:.0f} s, took {took:.2f} s, ratio {took / longest:.3f}")
    assert report.outcome == "complete"
    assert took <= 1.1 * longest


def test_twenty_at_once_cut_the_wall_clock_by_nine_tenths_at_the_same_calls(
    upstream: ProviderProcess,
) -> None:
    def run(cap: int) -> tuple[float, int, Decimal]:
        upstream.renew(latency_seconds=2.0, script={"Your task": "done", ".": "all of it"})
        plan = {"tasks": [{"id": f"t{at:02}", "objective": f"step {at}"} for at in range(40)]}
        report = research(
            "How?", plan=plan, model=MODEL, max_output_tokens=40, max_rounds=0, max_concurrent=cap
        )
        log = upstream.log()
        took = max(r["end"] for r in log) - min(r["arrival"] for r in log)
        return took, len(log), report.budget.spent_usd

    alone, together = run(1), run(20)
    print(
        f"one after another {alone[0]:.1f} s, 20 at once {together[0]:.1f} s: cut by"
        f" {1 - together[0] / alone[0]:.1%}; calls {alone[1]} and {together[1]}"
    )
    assert together[0] <= 0.1 * alone[0]
    assert alone[1:] == together[1:]
