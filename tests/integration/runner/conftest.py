"""A server whose flow runs begin and end at once."""

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from prefect_governor.flows.server.background import ServerInfo


@pytest.fixture(scope="module")
def quick_flows(server: ServerInfo) -> Iterator[None]:
    # The heartbeat thread of a flow run ends up to a second after the flow.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield
