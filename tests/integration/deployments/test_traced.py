"""A run that a worker started is seen by a collector, as one tree, with what it was billed."""

from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient

from prefect_governor.blocks.telemetry import names
from tests.integration.conftest import Corpus
from tests.integration.deployments.conftest import ended
from tests.integration.report.collector import Collector, attributes
from tests.provider.process import ProviderProcess
from tests.waiting import until

# Prefect begins a flow's span before any code of ours runs in a worker's process. What
# `opentelemetry-instrument` leaves to the processes of a worker is this: a provider from the start.
FROM_THE_START = """\
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
"""

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


def test_spans_of_a_deployed_run_are_one_tree_and_add_up_to_the_bill(
    worker: psutil.Process,
    client: SyncPrefectClient,
    upstream: ProviderProcess,
    corpus: Corpus,
    tmp_path: Path,
) -> None:
    paths = corpus(3)
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "sitecustomize.py").write_text(FROM_THE_START)
    given = {"ask": "What?", "sources": ["*.txt"], "folder": str(paths[0].parent)}
    with Collector() as collector:
        variables = {
            "env": {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
                "PYTHONPATH": str(tmp_path / "start"),
            }
        }
        run = client.create_flow_run_from_deployment(
            client.read_deployment_by_name("fan-out/fan-out").id,
            parameters={**given, "model": "openai/gpt-4o-mini"},
            job_variables=variables,
        )
        state = ended(client, run.id, seconds=280)
        assert state.name == "Completed", state

        def flow_spans() -> list[Any]:
            return [
                each
                for each in collector.spans
                if attributes(each.attributes).get("prefect.run.type") == "flow"
            ]

        # They are sent as the process ends, which is after its run did.
        until(lambda: bool(flow_spans()), seconds=180)
        spans = collector.spans
    (root,) = flow_spans()
    assert attributes(root.attributes)["prefect.run.id"] == str(run.id)
    by_id = {each.span_id: each for each in spans}
    assert len({each.trace_id for each in spans}) == 1
    assert [each for each in spans if each.parent_span_id not in by_id] == [root]
    calls = [each for each in spans if each.name == "chat gpt-4o-mini"]
    assert len(calls) == len(paths) == upstream.settled_stats()["requests"]
    cost = sum(attributes(each.attributes)[names.COST_USD] for each in calls)
    assert round(cost * 10**9) == upstream.settled_stats()["billed_nano"]
