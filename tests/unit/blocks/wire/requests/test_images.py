"""An image is bounded by its model's family; for a model whose rule is not known it is refused."""

import pytest

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.wire.requests.images import (
    CLAUDE_HIGH_RESOLUTION_TOKENS,
    CLAUDE_TOKENS,
    claude_image_tokens,
    openai_image_tokens,
)


@pytest.mark.parametrize(
    ("model", "detail", "tokens"),
    [
        ("gpt-4o", None, 1445),
        ("gpt-4o-2024-08-06", "low", 85),
        ("ft:gpt-4o-2024-08-06:org::id", None, 1445),
        ("gpt-4o-mini", None, 2833 + 8 * 5667),
        ("gpt-5", "high", 70 + 8 * 140),
        ("o3", None, 75 + 8 * 150),
        ("gpt-4.1-mini", None, 2489),
        ("gpt-4.1-mini", "low", 2489),
        ("gpt-5-nano", None, 3779),
        ("o4-mini-2025-04-16", None, 2642),
    ],
)
def test_image_of_openais_is_bounded_by_its_familys_maximum(
    model: str, detail: str | None, tokens: int
) -> None:
    assert openai_image_tokens(model, "openai", detail) == tokens


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o-audio-preview", "openai"),
        ("gpt-9", "openai"),
        ("o3-mini", "openai"),
        ("gpt-4o", "mistral"),
        ("mistral/gpt-4o", "openrouter"),
        ("pixtral-large", "mistral"),
    ],
)
def test_image_for_a_model_whose_rule_is_not_known_is_refused(model: str, provider: str) -> None:
    with pytest.raises(NotBounded, match=model):
        openai_image_tokens(model, provider)


def test_image_through_a_gateway_that_names_openai_is_openais() -> None:
    assert openai_image_tokens("openai/gpt-4o", "openrouter") == 1445


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-3-haiku-20240307", CLAUDE_TOKENS),
        ("claude-3-5-sonnet-latest", CLAUDE_TOKENS),
        ("claude-opus-4-1-20250805", CLAUDE_TOKENS),
        ("claude-sonnet-4-20250514", CLAUDE_TOKENS),
        ("claude-haiku-4-5", CLAUDE_TOKENS),
        ("claude-opus-4-6", CLAUDE_TOKENS),
        ("claude-opus-4-7", CLAUDE_HIGH_RESOLUTION_TOKENS),
        ("claude-next", CLAUDE_HIGH_RESOLUTION_TOKENS),
    ],
)
def test_image_of_anthropics_is_bounded_by_its_resolution(model: str, tokens: int) -> None:
    assert claude_image_tokens(model) == tokens


def test_image_for_a_model_that_is_not_anthropics_is_refused() -> None:
    with pytest.raises(NotBounded, match="deepseek-chat"):
        claude_image_tokens("deepseek-chat")
