"""What is told of a run whose process died: nothing that nobody knows."""

import json
from decimal import Decimal
from pathlib import Path

from prefect_governor.blocks.ledger.decision.store import Spend
from prefect_governor.flows.publications.publication import (
    Begun,
    Publication,
    publication_of,
)
from prefect_governor.flows.recovery.lost import BEFORE, UNDER_WAY, Left, lost_report
from prefect_governor.flows.recovery.lost import _read_results as read_results
from prefect_governor.flows.recovery.sweep import is_same_server
from prefect_governor.flows.report.model import BudgetReport, ItemReport

RUN = Publication("0190f2a4-0000-7000-8000-000000000001", 1, "http://127.0.0.1:4200/api")
BEGUN = Begun("fan-out", "kept", "/results.jsonl", items=("told", "kept", "in-flight", "never"))
SPENT = Spend(1, 0, 7_000, 0, 0, 0)
SENT = Spend(0, 0, 0, 7_000, 0, 0)


def left() -> Left:
    return Left(
        told=(
            ItemReport(key="told", state="failed", reason="cut: at the cap", usd=Decimal("0.1")),
        ),
        kept={"kept": {"a": 1}, "told": "not that"},
        spends={"in-flight": SENT, "kept": SPENT},
        budget=BudgetReport(spent_usd=Decimal("0.1")),
    )


def test_each_item_is_what_is_known_of_it_in_the_order_of_the_run() -> None:
    report = lost_report(RUN, BEGUN, left())
    assert [(item.key, item.state) for item in report.items] == [
        ("told", "failed"), ("kept", "succeeded"), ("in-flight", "failed"), ("never", "not_started")
    ]  # fmt: skip
    assert report.items[1].result == {"a": 1}
    assert [item.reason for item in report.items[2:]] == [UNDER_WAY, BEFORE]
    assert report.outcome == "partial"
    assert str(report.reason).startswith("the process died: 1 of 4 items succeeded")
    assert report.advice[0].command == f"prefect-governor fan-out --resume {RUN.run_id}"


def test_a_run_that_died_after_its_last_item_is_not_called_complete() -> None:
    done = ItemReport(key="told", state="succeeded", result="x")
    report = lost_report(RUN, Begun("fan-out", "kept", "/r", items=("told",)), Left(told=(done,)))
    assert report.outcome == "partial"


def test_what_had_not_been_read_is_said_to_be_unknown() -> None:
    begun = Begun("fan-out", "kept", "/r", more=True, resumable=False)
    report = lost_report(RUN, begun, Left(kept={"streamed": "x"}))
    assert [item.key for item in report.items] == ["streamed"]
    assert "how many items it had not read yet is not known" in report.notes
    assert report.advice == []


def test_a_results_file_that_ends_in_half_a_line_gives_the_others(tmp_path: Path) -> None:
    item = ItemReport(key="a", state="succeeded", result="é", usd=Decimal("0.000012345"))
    line = json.dumps(item.to_json())
    path = tmp_path / "results.jsonl"
    path.write_text(f"{line}\n{{}}\n{line[:20]}")
    assert read_results(path) == [item]
    assert read_results(tmp_path / "none") == []


def test_a_server_of_this_machine_is_the_same_on_another_port() -> None:
    assert is_same_server("http://127.0.0.1:4200/api", "http://localhost:8123/api")
    assert is_same_server("https://prefect.example/api/", "https://prefect.example/api")
    assert not is_same_server("https://prefect.example/api", "http://127.0.0.1:4200/api")
    assert not is_same_server("", "http://127.0.0.1:4200/api")


def test_a_server_that_asks_for_a_password_gets_its_report_and_no_file_has_the_password() -> None:
    here = "https://prefect:a-password-of-nobody@prefect.example/api"
    kept = Publication(RUN.run_id, 1, here).to_json()
    assert "a-password-of-nobody" not in kept
    assert is_same_server(publication_of(kept).api_url, here)
    assert not is_same_server(publication_of(kept).api_url, "https://elsewhere.example/api")
    # What is scrubbed is no address of any kind.
    scrubbed = kept.replace("https://", "https://user:[redacted]@")
    assert is_same_server(publication_of(scrubbed).api_url, here)
