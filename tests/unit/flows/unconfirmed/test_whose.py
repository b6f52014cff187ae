"""Whose calls a night's reconciliation looks at, and in which order."""

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
