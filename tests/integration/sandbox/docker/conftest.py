"""The engine of this process, and runtimes on it."""

import uuid
from collections.abc import Iterator

import pytest

from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.sandboxes.docker.ownership import Ownership
from prefect_governor.blocks.sandboxes.docker.runtime import DockerRuntime
from tests.engine import IMAGE, DockerEngine, NoEngine, shared, skip_loudly


@pytest.fixture
def docker_engine() -> DockerEngine:
    """One that runs, with the image of the tests; a loud skip where none can be had."""
    try:
        return shared()
    except NoEngine as error:
        skip_loudly(f"NOT TESTED, no Docker engine: {error}")


@pytest.fixture
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ownership]:
    """A process at a ledger of its own."""
    process = Owner(tmp_path_factory.mktemp("owners"))
    yield Ownership(uuid.uuid4().hex, process)
    process.release()


@pytest.fixture
def runtime(docker_engine: DockerEngine, owner: Ownership) -> Iterator[DockerRuntime]:
    """One on that engine, after which nothing is left there."""
    found = DockerRuntime(IMAGE, docker_engine.host, owner=owner)
    yield found
    found.close()
    assert docker_engine.containers() == []
