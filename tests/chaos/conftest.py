"""The integration tests' server and provider serve here too."""

from collections.abc import Iterator

import pytest

from prefect_governor.flows.server.background import ServerInfo
from tests.chaos.researches import Researcher
from tests.integration.conftest import provider_process, server, upstream
from tests.provider.process import ProviderProcess
from tests.warm import WarmParent

__all__ = ["provider_process", "researcher", "server", "upstream"]


@pytest.fixture(scope="package")
def researcher(
    server: ServerInfo,
    provider_process: ProviderProcess,
    warm: WarmParent,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Researcher]:
    reached = {
        "OPENAI_API_BASE": provider_process.api_base,
        "OPENAI_BASE_URL": provider_process.api_base,
        "OPENAI_API_KEY": "sk-test-researcher",
    }
    with (tmp_path_factory.mktemp("researcher") / "log").open("w") as log:
        made = Researcher(warm, log, reached)
        yield made
        made.close()
