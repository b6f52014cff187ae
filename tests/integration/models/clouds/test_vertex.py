"""Google's Vertex AI: Gemini and Claude there, by LiteLLM and by the SDKs of both."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import anthropic
import httpx
import pytest
from google import genai
from google.genai.types import GenerateContentConfig, HttpOptions
from google.oauth2.credentials import Credentials

from prefect_governor import ConfigurationError, Governor, NotBounded, NotGoverned
from prefect_governor.blocks.work.runtime import Runtime
from tests.integration.models.bill import assert_spent_is_the_bill, calls
from tests.integration.models.cases import (
    CASES,
    CURRENT,
    HELLO,
    PRICES,
    VERTEX_CLAUDE,
    Case,
    root,
    service_account,
)
from tests.integration.models.test_providers import ask
from tests.integration.models.warned import QUIET
from tests.provider.families.vertex import LANE_HEADER, TOKEN
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]
GEMINI = CASES["vertex_ai"]
# Ten per cent dearer at any endpoint but the global one.
UPLIFTED = Case("vertex_ai/gemini-3.8-flash", "", "0.00000075", "0.00000375")


def prices(case: Case) -> dict[str, Any]:
    """What the provider bills: at a location of its own, and in the lane before the others."""

    def times(factor: str) -> dict[str, str]:
        return {
            "input": f"{Decimal(case.input) * Decimal(factor):f}",
            "output": f"{Decimal(case.output) * Decimal(factor):f}",
        }

    return {
        **PRICES,
        case.bare: {**times("1"), "tiers": {"regional": times("1.1"), "priority": times("1.8")}},
    }


@pytest.mark.parametrize("how", ["plain", "streamed", "async plain", "async streamed"])
def test_claude_is_one_request_and_its_bill(
    how: str, governor: Governor, runtime: Runtime, provider: ProviderProcess
) -> None:
    assert ask(runtime, VERTEX_CLAUDE, provider, how)
    assert_spent_is_the_bill(governor, provider)
    (call,) = calls(governor)
    assert call.attribution.model == VERTEX_CLAUDE.model


@pytest.mark.parametrize("how", ["async plain", "streamed"])
@pytest.mark.parametrize("case", [UPLIFTED, VERTEX_CLAUDE], ids=lambda case: case.model)
def test_location_that_costs_more_is_bounded_and_settled_at_its_price(
    case: Case, how: str, governor: Governor, runtime: Runtime, provider: ProviderProcess
) -> None:
    provider.configure(prices=prices(case))
    for location in ("global", "europe-west4"):
        ask(runtime, case, provider, how, vertex_location=location)
    assert_spent_is_the_bill(governor, provider, requests=2)
    there, usual = (call.bound.nano for call in calls(governor))
    assert {10 * max(there, usual)} == {11 * min(there, usual)}


@pytest.mark.parametrize("how", ["async plain", "streamed"])
def test_lane_before_the_others_is_bounded_and_settled_at_its_price(
    how: str, governor: Governor, runtime: Runtime, provider: ProviderProcess
) -> None:
    provider.configure(prices=prices(UPLIFTED))
    ask(runtime, UPLIFTED, provider, how, extra_headers={LANE_HEADER: "priority"})
    assert_spent_is_the_bill(governor, provider)
    with pytest.raises(NotBounded, match="next-years"):
        ask(runtime, UPLIFTED, provider, how, extra_headers={LANE_HEADER: "next-years"})
    assert provider.settled_stats()["requests"] == 1


# The SDKs


def googles_sdk(provider: ProviderProcess, http: httpx.Client) -> genai.Client:
    return genai.Client(
        vertexai=True,
        project="a-project",
        location="global",
        credentials=Credentials(TOKEN),  # type: ignore[no-untyped-call]
        http_options=HttpOptions(base_url=root(provider), httpx_client=http),
    )


def test_googles_sdk_spends_what_is_billed(governor: Governor, provider: ProviderProcess) -> None:
    with governor.http_client() as http:
        models = googles_sdk(provider, http).models
        asked: Any = {
            "model": GEMINI.bare,
            "contents": "hello there",
            "config": GenerateContentConfig(max_output_tokens=30),
        }
        assert models.generate_content(**asked).text
        assert [chunk.text for chunk in models.generate_content_stream(**asked)]
    assert_spent_is_the_bill(governor, provider, requests=2)
    assert {call.attribution.model for call in calls(governor)} == {GEMINI.model}


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_sdk_spends_what_is_billed(
    stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    with anthropic.AnthropicVertex(
        project_id="a-project",
        region="global",
        access_token=TOKEN,
        base_url=f"{root(provider)}/v1",
        http_client=governor.http_client("httpx2"),
        max_retries=0,
    ) as sdk:
        asked: Any = {"model": VERTEX_CLAUDE.bare, "max_tokens": 30, "messages": HELLO}
        if stream:
            with sdk.messages.stream(**asked) as events:
                assert "".join(events.text_stream)
        else:
            assert sdk.messages.create(**asked).content
    assert_spent_is_the_bill(governor, provider)
    assert calls(governor)[0].attribution.model == VERTEX_CLAUDE.model


# What is missing is said before anything is sent


Wrong = Callable[[ProviderProcess], dict[str, Any]]
MISSING: dict[str, tuple[Wrong, str]] = {
    "location": (lambda _: {"vertex_location": None}, "VERTEXAI_LOCATION"),
    "project": (
        lambda provider: {"api_key": service_account(provider, project_id="")},
        "VERTEXAI_PROJECT",
    ),
    "credentials": (lambda _: {"api_key": None}, "VERTEXAI_CREDENTIALS"),
    "nonsense": (lambda _: {"api_key": "sk-secret-of-somebody"}, "neither a file"),
}


@pytest.mark.parametrize("case", [GEMINI, VERTEX_CLAUDE], ids=lambda case: case.model)
@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_said_before_anything_is_sent(
    what: str,
    case: Case,
    governor: Governor,
    runtime: Runtime,
    provider: ProviderProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PROJECT", "LOCATION", "CREDENTIALS"):
        monkeypatch.delenv(f"VERTEXAI_{name}", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nowhere")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    wrong, named = MISSING[what]
    with pytest.raises(ConfigurationError, match=named) as said:
        ask(runtime, case, provider, "async plain", **wrong(provider))
    assert "sk-secret" not in str(said.value)
    assert not calls(governor) and provider.settled_stats()["requests"] == 0


def test_models_of_other_publishers_are_not_proven(
    governor: Governor, runtime: Runtime, provider: ProviderProcess
) -> None:
    for name in ("mistral-large@2411", "meta/llama-3.1-405b-instruct-maas", "text-bison"):
        with pytest.raises(NotGoverned, match="gemini-… and claude-…"):
            ask(runtime, Case(f"vertex_ai/{name}", "", "", ""), provider, "plain")
    assert not calls(governor) and provider.settled_stats()["requests"] == 0


def test_token_and_the_count_of_tokens_are_no_calls(
    governor: Governor, provider: ProviderProcess
) -> None:
    with governor.http_client() as http:
        path = "/v1/projects/p/locations/global/publishers/anthropic/models/count-tokens:rawPredict"
        reply = http.post(
            root(provider) + path,
            content=json.dumps({"model": CURRENT, "messages": HELLO}),
            headers={"authorization": f"Bearer {TOKEN}"},
        )
    assert reply.status_code < 500
    assert not calls(governor)
