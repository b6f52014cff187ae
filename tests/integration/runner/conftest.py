"""A server whose flow runs begin and end at once."""

from collections.abc import Iterator

import pytest
from prefect.settings import (
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)

from prefect_governor.flows.server.background import ServerInfo


@pytest.fixture(scope="module")
def quick_flows(server: ServerInfo) -> Iterator[None]:
    with temporary_settings(
        {
            # The heartbeat thread of a flow run ends up to a second after the flow.
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            # A client that reads the certificates of the machine takes a tenth of a second.
            PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True,
        }
    ):
        yield
