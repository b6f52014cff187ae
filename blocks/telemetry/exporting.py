"""Sends to the collector that the environment names, where nobody has configured anything else.

By the variables of OpenTelemetry's own specification, which its SDK reads.
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables)
"""

import importlib.util
import logging
import os

logger = logging.getLogger("prefect_governor.telemetry")

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
METRICS_ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
DISABLED = "OTEL_SDK_DISABLED"
_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
MISSING = (
    "%s is set, and nothing is sent there: install prefect-governor[otlp], or configure"
    " OpenTelemetry's SDK before the governor is put to work"
)
ANOTHER = (
    "%s is set with %s=%s, which prefect-governor[otlp] does not speak: leave the protocol out and"
    " name the collector's port for HTTP (4318), or start the process by opentelemetry-instrument"
)


FAILED = (
    "nothing is sent to the collector that %s names: OpenTelemetry's SDK raised %s; look at the"
    " variables that begin with OTEL_"
)


def is_disabled() -> bool:
    return os.environ.get(DISABLED, "").strip().lower() == "true"


def is_named() -> bool:
    """Whether the environment names a collector."""
    return not is_disabled() and any(
        os.environ.get(name) for name in (ENDPOINT, TRACES_ENDPOINT, METRICS_ENDPOINT)
    )


def send_there() -> None:
    """Configure the process's providers to send spans and metrics where the environment says. Says
    in a warning what is missing for it."""
    named = next(name for name in (ENDPOINT, TRACES_ENDPOINT, METRICS_ENDPOINT) if _is_set(name))
    protocol = os.environ.get(PROTOCOL, "http/protobuf")
    if protocol != "http/protobuf":
        logger.warning(ANOTHER, named, PROTOCOL, protocol)
        return
    if not all(_is_there(package) for package in _NEEDED):
        logger.warning(MISSING, named)
        return
    try:
        if _wanted("OTEL_TRACES_EXPORTER", TRACES_ENDPOINT):
            _send_spans()
        if _wanted("OTEL_METRICS_EXPORTER", METRICS_ENDPOINT):
            _send_metrics()
    except Exception as error:
        # A variable that its SDK does not bear costs nobody a run.
        logger.warning(FAILED, named, type(error).__name__)
        logger.debug("what it raised", exc_info=True)


def _send_spans() -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def _send_metrics() -> None:
    from opentelemetry import metrics
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    metrics.set_meter_provider(MeterProvider([reader]))


def _wanted(exporter: str, endpoint: str) -> bool:
    return os.environ.get(exporter, "otlp") != "none" and (_is_set(ENDPOINT) or _is_set(endpoint))


def _is_set(name: str) -> bool:
    return bool(os.environ.get(name))


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
