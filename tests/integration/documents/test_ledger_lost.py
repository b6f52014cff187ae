"""A ledger that is lost: nothing is spent under its blocks before what was billed is charged."""

from datetime import datetime, timezone
from pathlib import Path

import pytest

from prefect_governor import Budget, ConfigurationError, Governor
from prefect_governor.blocks.documents.documents import Root, define, find
from prefect_governor.blocks.documents.identity import (
    Place,
    claim,
    elsewhere,
    ledger_of,
    relocate,
)
from prefect_governor.blocks.governor import load_governor
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.flows.cli.ledger.rebuild import rebuild_ledger
from tests.integration.cli.budgets import shown

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


def roots_of(name: str) -> tuple[Root, ...]:
    document = find(GovernorTerms, name)
    assert document is not None
    return define(document).roots


def rebuild(name: str, export: Path, *, lost: bool, dry_run: bool = False) -> None:
    rebuild_ledger(name, export, lost=lost, reason=None, dry_run=dry_run, as_json=False)


def test_a_lost_ledger_is_replaced_once_it_is_charged(name: str, tmp_path: Path) -> None:
    Budget(max_usd=9).save(f"{name}-above")
    Governor(budget=Budget(max_usd=5, parent=f"{name}-above", window="day")).save(name)
    roots = roots_of(name)
    claim(roots, Place("gone", "/gone", "another"))
    export = tmp_path / "costs.csv"
    export.write_text(f"day,usd\n{datetime.now(timezone.utc):%Y-%m-%d},1.5\n")
    with pytest.raises(ConfigurationError, match="counted in the ledger gone"):
        rebuild(name, export, lost=False)
    rebuild(name, export, lost=True, dry_run=True)
    with pytest.raises(ConfigurationError, match="counted in the ledger"):
        assert load_governor(name).runtime
    rebuild(name, export, lost=True)
    own = desk().store.ledger_id
    assert {ledger_of(each.document_id) for each in roots} == {own}
    found = shown(name)
    assert found["spent_usd"] == 1.5 and found["left_usd"] == 3.5
    assert found["parents"][0]["spent_usd"] == 1.5
    # Known by now.
    rebuild(name, export, lost=False)
    assert shown(name)["spent_usd"] == 1.5
    assert load_governor(name).runtime.accounts_


def test_where_a_moved_ledger_is_told_is_where_it_went(name: str) -> None:
    Governor(budget=Budget(max_usd=5)).save(name)
    (root,) = roots_of(name)
    claim([root], Place(f"of-{name}", "/here", "one"))
    assert len(relocate(f"of-{name}", "postgresql://there/db")) == 1
    told = elsewhere(root.document_id, None)
    assert told is not None
    assert (told.ledger, told.home) == (f"of-{name}", "postgresql://there/db")
