"""A recorder over an exporter in memory, and what it was told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from prefect_governor.blocks.telemetry import switch
from prefect_governor.blocks.telemetry.gauges import Readings
from prefect_governor.blocks.telemetry.recorder import Recorder
from tests.unit.blocks.wire.conftest import wire as wire


@dataclass
class Told:
    """What was told so far."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracers: TracerProvider

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order of their begins."""
        return sorted(self.exporter.get_finished_spans(), key=lambda each: each.start_time or 0)

    def span(self, name: str) -> ReadableSpan:
        (found,) = [each for each in self.spans if each.name == name]
        return found

    def points(self, name: str) -> list[tuple[dict[str, Any], float]]:
        """A metric's points: what each is kept by, and its value or sum."""
        data = self.reader.get_metrics_data()
        return [
            (dict(point.attributes or {}), getattr(point, "value", getattr(point, "sum", 0.0)))
            for of_resource in ([] if data is None else data.resource_metrics)
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


Begin = Callable[..., Told]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Begins to tell; takes what reads the gauges."""
    made: list[Told] = []

    def begin(source: Callable[[], Readings] = Readings) -> Told:
        exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(exporter))
        recorder = Recorder(source, tracers=tracers, meters=MeterProvider([reader]))
        monkeypatch.setattr(switch, "_recorder", recorder)
        made.append(Told(exporter, reader, tracers))
        return made[-1]

    yield begin
    for each in made:
        each.tracers.shutdown()
        each.reader.shutdown()


@pytest.fixture
def told(begin: Begin) -> Told:
    return begin()


def throttled() -> httpx.Response:
    return httpx.Response(429, headers={"retry-after": "0"}, json={"error": {"code": "x"}})
