"""All that the doctor looks at, in turn."""

from collections.abc import Iterator

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.cli.doctor.finding import Finding
from prefect_governor.flows.cli.doctor.governors import governors
from prefect_governor.flows.cli.doctor.ledgers import ledger
from prefect_governor.flows.cli.doctor.machine import enforcement, home, model, versions
from prefect_governor.flows.cli.doctor.sandbox import sandbox
from prefect_governor.flows.cli.doctor.server_settings import server_settings
from prefect_governor.flows.cli.doctor.unseen import unseen
from prefect_governor.flows.server.server import ensure_server, status, use_server


def examine() -> Iterator[Finding]:
    """Everything that a run would need, looked at in turn. Raises nothing."""
    yield from versions()
    yield from unseen()
    yield from enforcement()
    found = list(home())
    if all(each.mark != "problem" for each in found):
        found += ledger()
    yield from found
    try:
        yield from _server(ledger=all(each.mark != "problem" for each in found))
    except OSError as error:
        yield Finding("problem", f"server: its state cannot be read: {error}")
    yield from model()
    yield from sandbox()


def _server(*, ledger: bool) -> Iterator[Finding]:
    try:
        found = status()
        if found.configured_url is None and found.server is None:
            yield Finding("ok", "server: none; the next command starts one in the background")
            return
        if found.configured_url is None and not found.responding:
            todo = "prefect-governor server stop, then try again; its log is " + str(found.log)
            yield Finding("problem", f"server: {found.server} does not answer", todo)
            return
        # What is there is found; nothing is started.
        info = ensure_server()
        use_server(info)
    except ConfigurationError as error:
        yield Finding("problem", f"server: {error}")
        return
    kind = "PREFECT_API_URL" if found.configured_url else "ours, in the background"
    yield Finding("ok", f"server: {info.ui_url} ({kind})")
    if found.configured_url:
        yield from server_settings()
    yield from governors(ledger=ledger)
