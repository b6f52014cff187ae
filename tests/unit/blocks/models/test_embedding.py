"""With each provider of its list, one embedding is one request through our transport."""

import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.models import clients
from prefect_governor.blocks.models.embedding import aembedding, embedding
from prefect_governor.blocks.models.providers import EMBEDDING_PROVIDERS
from tests.unit.blocks.models.network import Network, assert_one_call, quiet, reach
from tests.unit.blocks.models.replies import embeddings_reply
from tests.unit.fakes import FakeGoverning

pytestmark = quiet


@pytest.mark.parametrize("provider", sorted(EMBEDDING_PROVIDERS))
async def test_one_embedding_is_one_request_and_one_reservation(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    network.answer(embeddings_reply())
    with scope(Scope(governing)):
        reply = await aembedding(**reach(provider))
    assert reply.data[0]["embedding"] == [0.5, 0.25]
    assert_one_call(network, governing, provider, "/embeddings")
    assert governing.desk.spent == 10 * 150


@pytest.mark.parametrize("provider", sorted(EMBEDDING_PROVIDERS))
def test_synchronous_embedding_is_one_request_and_one_reservation(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    network.answer(embeddings_reply())
    with scope(Scope(governing)):
        more = {} if provider == "openai" else {"dimensions": 2}
        embedding(**reach(provider, input=["a", "b"], encoding_format="float", **more))
    assert_one_call(network, governing, provider, "/embeddings")
    assert network.bodies[0]["input"] == ["a", "b"]


def test_embedding_leaves_no_retries_to_the_chat_calls_of_the_same_client(
    network: Network, governing: FakeGoverning
) -> None:
    """LiteLLM sets the retries of the client that it is handed: to 2, for embeddings."""
    network.answer(embeddings_reply())
    with scope(Scope(governing)):
        embedding(**reach("openai"))
    (held,) = clients._blocking
    (client,) = held.clients.values()
    assert client.max_retries == 0
    client.max_retries = 2
    assert client.max_retries == 0
