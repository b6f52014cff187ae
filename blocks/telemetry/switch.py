"""Whether OpenTelemetry is told anything in this process.

Looked at where a governor is entered, never for a call: where nobody has configured a provider, a
call meets one function that returns None, and nothing of OpenTelemetry's is imported.
"""

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from prefect_governor.blocks.telemetry.exporting import is_disabled, is_named, send_there

if TYPE_CHECKING:
    from prefect_governor.blocks.telemetry.gauges import Readings
    from prefect_governor.blocks.telemetry.recorder import Recorder

_APIS = ("opentelemetry.trace", "opentelemetry.metrics")
_lock = threading.Lock()
_recorder: "Recorder | None" = None
_sent = False


def recorder() -> "Recorder | None":
    """Who is told of calls; None where nobody is."""
    return _recorder


def send() -> None:
    """Send where the environment names a collector and nobody has configured anything else: once a
    process, at its first flow or governor."""
    global _sent
    if _sent or not is_named():
        return
    with _lock:
        if _sent:
            return
        _sent = True
        from prefect_governor.blocks.telemetry.recorder import is_configured

        if not is_configured():
            send_there()


def look(source: "Callable[[], Readings]") -> None:
    """Begin to tell, where a provider is configured by now. `source` reads what the governors at
    work here hold."""
    global _recorder
    if _recorder is not None:
        return
    send()
    # Whoever has configured a provider has imported it.
    if not any(name in sys.modules for name in _APIS) or is_disabled():
        return
    with _lock:
        from prefect_governor.blocks.telemetry.recorder import Recorder, is_configured

        if _recorder is None and is_configured():
            _recorder = Recorder(source)


def keep() -> None:
    """Nothing is at work here from now on: what is read last is what is shown last."""
    if _recorder is not None:
        _recorder.keep()
