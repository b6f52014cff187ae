"""The integration tests' server, provider and corpus serve here too."""

from tests.integration.conftest import command, corpus, provider_process, server, upstream

__all__ = ["command", "corpus", "provider_process", "server", "upstream"]
