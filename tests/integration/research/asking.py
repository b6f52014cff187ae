"""A research asked of a folder's files, and a plan for it."""

from pathlib import Path
from typing import Any

from prefect_governor import research
from prefect_governor.flows.deep_research.report import ResearchReport
from tests.integration.governing import MODEL


def options(notes: Path, **more: Any) -> dict[str, Any]:
    return {
        "corpus": ["*.md"], "folder": str(notes), "model": MODEL, "max_output_tokens": 400, **more
    }  # fmt: skip


def ask(question: str, notes: Path, **more: Any) -> ResearchReport:
    report = research(question, **options(notes, **more))
    assert isinstance(report, ResearchReport)
    return report


def plan(*tasks: tuple[str, str, list[str]]) -> dict[str, Any]:
    return {
        "tasks": [
            {"id": name, "objective": objective, "depends_on": needs}
            for name, objective, needs in tasks
        ]
    }
