"""Ceilings that are edited while at work (P7): raised, lowered, emptied, edited to nonsense."""

import logging
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from prefect_governor import Budget, CallRefused, ConfigurationError, Governor, Limit, OverBudget
from prefect_governor.blocks.documents.documents import define, find_by_id
from prefect_governor.blocks.governor import load_governor
from prefect_governor.blocks.records.budgets import Account
from tests.integration.governing import NANO, ask, document_of, edit, loaded_as, spend
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")
# P7.
LIVE_SECONDS = 5.0


def refused(runtime: Any, usd: float) -> str:
    with pytest.raises(OverBudget) as error:
        ask(runtime, usd)[1].result(30)
    return str(error.value)


# Raised


def test_raise_by_the_api_wakes_a_paused_call_within_five_seconds(name: str) -> None:
    Governor(budget=Budget(max_usd=1), when_spent="pause").save(name)
    governor = loaded_as(Governor, name)
    runtime = governor.runtime
    spend(runtime, 0.9)
    _, paused = ask(runtime, 0.5)
    assert not paused.done()
    edit(document_of(governor), budget={"max_usd": 2})
    seconds = until(paused.done, seconds=LIVE_SECONDS)
    print(f"woken {seconds:.2f} s after the edit")
    assert paused.result().waited_seconds > 0


def test_raise_of_a_parent_wakes_what_waits_for_it(name: str) -> None:
    Budget(max_usd=1).save(f"{name}-top")
    Governor(budget=Budget(max_usd=9, parent=f"{name}-top"), when_spent="pause").save(name)
    runtime = load_governor(name).runtime
    spend(runtime, 0.9)
    _, paused = ask(runtime, 0.5)
    assert not paused.done()
    edit(document_of(loaded_as(Budget, f"{name}-top")), max_usd=2)
    until(paused.done, seconds=LIVE_SECONDS)
    paused.result()


def test_pause_that_nobody_ends_is_over_budget_in_the_end(name: str) -> None:
    Governor(budget=Budget(max_usd=1), when_spent="pause", pause_timeout_seconds=0.3).save(name)
    runtime = load_governor(name).runtime
    spend(runtime, 0.9)
    assert "$0.50" in refused(runtime, 0.5)


def test_run_under_a_governor_follows_its_edits(name: str) -> None:
    """What `--max-usd` narrowed held copies of its base's limits and policy."""
    Budget(max_usd=5).save(f"{name}-top")
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = loaded_as(Governor, name)
    run = governor.runtime.narrowed(
        account=Account(f"run/{name}", "this run", 3 * NANO, None),
    )
    run.apply()
    assert [each.name for each in run.accounts_] == ["this run", name]
    edit(
        document_of(governor),
        budget={"max_usd": 1, "parent": f"{name}-top"},
        limits=[{"tag": "llm", "requests_per_minute": 7}],
        mode="observe",
    )
    until(lambda: len(run.limits_) == 1)
    until(lambda: run.observe)
    assert [each.name for each in run.accounts_] == ["this run", name, f"{name}-top"]
    assert run.limits_[0].limit.requests_per_minute == 7


# Lowered


def test_lower_below_what_is_spent_refuses_with_both_figures(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = loaded_as(Governor, name)
    runtime = governor.runtime
    spend(runtime, 0.8)
    edit(document_of(governor), budget={"max_usd": 0.5})
    until(lambda: governor.budget.state().ceiling_nano == NANO // 2, seconds=LIVE_SECONDS)
    message = refused(runtime, 0.1)
    assert "$0.10" in message
    assert "$0.50" in message
    state = governor.budget.state()
    assert (state.ceiling_nano, state.spent_nano) == (NANO // 2, round(0.8 * NANO))


def test_ceiling_of_nothing_refuses_everything_that_costs(name: str) -> None:
    Governor(budget=Budget(max_usd=0)).save(name)
    runtime = load_governor(name).runtime
    assert "$0.00" in refused(runtime, 0.000000001)
    call_id, free = ask(runtime, 0)
    free.result(30)
    runtime.desk.void(call_id, "the test is over").result(30)


# Wrong


def test_document_edited_to_nonsense_keeps_the_last_good_ceiling_and_says_so_once(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = loaded_as(Governor, name)
    runtime = governor.runtime
    with caplog.at_level(logging.WARNING):
        edit(document_of(governor), budget={"max_usd": "lots"})
        until(lambda: "last good stays in force" in caplog.text)
        edit(document_of(governor), budget={"max_usd": 0.25})
        until(lambda: runtime.accounts_[0].ceiling_nano == NANO // 4)
    said = [each.getMessage() for each in caplog.records if "not valid" in each.getMessage()]
    assert len(said) == 1
    assert "max_usd" in said[0]
    assert name in said[0]


def test_parent_that_is_deleted_keeps_the_last_good_chain(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    Budget(max_usd=1).save(f"{name}-top")
    Governor(budget=Budget(max_usd=9, parent=f"{name}-top")).save(name)
    runtime = load_governor(name).runtime
    Budget.delete(f"{name}-top")
    until(lambda: f"no Governor Budget block named '{name}-top'" in caplog.text)
    assert [each.name for each in runtime.accounts_] == [name, f"{name}-top"]
    refused(runtime, 1.5)


def test_only_a_newer_document_counts(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = loaded_as(Governor, name)
    document = find_by_id(document_of(governor))
    assert document is not None
    (old,) = define(document).accounts
    runtime = governor.runtime
    edit(document_of(governor), budget={"max_usd": 2})
    until(lambda: governor.budget.state().ceiling_nano == 2 * NANO)
    # A process that read the document before the edit and is late.
    assert runtime.desk.write(lambda batch: batch.register(old)).result(30) is False
    assert governor.budget.state().ceiling_nano == 2 * NANO


# Deleted


def test_governor_that_is_deleted_admits_no_more_and_says_why(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = load_governor(name)
    runtime = governor.runtime
    run = runtime.narrowed(account=Account(f"run/{name}", "this run", NANO, None))
    Governor.delete(name)
    until(lambda: runtime.closed is not None)
    for each in (runtime, run):
        with pytest.raises(CallRefused, match=rf"{name}.*was deleted.*save it again"):
            ask(each, 0.1)


def test_governor_that_is_made_again_under_its_name_is_followed(name: str) -> None:
    """Else the running processes and the next ones would each have a ceiling of their own."""
    Governor(budget=Budget(max_usd=1), limits=[Limit(tag="llm", requests_per_minute=9)]).save(name)
    runtime = load_governor(name).runtime
    spend(runtime, 0.9)
    Governor.delete(name)
    Governor(budget=Budget(max_usd=0.5)).save(name)
    again = loaded_as(Governor, name)
    until(lambda: runtime.accounts_[0].ceiling_nano == NANO // 2)
    assert runtime.accounts_[0].key == f"{document_of(again)}/budget"
    assert runtime.limits_ == ()
    # Another document is another budget: it has spent nothing.
    spend(runtime, 0.4)
    assert again.budget.state().spent_nano == round(0.4 * NANO)
    refused(runtime, 0.4)


# Refused at load


def test_cycle_and_missing_parent_are_refused_where_a_loaded_governor_begins(name: str) -> None:
    Budget(max_usd=1, parent=f"{name}-b").save(f"{name}-a")
    Budget(max_usd=1, parent=f"{name}-a").save(f"{name}-b")
    Governor(budget=Budget(max_usd=1, parent=f"{name}-a")).save(name)
    cyclic = loaded_as(Governor, name)
    with pytest.raises(ConfigurationError, match=rf"own parent.*edit the parent of '{name}-b'"):
        cyclic.__enter__()
    Governor(budget=Budget(max_usd=1, parent="nobody")).save(f"{name}-c")
    orphan = loaded_as(Governor, f"{name}-c")
    with pytest.raises(ConfigurationError, match=r"'nobody'.*Budget\(…\)\.save"):
        orphan.budget.allocate(max_usd=1, label="a part")


def test_windows_and_zones_are_each_accounts_own(name: str) -> None:
    Budget(max_usd=9, window="month", time_zone="Asia/Tokyo").save(f"{name}-top")
    inner = Budget(max_usd=1, window="day", time_zone="Europe/Berlin", parent=f"{name}-top")
    Governor(budget=inner).save(name)
    runtime = load_governor(name).runtime
    spend(runtime, 0.5)
    own, top = (runtime.desk.store.read_purse(each.key) for each in runtime.accounts_)
    assert own is not None
    assert top is not None
    assert (own[0].time_zone, top[0].time_zone) == ("Europe/Berlin", "Asia/Tokyo")
    assert own[1].label.startswith(top[1].label[:4])
    assert (len(own[1].label), len(top[1].label)) == (len("2026-11-24"), len("2026-11"))


def test_secret_of_the_ledger_is_shown_nowhere(name: str) -> None:
    url = "postgresql://user:very-secret@127.0.0.1:1/none"
    made = Governor.model_validate({"budget": {"max_usd": 1}, "ledger_url": url})
    made.save(name)
    for shown in (repr(made), made.model_dump_json(), str(made.model_dump())):
        assert "very-secret" not in shown
    loaded = loaded_as(Governor, name)
    assert loaded.ledger_url is not None
    assert loaded.ledger_url.get_secret_value() == url
    with get_client(sync_client=True) as client:
        document = client.read_block_document(document_of(loaded), include_secrets=False)
    assert "very-secret" not in document.model_dump_json()
    edit(document_of(loaded), **{**document.data, "queue_timeout_seconds": 5})
    again = loaded_as(Governor, name)
    assert again.ledger_url == loaded.ledger_url
    assert again.queue_timeout_seconds == 5
