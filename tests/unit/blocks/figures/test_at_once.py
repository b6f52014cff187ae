"""How much is at once, by what a ledger knows: for the report, and for the doctor."""

from pathlib import Path

from prefect_governor.blocks.figures.at_once import FOOTPRINT, at_once, held_by
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.gate import Gate
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.limits.adaptive import AdaptiveCap
from prefect_governor.blocks.limits.derived import MIB, Observed
from prefect_governor.blocks.limits.rates import RateMeter
from prefect_governor.blocks.limits.upstream import Upstream
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.records.limits import LimitRecord, Rate
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.flows.cli.doctor.sum import sum_in_words

KEY = "upstream/host/openai/gpt-4o-mini/0a1b2c3d"
NAME = "openai/gpt-4o-mini at host"
RATE = RateMeter(Rate("requests", 600, 60))
SEEN = Observed(40, 3.0, 80.0, 20.0, 10**6)


def test_all_that_holds_is_told_by_the_names_that_a_report_has_for_it() -> None:
    people = Gate("llm", "llm", max_concurrent=40, server_limit=20, meters=[RATE])
    provider = Gate(KEY, NAME, upstream=Upstream(AdaptiveCap(cap=12), each=SEEN))
    assert held_by(people).caps == (("max_concurrent", 40), ("prefect_limit", 20))
    assert held_by(Gate("llm", "llm", max_concurrent=40, server_limit=40)).caps == (
        ("max_concurrent", 40),
    )
    found = at_once([people, provider], money_left_nano=5 * 10**9)
    assert [(term.name, term.cap) for term in found if term.name != "memory"] == [
        ("adaptive", 12),
        ("prefect_limit", 20),
        ("requests_per_minute", 30),
        ("max_concurrent", 40),
        ("money", 5000),
    ]


def test_before_any_call_was_seen_a_report_assumes_nothing() -> None:
    people = Gate("llm", "llm", max_concurrent=40, meters=[RATE])
    found = at_once([people], money_left_nano=5)
    assert [term.name for term in found if term.name != "memory"] == ["max_concurrent"]


def test_the_doctor_says_what_is_assumed_and_measures_what_the_ledger_knows(tmp_path: Path) -> None:
    limits = [Limit(tag="llm", requests_per_minute=600)]
    store = SQLiteStore(tmp_path / "ledger.sqlite")

    def told() -> str:
        return sum_in_words(limits, store=store, account="team", money_left_nano=10**9)

    before = told()
    assert "requests_per_minute 20 (llm: 600 x 2.00 s / 60 s, assumed)" in before
    assert "256 MiB an item, assumed" in before
    assert "2 s and 1,000 tokens a call are assumed" in before
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.define(LimitRecord(KEY, NAME, adaptive=True))
        gate = batch.page.gate(KEY)
        batch.page.changed_gate(KEY)
        assert gate.upstream is not None
        for _ in range(40):
            gate.upstream.each.add(3.0, Usage(10**6, 80, 20))
        batch.write()
        rows.put_mark("team", "", FOOTPRINT, 50 * MIB)
    after = told()
    store.close()
    assert "requests_per_minute 30 (llm: 600 x 3.00 s / 60 s)" in after
    assert "50 MiB an item, observed" in after
    assert "money 1,000 ($1.00 left / $0.00100 a call)" in after
    assert "measured over 40 calls: 3.00 s, 100 tokens and 0.001000 USD each" in after


def test_a_given_footprint_is_said_to_be_given() -> None:
    limits = [Limit(tag="llm", memory_mib=70)]
    text = sum_in_words(limits, store=None, account="team", money_left_nano=None)
    assert "70 MiB an item, as the limit says" in text
