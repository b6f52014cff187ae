"""Gemini's image models: what they draw is within its bound, and settled as it is billed."""

from collections.abc import Callable
from typing import Any

import pytest
from google import genai
from google.genai.types import GenerateContentConfig, HttpOptions

from prefect_governor import Governor
from prefect_governor.blocks.work.runtime import Runtime
from tests.integration.models.bill import assert_spent_is_the_bill, calls
from tests.integration.models.cases import KEY, Case, root
from tests.integration.models.test_providers import ask
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]
PAINTER = Case("gemini/gemini-2.5-flash-image", "/v1beta", "0.0000003", "0.0000025")
PRICE = {"input": PAINTER.input, "output": PAINTER.output, "image": "0.00003"}


def by_googles_sdk(stream: bool) -> Callable[..., None]:
    def asked(governor: Governor, provider: ProviderProcess, **config: Any) -> None:
        with governor.http_client() as http:
            models = genai.Client(
                api_key=KEY, http_options=HttpOptions(base_url=root(provider), httpx_client=http)
            ).models
            told: Any = {
                "model": PAINTER.bare,
                "contents": "hello there",
                "config": GenerateContentConfig(max_output_tokens=3000, **config),
            }
            if stream:
                assert list(models.generate_content_stream(**told))
            else:
                assert models.generate_content(**told).parts

    return asked


@pytest.mark.parametrize(
    ("images", "config", "tokens"),
    [
        (1, {}, 1290),
        # The third begins within the 3,000 and is drawn to its end.
        (9, {"response_modalities": ["TEXT", "IMAGE"]}, 3870),
        (0, {}, 0),
        (9, {"response_modalities": ["TEXT"]}, 0),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_images_are_within_their_bound_and_settled_as_billed(
    stream: bool,
    images: int,
    config: dict[str, Any],
    tokens: int,
    governor: Governor,
    provider: ProviderProcess,
) -> None:
    provider.configure(images=images, prices={PAINTER.bare: PRICE})
    by_googles_sdk(stream)(governor, provider, **config)
    assert_spent_is_the_bill(governor, provider)
    (call,) = calls(governor)
    assert call.usage is not None
    assert tokens <= call.usage.output_tokens <= call.bound.output_tokens
    assert call.usage.nano <= call.bound.nano


@pytest.mark.parametrize("how", ["async plain", "streamed"])
def test_litellm_draws_too(
    how: str, governor: Governor, runtime: Runtime, provider: ProviderProcess
) -> None:
    provider.configure(prices={PAINTER.bare: PRICE})
    assert ask(runtime, PAINTER, provider, how, max_tokens=3000, modalities=["image", "text"])
    assert_spent_is_the_bill(governor, provider)
