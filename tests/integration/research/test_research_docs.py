"""The repository's own docs, asked as a reader would ask them: without a key, without a network."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.flows.agent.citations import Citation
from prefect_governor.flows.agent.evidence import citations_in
from prefect_governor.flows.server.background import ServerInfo
from tests import ROOT


@dataclass(frozen=True)
class Question:
    """What is asked, and what the lines that answer it say, in which file."""

    text: str
    file: str
    phrase: str


QUESTIONS = (
    Question(
        "How do I raise a team's budget while flows are running?",
        "docs/how-to/set-a-team-budget.md",
        "prefect-governor budget raise llm-team +2.50",
    ),
    Question(
        "How soon do the calls of a killed process become unconfirmed?",
        "docs/how-to/reconcile-a-crash.md",
        "become unconfirmed within 30 s of its death",
    ),
    Question(
        "Is a call charged that the provider answered with a 500?",
        "docs/decisions/money/0003-what-a-status-means-for-money.md",
        "A 5xx stays charged at its bound",
    ),
    Question(
        "How can I see what each user spent?",
        "docs/how-to/who-spent-what.md",
        "prefect-governor budget show support --by user",
    ),
    Question(
        "Why does a call wait although there is money left?",
        "docs/how-to/why-was-my-call-refused.md",
        "calls in flight have reserved it at their bounds",
    ),
    Question(
        "What happens when a governor is deleted and saved again?",
        "docs/decisions/ledger/0016-documents-and-ledgers.md",
        "another document: spent is 0",
    ),
    Question(
        "Why is the result of a fan-out not persisted?",
        "docs/decisions/runs/0002-what-makes-a-partial-run-retryable.md",
        "Prefect's server refuses to move a completed run back",
    ),
    Question(
        "How many lines must I change to govern an agent of my own?",
        "docs/how-to/agents-of-your-own.md",
        "there are at most three",
    ),
    Question(
        "How are rates counted when nobody knows the provider's kind of window?",
        "docs/decisions/limits/0005-one-window-for-every-rate.md",
        "At most N in any window",
    ),
    Question(
        "Which citations are taken out of an answer?",
        "docs/decisions/research/0015-research.md",
        "stands only where every one of its lines was shown to an agent",
    ),
)
# The default suite asks these, each in a command of its own; `-m scale` all of them.
FEW = QUESTIONS[:2]


def test_the_questions_can_be_answered_from_the_docs() -> None:
    """Each phrase stands in its file, once, so that citing its lines is what answers."""
    assert len(QUESTIONS) == 10
    for question in QUESTIONS:
        assert flat((ROOT / question.file).read_text()).count(question.phrase) == 1, question


@pytest.mark.parametrize("question", FEW, ids=lambda each: each.text)
def test_a_reader_without_a_key_gets_the_lines_that_answer(
    question: Question, server: ServerInfo, tmp_path: Path
) -> None:
    check([question], asked(question.text, tmp_path))


def test_all_of_them_in_one_command_are_as_many_parts_of_a_plan_by_rule(
    server: ServerInfo, tmp_path: Path
) -> None:
    check(list(QUESTIONS), asked(" ".join(each.text for each in QUESTIONS), tmp_path))


@pytest.mark.scale
@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.text)
def test_each_alone(question: Question, server: ServerInfo, tmp_path: Path) -> None:
    check([question], asked(question.text, tmp_path))


def asked(text: str, folder: Path) -> dict[str, Any]:
    """What the command prints, run in the checkout by somebody who has no key."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect_governor.flows.cli", "research", text,
         "--corpus", "docs", "--model", "auto", "--json", "--out", str(folder / "report.md")],
        cwd=ROOT, env=without_keys(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "model: offline/extract (no key is set" in done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert any(note.startswith("planned by rule") for note in report["notes"])
    # What is printed is what stands in the file.
    assert (folder / "report.md").read_text().strip() == report["answer"].strip()
    return report


def without_keys() -> dict[str, str]:
    # Nothing listens at the address of a local Ollama.
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return kept | {"OLLAMA_API_BASE": "http://127.0.0.1:9"}


def check(questions: list[Question], report: dict[str, Any]) -> None:
    """Each question is a task whose answer cites lines that say it; so does the whole."""
    assert [item["state"] for item in report["items"]] == ["succeeded"] * len(questions)
    wrong = []
    for question, item in zip(questions, report["items"], strict=True):
        cited = citations_in(item["result"]["answer"])
        at = next((at for at, each in enumerate(cited, 1) if holds(each, question)), None)
        print(f"{question.text} answered by citation {at} of {len(cited)}")
        if at is None or not any(holds(each, question) for each in citations_in(report["answer"])):
            wrong.append((question.text, [str(each) for each in cited]))
    assert not wrong


def holds(citation: Citation, question: Question) -> bool:
    """Whether the cited lines are few, and say what answers the question."""
    if citation.source != question.file:
        return False
    lines = (ROOT / question.file).read_text().split("\n")[citation.first - 1 : citation.last]
    return len(lines) <= 10 and question.phrase in flat("\n".join(lines))


def flat(text: str) -> str:
    return " ".join(text.split())
