"""Whose calls a night's reconciliation looks at, and in which order."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.flows import reconcile_flow


def test_a_call_is_priced_by_its_governor_and_not_by_the_budget_above(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row that says tokens alone is settled at the first price that is looked up; a parent has
    none, and the list's is a guess."""

    def saved(kind: type[Any]) -> list[SimpleNamespace]:
        names = ["team", "z-team"] if kind is GovernorTerms else ["a-company", "team"]
        return [SimpleNamespace(name=name) for name in names]

    monkeypatch.setattr(reconcile_flow, "saved", saved)
    assert reconcile_flow._saved() == ["team", "z-team", "a-company"]


def test_a_day_without_calls_holds_up_no_night(tmp_path: Path) -> None:
    (tmp_path / "monday.csv").write_text("request_id,cost_usd\nabc,0.5\n")
    (tmp_path / "tuesday.csv").write_text("request_id,cost_usd\n")
    (tmp_path / "wednesday.jsonl").write_text("")
    rows, problems = reconcile_flow._evidence(["*.csv", "*.jsonl"], tmp_path)
    assert [row.ids for row in rows] == [("abc",)] and problems == []
