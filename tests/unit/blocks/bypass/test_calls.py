"""Which requests are taken for model calls."""

import json

import pytest

from prefect_governor.blocks.bypass.calls import is_call, place_of

CHAT = json.dumps({"model": "m", "messages": []}).encode()


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("POST", "api.openai.com", "/v1/chat/completions"),
        ("POST", "api.openai.com", "/v1/images/generations"),
        ("POST", "API.OpenAI.com", "/v1/audio/speech"),
        ("POST", "api.openai.com.", "/v1/audio/speech"),
        ("POST", "bedrock-runtime.us-east-1.amazonaws.com", "/model/m/invoke"),
        ("POST", "mine.openai.azure.com", "/openai/deployments/d/chat/completions"),
    ],
)
def test_whatever_is_posted_to_a_provider_is_looked_at(method: str, host: str, path: str) -> None:
    place = place_of(method, host, path, {})
    assert place == "host"
    assert is_call(place, path, {}, b"no JSON")


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("GET", "api.openai.com", "/v1/models"),
        ("DELETE", "api.openai.com", "/v1/files/f"),
        ("POST", "api.anthropic.com", "/v1/messages/count_tokens"),
        ("POST", "api.prefect.cloud", "/api/accounts/a/workspaces/w/flow_runs/filter"),
        ("POST", "127.0.0.1", "/api/task_runs/"),
        ("POST", "mcp.example.com", "/mcp"),
    ],
)
def test_what_bills_nothing_is_not_looked_at(method: str, host: str, path: str) -> None:
    assert place_of(method, host, path, {}) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "vllm.internal", "gateway.example.com"])
def test_the_path_of_a_models_api_counts_at_any_host_where_a_model_is_named(host: str) -> None:
    for path in ("/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/embeddings"):
        place = place_of("POST", host, path, {})
        assert place == "path"
        assert is_call(place, path, {}, CHAT)
        assert not is_call(place, path, {}, b'{"to": "+44", "text": "hello"}')
        assert not is_call(place, path, {}, b"a=1")


def test_what_cannot_be_read_at_such_a_path_is_taken_for_a_call() -> None:
    assert is_call("path", "/v1/chat/completions", {}, None)
    assert is_call("path", "/v1/chat/completions", {"content-encoding": "gzip"}, b"\x1f\x8b")


def test_a_form_that_is_read_as_it_is_sent_is_no_call() -> None:
    form = {"content-type": "multipart/form-data; boundary=b"}
    assert not is_call("path", "/survey/responses", form, None)
    assert is_call("host", "/v1/images/edits", form, None)


@pytest.mark.parametrize("host", ["api.openai.com", "API.OpenAI.com", "api.openai.com."])
def test_a_providers_socket_is_a_call(host: str) -> None:
    opens = {"upgrade": "WebSocket"}
    assert place_of("GET", host, "/v1/realtime", opens) == "host"
    assert place_of("GET", "chat.example.com", "/socket", opens) is None
