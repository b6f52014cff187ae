"""A Prefect server when there is none: found, or started once in the background and reused.

One server a `PREFECT_HOME`, however many commands ask at once; none where Prefect's settings name
an API. Nothing here imports Prefect before it is called.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.prefect_internals.settings import read_again
from prefect_governor.flows.server.background import BackgroundServer, Progress, ServerInfo

if TYPE_CHECKING:
    from prefect_governor.flows.server.asking import Answer

__all__ = [
    "ServerInfo",
    "ServerStatus",
    "ensure_server",
    "run_url",
    "status",
    "stop_server",
    "use_server",
]


@dataclass(frozen=True)
class ServerStatus:
    """What `status` found.

    `configured_url` is the API that Prefect's settings name, if any: it is used instead of ours.
    `server` is our background server, None where its process is not alive; `responding` says
    whether it answers; `log` is where it writes. `answer` is what the one that is used says of
    itself, None where there is none.
    """

    configured_url: str | None
    server: ServerInfo | None
    responding: bool
    log: Path
    answer: "Answer | None" = None

    @property
    def answers(self) -> bool:
        """Whether the server that is used does."""
        return self.answer is not None and self.answer.answers


def ensure_server(
    *, on_progress: Progress | None = None, start_timeout_seconds: float = 90.0
) -> ServerInfo:
    """The server to use: the configured one, else our background server, started if need be.

    `on_progress` gets a line when it has to wait, and every 5 s after. Call `use_server` with the
    result before anything speaks to Prefect.
    Raises `ConfigurationError` when the configured API does not answer, or when ours does not
    within `start_timeout_seconds`; then with the last lines of its log.
    """
    settings = _settings()
    if settings.api.url:
        return _configured(settings)
    say = on_progress or _unheard
    background = BackgroundServer(state_folder())
    if (running := background.running()) and background.answers(running):
        return running
    with background.only_one(say):
        if running := background.running():
            return background.wait(running, say, start_timeout_seconds)
        return background.start(say, start_timeout_seconds)


def use_server(info: ServerInfo) -> None:
    """Make `info` the API of this process and of those it starts, whatever thread asks.

    Prefect reads its settings once, when it is imported, and threads do not inherit a
    `temporary_settings` block: without this each would start a server of its own.
    """
    os.environ["PREFECT_API_URL"] = info.url
    read_again()


def stop_server(*, timeout_seconds: float = 30.0) -> ServerInfo | None:
    """End our background server and return it; None if there was none.

    Only the very process that was started is signalled: SIGTERM, and SIGKILL when it has not ended
    after `timeout_seconds`. Raises `ConfigurationError` where it runs out of our reach.
    """
    background = BackgroundServer(state_folder())
    with background.only_one(_unheard):
        running = background.running()
        if running:
            background.end(running, timeout_seconds)
        return running


def status() -> ServerStatus:
    """What is configured and what runs, each asked for seconds at the most. Starts nothing."""
    from prefect_governor.flows.server.asking import ask

    background = BackgroundServer(state_folder())
    running = background.running()
    configured = _settings().api.url
    responding = running is not None and background.answers(running)
    answer = None
    if configured:
        answer = ask()
    elif running is not None and responding:
        answer = ask(running.url)
    return ServerStatus(configured, running, responding, background.log, answer)


def run_url(ui_url: str, flow_run_id: UUID | str) -> str:
    """The page of a flow run in Prefect's UI."""
    return f"{ui_url.rstrip('/')}/runs/flow-run/{flow_run_id}"


def _unheard(_: str) -> None:
    """Where nobody listens to the progress."""


def _settings() -> Any:
    # Prefect's own reading of environment, files and profile. Costs its import, as any use does.
    from prefect.settings import get_current_settings

    return get_current_settings()


def _configured(settings: Any) -> ServerInfo:
    # Prefect's client, because it alone knows the key, the certificates and the headers.
    from prefect.client.orchestration import get_client

    url = str(settings.api.url)
    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
    if problem is not None:
        source, unset = "Prefect's profile", "prefect config unset PREFECT_API_URL"
        if os.environ.get("PREFECT_API_URL"):
            source, unset = "the environment", "unset PREFECT_API_URL"
        raise ConfigurationError(
            f"The Prefect API at {url} (PREFECT_API_URL, from {source}) does not answer: "
            f"{problem or type(problem).__name__}. Start that server or correct the URL; or unset "
            f"it (`{unset}`), and one is started here."
        )
    return ServerInfo(url=url, ui_url=settings.ui_url or url.removesuffix("/api"))
