"""Which model a run calls, and what it must be refused for before it starts."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from pydantic import SecretStr

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.model import choose
from prefect_governor.blocks.models.choice import AUTO_MODELS, KEY_VARIABLES, ModelChoice
from prefect_governor.blocks.models.completion import TESTED_PROVIDERS
from prefect_governor.blocks.models.vertex import check_vertex
from prefect_governor.blocks.prices.prices import OFFLINE, OFFLINE_PRICE

KEYLESS = TESTED_PROVIDERS - KEY_VARIABLES.keys()


@pytest.fixture(autouse=True)
def nothing_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no gateway, no Ollama, whatever this machine has."""
    for variable in [*KEY_VARIABLES.values(), "OPENAI_BASE_URL", "OPENAI_API_BASE"]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OLLAMA_API_BASE", "http://127.0.0.1:9")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """`ollama(body)`: a local Ollama that answers so."""
    bodies: list[bytes] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bodies[-1])

        def log_message(self, format: str, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OLLAMA_API_BASE", f"http://127.0.0.1:{server.server_port}/")
    yield bodies.append
    server.shutdown()
    thread.join()
    server.server_close()


def test_auto_without_anything_is_the_offline_model_at_a_nominal_price() -> None:
    choice = choose("auto")
    assert choice.name == OFFLINE
    assert "no key" in choice.why
    assert choice.price_of(OFFLINE) == OFFLINE_PRICE


@pytest.mark.parametrize(("variable", "model"), AUTO_MODELS)
def test_auto_takes_the_first_key_and_says_which(
    monkeypatch: pytest.MonkeyPatch, variable: str, model: str
) -> None:
    monkeypatch.setenv(variable, "sk-secret")
    choice = choose("auto")
    assert choice.name == model
    assert variable in choice.why
    assert "sk-secret" not in repr(choice)


def test_auto_takes_a_local_ollama_before_the_offline_model(
    ollama: Callable[[bytes], None],
) -> None:
    ollama(b'{"models": [{"name": "llama3.2:latest"}, {"name": "other"}]}')
    choice = choose("auto")
    assert choice.name == "ollama/llama3.2:latest"
    assert choice.price_of(choice.name) is not None


@pytest.mark.parametrize("body", [b"", b"[]", b'{"models": []}', b'{"models": null}', b"\xff"])
def test_ollama_that_answers_nonsense_is_passed_over(
    ollama: Callable[[bytes], None], body: bytes
) -> None:
    ollama(body)
    assert choose("auto").name == OFFLINE


@pytest.mark.parametrize("provider", sorted(KEY_VARIABLES))
def test_missing_key_is_refused_before_anything_is_spent(provider: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"no key.*{KEY_VARIABLES[provider]}"):
        ModelChoice(f"{provider}/any", "as asked").check()


def test_bedrock_without_a_region_is_refused_before_anything_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(ConfigurationError, match=r"no AWS region.*AWS_REGION"):
        choose(name)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert choose(name).name == name
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID"):
        choose(name)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key")
    assert choose(name).name == name
    # As LiteLLM lists it.
    assert choose(name.removeprefix("bedrock/")).name == name.removeprefix("bedrock/")


def test_gateway_of_ones_own_may_need_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", "http://localhost:1/v1")
    assert choose("openai/gpt-4o-mini").name == "openai/gpt-4o-mini"


def test_key_in_a_block_is_enough_and_never_shown() -> None:
    choice = ModelChoice("openai/gpt-4o-mini", "block", api_key=SecretStr("sk-secret"))
    choice.check()
    assert "sk-secret" not in repr(choice)


@pytest.mark.parametrize("variable", ["AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_AD_TOKEN"])
def test_azure_needs_an_address_a_key_or_a_token_and_the_model_behind_a_name(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_API_BASE", "https://ours.openai.azure.com")
    with pytest.raises(ConfigurationError, match="no key for azure/gpt-4o-mini"):
        choose("azure/gpt-4o-mini")
    monkeypatch.setenv(variable, "k")
    assert choose("azure/gpt-4o-mini").price_of("azure/gpt-4o-mini") is not None
    with pytest.raises(ConfigurationError, match="base_model"):
        choose("azure/our-chat")
    monkeypatch.delenv("AZURE_API_BASE")
    with pytest.raises(ConfigurationError, match=r"no address for.*AZURE_API_BASE"):
        choose("azure/gpt-4o-mini")


def test_unknown_price_is_refused_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(ConfigurationError, match="no price is known for 'openai/nobodys'"):
        choose("openai/nobodys")


def test_fallback_is_checked_like_the_model_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(ConfigurationError, match="GROQ_API_KEY"):
        ModelChoice("openai/gpt-4o-mini", "block", fallbacks=("groq/openai/gpt-oss-20b",)).check()


@pytest.mark.parametrize("name", ["sagemaker/x", "perplexity/sonar", "nonsense/x"])
def test_provider_that_would_pass_by_the_governor_is_refused_at_start_not_at_each_item(
    name: str,
) -> None:
    with pytest.raises(ConfigurationError, match="proven to send through the governor"):
        choose(name)


def test_vertex_without_a_place_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROJECT", "LOCATION", "CREDENTIALS"):
        monkeypatch.delenv(f"VERTEXAI_{name}", raising=False)
    with pytest.raises(ConfigurationError, match="VERTEXAI_LOCATION"):
        choose("vertex_ai/gemini-2.5-flash")
    monkeypatch.setenv("VERTEXAI_LOCATION", "global")
    assert choose("vertex_ai/gemini-2.5-flash").price_of("vertex_ai/gemini-2.5-flash") is not None
    monkeypatch.setenv("VERTEXAI_CREDENTIALS", '{"type": "service_account"}')
    with pytest.raises(ConfigurationError, match="VERTEXAI_PROJECT"):
        choose("vertex_ai/gemini-2.5-flash")


def test_vertex_without_google_auth_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERTEXAI_LOCATION", "global")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"prefect-governor\[vertex\]"):
        check_vertex("vertex_ai/gemini-2.5-flash", {})


def test_untested_provider_is_called_where_a_person_accepts_it() -> None:
    price = OFFLINE_PRICE
    choice = ModelChoice("nonsense/x", "block", prices={"nonsense/x": price})
    with pytest.raises(ConfigurationError, match="allow_untested_provider"):
        choice.check()
    replace(choice, allow_untested_provider=True).check()


def test_model_that_does_not_chat_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(ConfigurationError, match="for embedding, not for chat"):
        choose("openai/text-embedding-3-small")


def test_every_tested_provider_has_its_key_checked_or_needs_none() -> None:
    assert {
        "hosted_vllm", "lm_studio", "offline", "ollama", "ollama_chat",
        # Its token is google-auth's, see `vertex`.
        "vertex_ai",
    } == KEYLESS  # fmt: skip


def test_length_of_answers_is_what_was_asked_for() -> None:
    assert choose(OFFLINE).max_output_tokens == 1024
    assert choose(OFFLINE, max_output_tokens=7).max_output_tokens == 7


def test_what_shapes_an_answer_is_said_of_every_model_that_may_give_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "GROQ_API_BASE", "OLLAMA_API_BASE"):
        monkeypatch.delenv(variable, raising=False)
    names = ("openai/gpt-4o-mini", "groq/openai/gpt-oss-20b", "ollama_chat/mine")
    choice = ModelChoice(names[0], "", fallbacks=names[1:], max_output_tokens=24)
    plain = choice.asked_of
    assert plain == [[(name, None) for name in names], 24]
    monkeypatch.setenv("OPENAI_API_BASE", "http://a/v1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://b/v1")
    monkeypatch.setenv("GROQ_API_BASE", "http://c/v1")
    monkeypatch.setenv("OLLAMA_API_BASE", "http://d")
    assert [base for _, base in choice.asked_of[0]] == ["http://b/v1", "http://c/v1", "http://d"]
    of_a_block = ModelChoice(names[0], "", api_base="http://e/v1")
    assert of_a_block.asked_of == [[(names[0], "http://e/v1")], 1024]
