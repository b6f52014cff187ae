"""A process with OTEL_EXPORTER_OTLP_ENDPOINT set is seen by a collector: its calls under the run's
spans, and figures that add up to the bill."""

from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from prefect_governor.blocks.telemetry import names
from tests.integration.cli.commands import Command, ended
from tests.integration.conftest import Corpus
from tests.integration.governing import MODEL
from tests.integration.report.collector import Collector, attributes
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")


def test_collector_sees_one_tree_of_spans_and_figures_that_are_the_bill(
    command: Command,
    upstream: ProviderProcess,
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = corpus(6)
    items[0].write_text("the-secret-of-the-first-item")
    upstream.configure(latency_seconds=0.2, output_tokens=5, faults={"at": {2: "error_429"}})
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        process = command(
            "fan-out", *map(str, items), "--ask", "What is it?", "--model", MODEL,
            "--max-output-tokens", "20", "--max-concurrent", "1", "--max-usd", "0.0001",
            cwd=tmp_path,
        )  # fmt: skip
        stdout, stderr = ended(process)
        assert "over budget" in stdout, stderr
        spans = collector.spans
        billed = upstream.settled_stats()["billed_nano"]
        calls = [each for each in spans if each.name == "chat gpt-4o-mini"]
        refused = [each for each in calls if each.status.code == Status.STATUS_CODE_ERROR]
        assert len(calls) == 6 and 1 <= len(refused) <= 4
        for each in refused:
            assert each.status.message.startswith("OverBudget: needs $")
            assert attributes(each.attributes)[names.OUTCOME] == "refused"
        # One trace, and nobody in it but the flow run is without a parent that was sent too.
        assert len({each.trace_id for each in spans}) == 1
        by_id = {each.span_id: each for each in spans}
        (root,) = [each for each in spans if not each.parent_span_id]
        assert attributes(root.attributes)["prefect.run.type"] == "flow"
        assert all(each.parent_span_id in by_id for each in spans if each is not root)
        for call in calls:
            parent = by_id[call.parent_span_id]
            assert attributes(parent.attributes)["prefect.run.type"] == "task"
        cost = sum(attributes(each.attributes)[names.COST_USD] for each in calls)
        assert round(cost * 10**9) == billed
        # One that was throttled, and whoever came after the first waited for the one slot.
        assert [event.name for each in calls for event in each.events] == [names.THROTTLED_EVENT]
        waits = [each for each in spans if each.name == names.WAIT_SPAN]
        waited = [each for each in waits if _seconds(each) > 0.15]
        assert len(waits) == 7 and len(waited) >= 3
        points = collector.points()
        assert set(points) >= {each.name for each in names.METRICS}
        ((by, point),) = points[names.REFUSALS.name]
        assert (by[names.ERROR], point.as_int) == ("OverBudget", len(refused))
        ((_, spent),) = points[names.COST.name]
        assert round(spent.as_double * 10**9) == billed
        caps = {by[names.LIMIT]: point.as_int for by, point in points[names.CAP.name]}
        assert caps["all"] == 1
        ((by, ceiling),) = points[names.CEILING.name]
        assert (by[names.BUDGET], ceiling.as_double) == ("this run", 0.0001)
        said = "".join(str(each) for each in (*collector.traces, *collector.metrics))
        assert "the-secret-of-the-first-item" not in said and "What is it?" not in said
        run = attributes(root.attributes)["prefect.run.id"]
        assert run not in "".join(str(each) for each in collector.metrics)


def _seconds(span: Span) -> float:
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
