"""What the settings of a person's own Prefect server cost large runs."""

from collections.abc import Iterator
from typing import Any

import httpx

from prefect_governor.flows.cli.doctor.finding import Finding
from prefect_governor.flows.server.tuning import dearer


def server_settings() -> Iterator[Finding]:
    """The settings of the configured server that cost it more than they must. Of one that does not
    show its settings, as Prefect Cloud, nothing is known."""
    for setting, value in dearer(_shown()):
        yield Finding(
            "warn",
            f"server: {'.'.join(setting.place[1:])} is {value:g}, {setting.why}: fewer task"
            " runs a second than it could bear",
            f"start it with {setting.variable}={setting.text}, as the one that is started here",
        )


def _shown() -> dict[str, Any]:
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            shown = client.request("GET", "/admin/settings").json()
    except (httpx.HTTPError, ValueError):
        return {}
    return shown if isinstance(shown, dict) else {}
