"""`prefect-governor budget reconcile …` with the provider's own bill, and by hand."""

import csv
import io
import json
import os
from collections import Counter
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pytest

from prefect_governor import Budget, Governor, completion
from prefect_governor.blocks.records.calls import Usage
from tests.integration.cli.budgets import lose, refused, run_budget, shown, told
from tests.integration.cli.commands import nano
from tests.integration.governing import MODEL, NANO, ask, loaded_as
from tests.provider.process import ProviderProcess
from tests.unit.prices import flat

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


def export(upstream: ProviderProcess, path: Path, *, cost: bool = True) -> Path:
    """The provider's own records of what it billed, as the file that a person downloads."""
    text = upstream.usage_export("jsonl" if path.suffix == ".jsonl" else "csv")
    if not cost:
        rows = list(csv.reader(io.StringIO(text)))
        at = rows[0].index("cost_usd")
        text = "".join(",".join(row[:at] + row[at + 1 :]) + "\n" for row in rows)
    path.write_text(text)
    return path


def crash(name: str, upstream: ProviderProcess, calls: int = 30) -> None:
    """Calls of which some are billed and never confirmed, and some are neither."""
    upstream.configure(
        output_tokens=[4, 20],
        faults={
            "at": {
                **{str(at): "no_usage" for at in (2, 9, 17)},
                **{str(at): "disconnect_after_billing" for at in (5, 12)},
                **{str(at): "disconnect_before_billing" for at in (7, 21)},
            }
        },
    )
    governor = loaded_as(Governor, name)
    for at in range(calls):
        with governor.activate(user=f"user-{at % 3}"), suppress(Exception):
            completion(MODEL, [{"role": "user", "content": f"{at}?"}], max_tokens=24)
    upstream.settled_stats()


def test_rows_without_a_cost_are_priced_as_the_governor_has_it(
    name: str, upstream: ProviderProcess, tmp_path: Path
) -> None:
    """The list has a lower price of the model, which would understate what was billed."""
    dear = {"input": "0.0000003", "output": "0.0000012"}
    upstream.renew(prices={"gpt-4o-mini": dear}, faults={"at": {"1": "no_usage"}})
    Governor(budget=Budget(max_usd=1), prices={MODEL: flat("0.3", "1.2")}).save(name)
    with loaded_as(Governor, name):
        completion(MODEL, [{"role": "user", "content": "hello?"}], max_tokens=24)
    file = export(upstream, tmp_path / "usage.csv", cost=False)
    done = json.loads(told("reconcile", name, "--from", str(file), "--json"))
    assert len(done["settled"]) == 1
    assert nano(shown(name)["spent_usd"]) == upstream.settled_stats()["billed_nano"] > 0


@pytest.mark.parametrize(
    ("file_name", "cost"), [("usage.csv", True), ("usage.jsonl", True), ("usage.csv", False)]
)
def test_reconcile_against_the_providers_own_log_ends_exact(
    name: str, upstream: ProviderProcess, tmp_path: Path, file_name: str, cost: bool
) -> None:
    Governor(budget=Budget(max_usd=1, window="day")).save(name)
    crash(name, upstream)
    stats = upstream.settled_stats()
    before = shown(name)
    faults = {kind: count for kind, count in stats["faults"].items() if count}
    print(f"faults: {faults}; unconfirmed: {len(before['unconfirmed_calls'])}")
    assert sum(faults.values()) == 7
    assert len(before["unconfirmed_calls"]) >= 5
    assert nano(before["spent_usd"]) < stats["billed_nano"]
    until_now = datetime.now(timezone.utc).isoformat()
    file = export(upstream, tmp_path / file_name, cost=cost)
    arguments = ["reconcile", name, "--from", str(file), "--complete-until", until_now]

    planned = json.loads(told(*arguments, "--dry-run", "--json"))
    assert shown(name)["unconfirmed_calls"] == before["unconfirmed_calls"]
    assert shown(name, "--audit")["audit"] == []

    done = json.loads(told(*arguments, "--json", "--reason", "the crash of Tuesday"))
    assert {each["call_id"] for each in done["settled"]} == {
        each["call_id"] for each in planned["settled"]
    }
    assert len(done["settled"]) == 5
    assert done["left"] == done["unconfirmed_calls"] == []
    after = shown(name, "--audit")
    assert nano(after["spent_usd"]) == stats["billed_nano"]
    assert after["unconfirmed_usd"] == after["reserved_usd"] == 0
    assert len(after["audit"]) == len(before["unconfirmed_calls"])
    actions = Counter(row["action"] for row in after["audit"])
    assert actions == {"settled": 5, "voided": 2}
    assert {row["reason"] for row in after["audit"]} == {"the crash of Tuesday"}
    assert all(file_name in row["evidence"] for row in after["audit"])

    again = json.loads(told(*arguments, "--json"))
    assert again["settled"] == again["voided"] == again["left"] == []
    assert len(shown(name, "--audit")["audit"]) == len(after["audit"])


def test_reconcile_lists_what_nobody_confirmed_and_what_to_do(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    assert "no call is unconfirmed" in told("reconcile", name)
    call_id = lose(name, 0.02, "the stream was cut")
    text = told("reconcile", name)
    assert f"{name}: 1 call unconfirmed, charged at $0.0200" in text
    assert call_id[:8] in text
    assert "the stream was cut" in text
    assert f"prefect-governor budget reconcile {name} --call {call_id[:8]} --void" in text


def test_reconcile_by_hand_settles_and_voids_with_a_reason(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    billed, not_billed = lose(name, 0.02), lose(name, 0.03)
    text = told("reconcile", name, "--call", billed[:12], "--usd", "0.05", "--reason", "invoice 7")
    assert "settled: 1 call at $0.0500" in text
    assert "ABOVE what was reserved" in text
    told("reconcile", name, "--call", not_billed, "--void", "--reason", "it never arrived")
    found = shown(name, "--audit")
    assert (found["spent_usd"], found["unconfirmed_usd"]) == (0.05, 0)
    assert [(row["action"], row["subject"], row["reason"]) for row in found["audit"]] == [
        ("settled", billed, "invoice 7"),
        ("voided", not_billed, "it never arrived"),
    ]
    assert "is resolved" in refused(
        "reconcile", name, "--call", billed, "--usd", "0.01", "--reason", "again"
    )
    assert shown(name)["spent_usd"] == 0.05


def test_reconcile_does_not_touch_a_call_in_flight(name: str, tmp_path: Path) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    lost = lose(name, 0.01)
    runtime = loaded_as(Governor, name).runtime
    call_id, admitted = ask(runtime, 0.02)
    admitted.result(30)
    assert "in flight" in refused(
        "reconcile", name, "--call", call_id, "--void", "--reason", "it hangs"
    )
    file = tmp_path / "usage.csv"
    file.write_text(f"request_id,cost\n{call_id},0.001\n{lost},0.002\n")
    result = run_budget("reconcile", name, "--from", str(file))
    assert result.exit_code == 3
    assert "in flight" in result.stdout
    found = shown(name)
    assert (found["reserved_usd"], found["spent_usd"]) == (0.02, 0.002)
    runtime.desk.settle(call_id, Usage(NANO // 100, 1, 1)).result(30)
    assert shown(name)["spent_usd"] == 0.012


def test_reconcile_names_what_is_ambiguous_and_leaves_it(name: str, tmp_path: Path) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    lost = lose(name, 0.01)
    file = tmp_path / "usage.jsonl"
    file.write_text(f'{{"id": "{lost}", "cost": 0.001}}\n' * 2 + '{"id": "other", "cost": 9}\n')
    result = run_budget("reconcile", name, "--from", str(file), "--json")
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert found["settled"] == []
    assert found["left"][0]["subject"] == lost
    assert "line 1 and usage.jsonl line 2" in found["left"][0]["why"]
    assert found["rows"]["foreign"] == 1
    assert shown(name)["unconfirmed_usd"] == 0.01


def test_export_cannot_be_complete_beyond_its_own_writing(name: str, tmp_path: Path) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    file = tmp_path / "usage.csv"
    file.write_text("request_id,cost\nx,1\n")
    line = refused("reconcile", name, "--from", str(file), "--complete-until", "2999-01-01")
    assert "after" in line


def test_export_that_is_stamped_by_the_last_tick_is_complete_until_the_instant_before_it(
    name: str, tmp_path: Path
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    file = tmp_path / "usage.csv"
    file.write_text("request_id,cost\nx,1\n")
    said = datetime.now(timezone.utc)
    arguments = ("reconcile", name, "--from", str(file), "--complete-until", said.isoformat())
    for behind, passes in ((0.009, True), (0.02, False)):
        stamp = int((said.timestamp() - behind) * 10**9)
        os.utime(file, ns=(stamp, stamp))
        told(*arguments, "--dry-run") if passes else refused(*arguments, "--dry-run")
