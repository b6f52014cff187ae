"""What is told where a provider is configured: each call, and gauges of what the governors hold."""

from collections.abc import Callable

from opentelemetry import metrics, trace
from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider
from opentelemetry.trace import TracerProvider

from prefect_governor.blocks.telemetry import names
from prefect_governor.blocks.telemetry.call import CallWatch, Instruments
from prefect_governor.blocks.telemetry.gauges import Gauges, Source

_OWN = ("opentelemetry.trace", "opentelemetry.metrics")


class Recorder:
    """Tells two providers; by default those of the process."""

    def __init__(
        self,
        source: Source,
        *,
        tracers: TracerProvider | None = None,
        meters: MeterProvider | None = None,
    ) -> None:
        meter = (meters or metrics.get_meter_provider()).get_meter(names.SCOPE)
        self._instruments = Instruments(
            tracer=(tracers or trace.get_tracer_provider()).get_tracer(names.SCOPE),
            duration=_histogram(meter, names.DURATION),
            tokens=_histogram(meter, names.TOKENS),
            wait=_histogram(meter, names.WAIT),
            cost=_counter(meter, names.COST),
            throttles=_counter(meter, names.THROTTLES),
            refusals=_counter(meter, names.REFUSALS),
        )
        self._gauges = Gauges(meter, source, self._instruments.still_waiting)

    def watch(self, *, host: str, port: int) -> CallWatch:
        """Who is told of one call."""
        return CallWatch(self._instruments, host=host, port=port)

    def keep(self) -> None:
        """Read the gauges, as nothing is at work from now on."""
        self._gauges.read()


def is_configured() -> bool:
    """Whether somebody has configured a provider of spans or of metrics in this process."""
    return _is_told(trace.get_tracer_provider) or _is_told(metrics.get_meter_provider)


def _is_told(provider: Callable[[], object]) -> bool:
    # What the API has by itself hands nothing on.
    return not type(provider()).__module__.startswith(_OWN)


def _histogram(meter: Meter, metric: names.Metric) -> Histogram:
    return meter.create_histogram(
        metric.name,
        unit=metric.unit,
        description=metric.description,
        explicit_bucket_boundaries_advisory=metric.boundaries,
    )


def _counter(meter: Meter, metric: names.Metric) -> Counter:
    return meter.create_counter(metric.name, unit=metric.unit, description=metric.description)
