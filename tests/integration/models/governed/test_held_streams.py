"""Twenty streams at once that set no limit, on money for ten: what the money is not there for is
asked for with less, and nothing of a cut answer is passed on."""

import httpx
import pytest

from prefect_governor import Governor
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport
from tests.integration.models.cases import HELLO
from tests.integration.models.test_without_limits import (
    ANSWER_TOKENS,
    AT_ONCE,
    Ask,
    Elsewhere,
    ask_all,
    assert_all_is_used,
    money_for_ten,
    posted,
)
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

STREAMS: dict[str, Ask] = {
    "openai": posted(
        "https://api.openai.com/v1/chat/completions",
        model="gpt-4o-mini", messages=HELLO, stream=True,
    ),
    "anthropic": posted(
        "https://api.anthropic.com/v1/messages",
        model="claude-sonnet-4-5", messages=HELLO, stream=True,
    ),
    "gemini": posted(
        "https://generativelanguage.googleapis.com/v1beta/models/"
        "gemini-2.5-flash-lite:streamGenerateContent?alt=sse",
        contents=[{"role": "user", "parts": [{"text": "hello there"}]}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
async def test_twenty_streams_without_a_limit_use_all_of_the_money_for_ten(
    name: str, provider: ProviderProcess
) -> None:
    provider.configure(output_tokens=ANSWER_TOKENS, latency_seconds=0.02)

    async def through(governor: Governor, at_once: int) -> int:
        transport = GovernedAsyncTransport(Elsewhere(provider), governor.runtime)
        async with httpx.AsyncClient(transport=transport, timeout=60) as http:
            return await ask_all(lambda: STREAMS[name](http), at_once=at_once)

    ceiling = await money_for_ten(lambda rich: through(rich, 1), provider)
    governor = Governor.local("ten", max_usd=ceiling)
    done = await through(governor, AT_ONCE)
    assert_all_is_used(f"{name}, streamed", governor, provider, done)
