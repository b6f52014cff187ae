"""The Governor's document: policies checked, its secret shown nowhere, its budget its own."""

import copy
import pickle
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr, ValidationError

from prefect_governor.blocks.budget import Budget
from prefect_governor.blocks.context.enforcement import BREAK_GLASS, break_glass, why_off
from prefect_governor.blocks.documents.documents import Definition
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.work.following import is_same


def made(**fields: Any) -> Governor:
    return Governor.model_validate({"budget": {"max_usd": 1}, **fields})


def test_governor_enforces_and_stops_unless_it_is_told_otherwise() -> None:
    governor = made()
    assert (governor.mode, governor.when_spent) == ("enforce", "stop")
    assert (governor.pause_timeout_seconds, governor.fallback_share) == (3600, 0.8)
    assert governor.ledger_url is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "enforced"),
        ("when_spent", "wait"),
        ("pause_timeout_seconds", 0),
        ("pause_timeout_seconds", float("nan")),
        ("pause_timeout_seconds", float("inf")),
        ("fallback_share", 80),
        ("fallback_share", -0.1),
        ("ledger_url", "mysql://user@host/db"),
    ],
)
def test_policy_that_is_none_is_refused_with_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        made(**{field: value})


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_ledger_that_the_form_leaves_empty_is_this_machines(empty: Any) -> None:
    assert made(ledger_url=empty).ledger_url is None


def test_password_in_a_wrong_ledger_url_is_in_no_message() -> None:
    with pytest.raises(ValidationError) as refused:
        made(ledger_url="mysql://user:very-secret@host/db")
    assert "very-secret" not in str(refused.value)
    assert "postgresql://" in str(refused.value)


def test_password_in_the_ledger_url_is_a_secret_of_the_document() -> None:
    url = "postgresql://user:very-secret@host/db"
    governor = made(ledger_url=url)
    assert governor.ledger_url == SecretStr(url)
    for shown in (repr(governor), governor.model_dump_json(), str(governor.model_dump())):
        assert "very-secret" not in shown
    assert Governor.model_json_schema()["secret_fields"] == ["ledger_url"]


def test_local_governor_takes_the_same_policies() -> None:
    governor = Governor.local(
        "x", max_usd=1, mode="observe", when_spent="pause", pause_timeout_seconds=5
    )
    assert (governor.mode, governor.when_spent) == ("observe", "pause")
    assert governor.pause_timeout_seconds == 5
    assert Governor.local("x", max_usd=1, when_spent="fallback", fallback_share=0.5).fallback_share


# What is told by the budgets and the limits that a document comes to, or only when it is loaded.
TOLD_OTHERWISE = {
    "max_concurrent",
    "requests_per_minute",
    "tokens_per_minute",
    "budget",
    "limits",
    "ledger_url",
    "machines",
}
OTHER: dict[str, Any] = {
    "queue_timeout_seconds": 5.0, "mode": "observe", "when_spent": "pause",
    "pause_timeout_seconds": 5.0, "fallback_share": 0.5, "prices": {"a": "free"},
    "max_output_tokens": 5, "output_ceiling": True, "allow_fields": ["a"], "unseen": "context",
    "bypass": "warn",
}  # fmt: skip


@pytest.mark.parametrize("field", sorted(GovernorTerms.model_fields.keys() - TOLD_OTHERWISE))
def test_edit_of_any_field_of_a_saved_governor_is_applied(field: str) -> None:
    before: dict[str, Any] = {"budget": {"max_usd": 1}}
    if field == "output_ceiling":
        before["max_output_tokens"] = 5
    old, new = (
        Definition(UUID(int=1), "team", GovernorTerms.model_validate(each), (), ())
        for each in (before, {**before, field: OTHER[field]})
    )
    assert not is_same(old, new)
    assert is_same(old, old)


def test_budget_of_a_governor_survives_copies_and_comparisons() -> None:
    """It knows its governor, which knows it."""
    budget = Budget(max_usd=1)
    first, second = Governor(budget=budget), Governor(budget=budget)
    assert first.budget == second.budget
    assert first.budget is not second.budget
    for again in (copy.deepcopy(first), pickle.loads(pickle.dumps(first)), first.model_copy()):
        assert again == first
        assert again.budget == first.budget
    assert budget._bond is None


def test_amounts_of_an_unsaved_governor_say_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"never saved.*Governor\.local"):
        made().budget.allocate(max_usd=1, label="x")
    with pytest.raises(ConfigurationError, match="never saved"):
        Budget(max_usd=1).allocate(max_usd=1, label="x")


def test_break_glass_wins_over_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BREAK_GLASS, raising=False)
    assert break_glass() is None
    assert why_off("enforce", governor="g") is None
    assert "observe" in (why_off("observe", governor="g") or "")
    monkeypatch.setenv(BREAK_GLASS, "INC-1")
    for mode in ("enforce", "observe"):
        why = why_off(mode, governor="g")
        assert why is not None
        assert f"{BREAK_GLASS} is set (INC-1)" in why
