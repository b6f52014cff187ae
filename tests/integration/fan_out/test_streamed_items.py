"""A fan-out over an iterator: read as the run gets to it, every item with its outcome."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_governor import Report, fan_out
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.run.control import Control, current_control
from prefect_governor.flows.run.window import room_for
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"

pytestmark = pytest.mark.usefixtures("server")


def ask(items: Iterator[object], control: Control | None = None) -> Report:
    token = current_control.set(control)
    try:
        report = fan_out(
            items, ask="What is this?", model=MODEL, max_output_tokens=24, max_concurrent=5,
            max_usd=1,
        )  # fmt: skip
    finally:
        current_control.reset(token)
    assert isinstance(report, Report)
    return report


def test_a_generator_of_items_is_never_far_ahead_of_the_work(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    ahead: list[int] = []

    def texts() -> Iterator[str]:
        for at in range(120):
            # What is in the file has ended.
            ahead.append(at + 1 - (out.read_bytes().count(b"\n") if out.exists() else 0))
            yield f"text {at}"

    report = ask(texts(), Control(out=out))
    assert report.outcome == "complete"
    assert [item.key for item in report.items] == [f"item-{at:04d}" for at in range(1, 121)]
    assert {item.state for item in report.items} == {"succeeded"}
    # As many under way as the window holds, as many read beside it, as many that have ended and are
    # being written while others took their places, one in the reader's hand.
    assert max(ahead) <= 3 * room_for(5) + 1
    assert len(out.read_text().splitlines()) == 120
    assert upstream.settled_stats()["requests"] == 120
    assert not report.resumable


def test_an_iterator_that_fails_ends_the_run_partial_with_what_it_gave(
    upstream: ProviderProcess,
) -> None:
    def broken() -> Iterator[str]:
        for at in range(7):
            yield f"text {at}"
        raise OSError("the connection is gone")

    report = ask(broken())
    assert (report.outcome, len(report.items)) == ("partial", 7)
    assert report.reason is not None
    assert "read up to the 7th" in report.reason
    assert "the connection is gone" in report.reason


def test_a_stopped_run_reads_no_more_of_an_endless_iterator(upstream: ProviderProcess) -> None:
    control = Control()

    def endless() -> Iterator[str]:
        for at in range(10**9):
            if at == 60:
                control.stop.set()
            yield f"text {at}"

    began = time.monotonic()
    report = ask(endless(), control)
    assert time.monotonic() - began < 60
    assert report.outcome == "partial"
    assert len(report.items) < 120
    assert all(item.state == "succeeded" or item.reason for item in report.items)


def test_an_iterator_without_items_is_refused_as_an_empty_list_is(
    upstream: ProviderProcess,
) -> None:
    with pytest.raises(ConfigurationError, match="there are no items"):
        ask(iter(()))
