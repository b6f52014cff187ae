"""What embeddings and responses have in common: nothing is sent twice, or beside the governor."""

from collections.abc import Callable
from typing import Any

import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import (
    ConfigurationError,
    NotBounded,
    NotGoverned,
    NotPriced,
    OverBudget,
)
from prefect_governor.blocks.models.completion import acompletion, completion
from prefect_governor.blocks.models.embedding import (
    aembedding,
    aembedding_under,
    embedding,
    embedding_under,
)
from prefect_governor.blocks.models.library.module import litellm
from prefect_governor.blocks.models.responses import (
    aresponses,
    aresponses_under,
    responses,
    responses_under,
)
from tests.unit.blocks.models.network import Network, ask, called, failures, quiet, reach
from tests.unit.blocks.models.replies import embeddings_reply, response
from tests.unit.fakes import FakeDesk, FakeGoverning, chat_reply
from tests.unit.prices import PRICE

pytestmark = quiet


@failures
async def test_client_library_sends_nothing_again_by_itself(
    failure: Any, network: Network, governing: FakeGoverning
) -> None:
    network.replies = [failure]
    calls: list[Callable[[], Any]] = [
        lambda: aembedding(**reach("openai"), num_retries=5, max_retries=5),
        lambda: aresponses(**ask("openai"), num_retries=5, max_retries=5),
    ]
    for at, call in enumerate(calls, 1):
        with scope(Scope(governing)), pytest.raises(Exception, match="litellm"):
            await call()
        assert len(network.requests) == len(governing.desk.demands) == at


@failures
def test_synchronous_client_sends_nothing_again_by_itself(
    failure: Any, network: Network, governing: FakeGoverning
) -> None:
    network.replies = [failure]
    calls: list[Callable[[], Any]] = [
        lambda: embedding(**reach("openai"), num_retries=5, max_retries=5),
        lambda: responses(**ask("openai"), num_retries=5, max_retries=5),
    ]
    for at, call in enumerate(calls, 1):
        with scope(Scope(governing)), pytest.raises(Exception, match="litellm"):
            call()
        assert len(network.requests) == len(governing.desk.demands) == at


# Outside of what is governed

PAIRS: list[Callable[..., Any]] = [aembedding, embedding, aresponses, responses]


@pytest.mark.parametrize("pair", PAIRS)
async def test_outside_any_governor_nothing_is_sent(
    pair: Callable[..., Any], network: Network
) -> None:
    with pytest.raises(NotGoverned, match=r"outside any governor.*Make it inside"):
        await called(pair, **reach("openai"))
    assert not network.requests


@pytest.mark.parametrize("pair", PAIRS)
async def test_what_would_pass_by_the_governor_is_refused(
    pair: Callable[..., Any], network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)):
        for name in ("client", "mock_response", "fallbacks", "custom_llm_provider"):
            with pytest.raises(NotGoverned, match=name):
                await called(pair, **reach("openai"), **{name: "x"})
        with pytest.raises(NotGoverned, match="'cohere' is not on the list"):
            await called(pair, **reach("cohere"))
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
            await called(pair, model="openai/x", input="x")
    assert not network.requests


async def test_call_without_a_bound_a_price_or_the_money_is_refused_by_name(
    network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)):
        with pytest.raises(NotBounded, match="max_output_tokens"):
            await aresponses(**reach("openai"))
        for field in ("previous_response_id", "prompt"):
            with pytest.raises(NotBounded, match=field):
                await aresponses(**ask("openai", **{field: {"id": "x"}}))
        for kind in ("web_search", "mcp", "file_search"):
            with pytest.raises(NotBounded, match=kind):
                await aresponses(**ask("openai", tools=[{"type": kind, "server_url": "litellm"}]))
    with scope(Scope(FakeGoverning())), pytest.raises(NotPriced, match="some-model"):
        await aembedding(**reach("openai"))
    poor = FakeGoverning(price=PRICE, desk=FakeDesk(ceiling_nano=10))
    with scope(Scope(poor)):
        with pytest.raises(OverBudget):
            await aembedding(**reach("openai"))
        with pytest.raises(OverBudget):
            responses(**ask("openai"))
    assert not network.requests


async def test_model_for_something_else_is_refused_with_what_to_use(
    network: Network, governing: FakeGoverning
) -> None:
    embeds = {"model": "openai/text-embedding-3-small"}
    with scope(Scope(governing)):
        with pytest.raises(NotGoverned, match="for embedding, not for responses"):
            await aresponses(**{**ask("openai"), **embeds})
        with pytest.raises(NotGoverned, match="use `responses`, `embedding`"):
            await acompletion(**embeds, messages=[], api_key="sk-test")
        with pytest.raises(NotGoverned, match="for responses, not for chat"):
            completion("openai/o3-pro", [], api_key="sk-test")
        with pytest.raises(NotGoverned, match="for chat, not for embeddings"):
            await aembedding(**{**reach("openai"), "model": "openai/gpt-4o-mini"})
    assert not network.requests


async def test_governors_own_pairs_override_the_context(
    network: Network, governing: FakeGoverning
) -> None:
    other = FakeGoverning(price=PRICE)
    with scope(Scope(other, tags=("here",))):
        network.answer(embeddings_reply())
        await aembedding_under(governing, tags=["llm"], **reach("openai"))
        embedding_under(governing, **reach("openai"))
        network.answer(response())
        await aresponses_under(governing, tags=["llm"], **ask("openai"))
        responses_under(governing, **ask("openai"))
    assert not other.desk.demands
    tags = [demand.attribution.tags for demand in governing.desk.demands.values()]
    assert tags == [("here", "llm"), ("here",)] * 2


async def test_reply_that_came_by_another_way_is_an_error(
    network: Network, governing: FakeGoverning, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def elsewhere(**arguments: Any) -> dict[str, Any]:
        return chat_reply()

    monkeypatch.setattr(litellm(), "aresponses", elsewhere)
    monkeypatch.setattr(litellm(), "aembedding", elsewhere)
    with scope(Scope(governing)):
        for call in (aresponses(**ask("openai")), aembedding(**reach("openai"))):
            with pytest.raises(NotGoverned, match="without sending"):
                await call
