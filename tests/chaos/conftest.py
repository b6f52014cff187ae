"""The integration tests' server and provider serve here too."""

from tests.integration.conftest import provider_process, server, upstream

__all__ = ["provider_process", "server", "upstream"]
