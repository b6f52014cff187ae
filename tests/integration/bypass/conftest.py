"""The provider with the prices of these tests, and its keys."""

import pytest

from tests.integration.bypass.senders import ACCESS, CLAUDE, OUTPUT, SECRET
from tests.provider.process import ProviderProcess


@pytest.fixture
def provider(provider_process: ProviderProcess, monkeypatch: pytest.MonkeyPatch) -> ProviderProcess:
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    provider_process.settled_stats()
    provider_process.renew(
        output_tokens=OUTPUT,
        prices={CLAUDE: {"input": "0.0000008", "output": "0.000004"}},
        aws_keys={ACCESS: {"secret": SECRET}},
    )
    return provider_process
