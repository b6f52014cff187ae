"""What is a secret by its name."""

import json
from pathlib import Path

import pytest

from prefect_governor.blocks.models.choice import KEY_VARIABLES
from prefect_governor.blocks.secrets.names import names_a_secret, secrets_in

KEY = "Zk9-0123456789"


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            *filter(None, KEY_VARIABLES.values()),
            "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
            "AWS_BEARER_TOKEN_BEDROCK", "AZURE_AD_TOKEN", "AZURE_CLIENT_SECRET", "AZURE_PASSWORD",
            "GIGACHAT_CREDENTIALS", "GOOGLE_API_KEY", "HF_TOKEN", "PGPASSWORD", "PREFECT_API_KEY",
            "PREFECT_API_AUTH_STRING", "SNOWFLAKE_JWT", "WATSONX_APIKEY", "WATSONX_ZENAPIKEY",
            "OPENAI_API_KEYS", "api_key", "aws_secret_access_key", "azure_ad_token",
        }
    ),
)  # fmt: skip
def test_key_of_a_provider_or_a_cloud_is_known_by_its_name(name: str) -> None:
    assert secrets_in({name: KEY}) == {KEY}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_DEFAULT_REGION", "AZURE_API_VERSION", "AZURE_API_BASE", "DEFAULT_MAX_TOKENS",
        "AWS_WEB_IDENTITY_TOKEN_FILE", "PREFECT_GOVERNOR_KEY_COLUMN", "PREFECT_GOVERNOR_MODEL",
        "PREFECT_GOVERNOR_MAX_TOTAL_TOKENS", "LANGFUSE_PUBLIC_KEY", "TOKENIZERS_PARALLELISM",
        "PWD", "OLDPWD", "PRIMARY_KEY", "key", "prompt_cache_key", "Idempotency-Key",
        "MCP_JWT_ISSUER", "KEYBOARD", "max_tokens", "model", "tools",
    ],
)  # fmt: skip
def test_what_is_named_after_one_is_none(name: str) -> None:
    assert not names_a_secret(name)
    assert secrets_in({name: "us-east-1/2024-10-21"}) == set()


@pytest.mark.parametrize("value", ["12345678", "2024-10-21", "lm-studio", "none", "sk-1234"])
def test_number_or_placeholder_by_a_secrets_name_is_none(value: str) -> None:
    assert secrets_in({"OPENAI_API_KEY": value}) == set()


def test_password_of_an_address_is_one_by_whatever_name() -> None:
    url = "postgresql://me:p%40ss-word9@db.example:5432/ledger?sslmode=require"
    assert secrets_in({"PREFECT_GOVERNOR_LEDGER_URL": url}) == {"p%40ss-word9", "p@ss-word9"}
    assert secrets_in({"OPENAI_API_BASE": "https://api.openai.com/v1"}) == set()
    assert secrets_in({"X": f"https://x.example/a?sig={KEY}&token={KEY}x"}) == {f"{KEY}x"}


def test_credentials_in_json_are_its_keys_and_a_file_of_them_is_none(tmp_path: Path) -> None:
    account = {"type": "service_account", "project_id": "acme-12345", "private_key": f"-{KEY}-"}
    assert secrets_in({"VERTEX_CREDENTIALS": json.dumps(account)}) == {f"-{KEY}-"}
    file = tmp_path / "account-12345.json"
    file.write_text("{}")
    assert secrets_in({"GOOGLE_APPLICATION_CREDENTIALS": str(file)}) == set()


def test_headers_and_connection_strings_are_looked_into() -> None:
    headers = {"Authorization": f"Bearer {KEY}", "x-trace": "0123456789-abc"}
    assert secrets_in({"extra_headers": headers}) == {KEY, f"Bearer {KEY}"}
    storage = f"AccountName=acme;AccountKey={KEY};EndpointSuffix=core.windows.net"
    assert secrets_in({"AZURE_STORAGE_CONNECTION_STRING": storage}) == {KEY, storage}
    assert secrets_in({"OPENAI_API_KEYS": f"{KEY}a,{KEY}b"}) >= {f"{KEY}a", f"{KEY}b"}
