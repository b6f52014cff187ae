"""What is free passes as it is, at those who give it away, and nowhere else."""

import httpx
import pytest

from prefect_governor.blocks.wire.dialects import dialect_of, is_free
from prefect_governor.blocks.wire.dialects.free import FREE_AT
from prefect_governor.blocks.wire.planning import given_by


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_to_look_at_what_is_there_or_to_take_it_away_is_free(method: str) -> None:
    assert is_free(method, "/v1/models") and is_free(method, "/v1/responses/resp_1")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE"])
def test_what_nobody_knows_is_not_free(method: str) -> None:
    assert not is_free(method, "/v1/models", "openai")


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/conversations", "/v1/files/"])
def test_what_openai_gives_away_is_free_there_alone(path: str) -> None:
    assert is_free("POST", path, "openai")
    assert is_free("POST", f"/proxy{path}", "openai")
    for provider in (None, "mistral", "azure", "groq"):
        assert not is_free("POST", path, provider)


@pytest.mark.parametrize(
    "path",
    ["/v1/responses", "/v1/vector_stores", "/v1/vector_stores/vs_1/files", "/v1/conversations/a/b",
     "/v1/files/file_1/content/embed", "/v1/chat/completions", "/v1/images/generations",
     # As servers may read them that cut off parameters, or decode twice.
     "/v1/chat/completions?/v1/files", "/v1/chat/completions;/v1/files",
     "/v1/chat/completions#/v1/files", "/v1/chat/completions%3F/v1/files",
     "/v1/responses;:countTokens", "/v1/responses\n/v1/files", "/V1/FILES"],
)  # fmt: skip
def test_paths_that_bill_are_free_at_nobody(path: str) -> None:
    assert not any(is_free("POST", path, provider) for provider in [None, *FREE_AT])


def test_no_path_of_a_dialect_is_free() -> None:
    """A path that is free is asked for before any dialect is."""
    for path in ("/v2/chat", "/api/chat", "/v1/responses", "/v1/embeddings", "/v1/messages"):
        assert dialect_of("POST", path)
        assert not any(is_free("POST", path, provider) for provider in [None, *FREE_AT])


@pytest.mark.parametrize(
    ("host", "free"),
    [("api.openai.com", True), ("eu.api.openai.com", True), ("gateway.example.com", True),
     ("api.mistral.ai", False), ("team.openai.azure.com", False), ("api.groq.com", False)],
)  # fmt: skip
def test_what_a_client_was_told_makes_nothing_free_at_anothers_host(host: str, free: bool) -> None:
    """`provider="openai"` for a gateway, and a base URL of Mistral's, whose conversations run a
    model."""
    url = httpx.URL(f"https://{host}/v1/conversations")
    assert is_free("POST", url.path, given_by("openai", url)) == free
