"""A Prefect server that keeps events and acts on them, which the tests' others are spared."""

import json
import os
from collections.abc import Iterator

import prefect.context
import pytest
from prefect.events.worker import EventsWorker

from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.work.registry import stop_all
from prefect_governor.flows.server.background import ServerInfo
from tests.integration.databases import Databases
from tests.postgres import free_port

_SETTINGS = (
    "PREFECT_HOME",
    "PREFECT_API_URL",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[ServerInfo]:
    """A server of these tests' own, that keeps events and acts on them."""
    from prefect_governor.flows.server.server import ensure_server, stop_server, use_server

    kept = {name: os.environ.get(name) for name in _SETTINGS}
    stop_all()
    os.environ.pop("PREFECT_API_URL", None)
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("acting"))
    for name in _SETTINGS[2:4]:
        os.environ[name] = "true"
    os.environ[_SETTINGS[4]] = "1"
    # Its last port is what it takes again: one that no other server that starts now thinks of.
    state_folder().mkdir(parents=True)
    record = json.dumps({"pid": None, "port": free_port()})
    (state_folder() / "server.json").write_text(record)
    settings = prefect.context.root_settings_context
    vars(prefect.context)["GLOBAL_SETTINGS_CONTEXT"] = settings()
    with databases.begin(state_folder().parent):
        info = ensure_server()
    use_server(info)
    # The process's one worker goes on sending to the server that it began with.
    EventsWorker.drain_all()
    yield info
    EventsWorker.drain_all()
    stop_all()
    stop_server()
    for name, value in kept.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    vars(prefect.context)["GLOBAL_SETTINGS_CONTEXT"] = settings()
