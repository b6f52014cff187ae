"""One run in several processes: one bill, one cap, one report, whoever of them dies."""

from typing import Any

import pytest

from prefect_governor import Report, fan_out
from prefect_governor.flows.shards import launching
from tests.integration.fan_out.test_handfuls import lasting, texts
from tests.provider.process import ProviderProcess
from tests.warm import WarmParent

MODEL = "openai/gpt-4o-mini"

pytestmark = pytest.mark.usefixtures("server")


def ask(items: Any, **options: Any) -> Report:
    report = fan_out(
        items, ask="What is this?", model=MODEL, max_output_tokens=24, max_usd=1, **options
    )
    assert isinstance(report, Report)
    return report


def test_a_report_is_the_same_however_many_processes_made_it(
    upstream: ProviderProcess, warm: WarmParent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "command", warm.command)
    script = [
        {"match": "parcel 003", "reply": {"status": 400, "text": "no"}},
        {"match": "parcel 011", "reply": [{"status": 500, "text": "busy"}, "at last"]},
        {"match": "parcel 017", "reply": "word " * 40},
        {"match": "parcel", "reply": "an answer"},
    ]
    reports = {}
    for processes in (1, 2, 3):
        upstream.renew()
        upstream.configure(script=script, latency_seconds=0.05)
        reports[processes] = ask(texts(60), processes=processes, max_concurrent=9)
        stats = upstream.settled_stats()
        # No item was asked twice, and none was left out.
        assert stats["requests"] == 61
        assert stats["max_open"] <= 9
    alone = lasting(reports[1])
    for processes, report in reports.items():
        assert lasting(report) == alone, f"{processes} processes report something else"
        assert report.limits.cap == 9
        assert report.limits.max_in_flight <= 9
