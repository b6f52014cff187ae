"""A limit as people write it: which calls it counts, and what the ledger makes of it."""

from typing import Any

import pytest
from pydantic import ValidationError

from prefect_governor.blocks.records.limits import LimitRecord, Rate
from prefect_governor.blocks.terms.budget import BudgetTerms
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.blocks.terms.model import ModelTerms


@pytest.mark.parametrize(
    ("limit", "tags", "model", "applies"),
    [
        (Limit(), (), "openai/gpt-4o", True),
        (Limit(tag="llm"), ("llm", "x"), "openai/gpt-4o", True),
        (Limit(tag="llm"), ("x",), "openai/gpt-4o", False),
        (Limit(tag="llm"), (), "openai/gpt-4o", False),
        (Limit(model="openai/*"), (), "openai/gpt-4o", True),
        (Limit(model="gpt-4o"), (), "openai/gpt-4o", True),
        (Limit(model="gpt-4o"), (), "gpt-4o", True),
        (Limit(model="gpt-4o"), (), "openai/gpt-4o-mini", False),
        (Limit(model="anthropic/*"), (), "openai/gpt-4o", False),
        (Limit(model="*/llama*"), (), "openrouter/meta/llama-3", True),
        (Limit(tag="llm", model="openai/*"), ("llm",), "openai/gpt-4o", True),
        (Limit(tag="llm", model="openai/*"), ("llm",), "groq/gpt", False),
    ],
)
def test_counts_the_calls_that_its_tag_and_pattern_select(
    limit: Limit, tags: tuple[str, ...], model: str, applies: bool
) -> None:
    assert limit.applies_to(tags=tags, model=model) is applies


@pytest.mark.parametrize("empty", ["", "  "])
def test_field_that_the_form_leaves_empty_is_none(empty: str) -> None:
    """A pattern of nothing would match no model: a limit that holds nobody back."""
    limit = Limit(model=empty, max_concurrent=1)
    assert limit == Limit(max_concurrent=1)
    assert limit.applies_to(tags=("x",), model="openai/gpt-4o")
    assert BudgetTerms(max_usd=1, parent=empty).parent is None
    with pytest.raises(ValidationError, match="needs a ceiling"):
        BudgetTerms(parent=empty)
    document = {"name": "m", "api_base": empty, "api_key": empty, "fallbacks": [empty, "a"]}
    model = ModelTerms.model_validate(document)
    assert (model.api_base, model.api_key, model.fallbacks) == (None, None, ["a"])


def test_names_tell_limits_of_one_governor_apart() -> None:
    limits = [
        Limit(),
        Limit(tag="llm"),
        Limit(model="openai/*"),
        Limit(tag="llm", model="openai/*"),
    ]
    assert len({limit.name for limit in limits}) == 4


def test_every_rate_reaches_the_ledger() -> None:
    limit = Limit(
        tag="llm",
        max_concurrent=7,
        requests_per_second=9,
        requests_per_minute=1,
        tokens_per_minute=2,
        input_tokens_per_minute=3,
        output_tokens_per_minute=4,
        requests_per_day=5,
        tokens_per_day=6,
    )
    assert limit.terms("key", leased=True) == LimitRecord(
        "key",
        "llm",
        7,
        (
            Rate("requests", 9, 1),
            Rate("requests", 1, 60),
            Rate("tokens", 2, 60),
            Rate("input_tokens", 3, 60),
            Rate("output_tokens", 4, 60),
            Rate("requests", 5, 86_400),
            Rate("tokens", 6, 86_400),
        ),
        True,
    )


def test_limit_without_slots_is_never_leased_or_its_calls_would_wait_for_ever() -> None:
    assert not Limit(requests_per_minute=5).terms("key", leased=True).leased


@pytest.mark.parametrize(
    "fields",
    [
        {"max_concurrent": 0},
        {"max_concurrent": -1},
        {"max_concurrent": True, "tag": 3},
        {"requests_per_minute": 0},
        {"tokens_per_minute": 1.5},
        {"tag": "a/b"},
        {"tag": "100%"},
        {"tag": ""},
        {"tag": "  "},
        {"share_with": "  ", "max_concurrent": 3},
        {"share_with": "a>b", "max_concurrent": 3},
        {"share_with": "shared"},
        {"reserve_for_others": 2},
        {"reserve_for_others": -1, "max_concurrent": 3},
        {"reserve_for_others": 3, "max_concurrent": 3},
        {"max_concurent": 5},
    ],
)
def test_what_no_limit_can_mean_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Limit(**fields)


def test_reserve_may_be_as_large_as_the_cap_where_the_limit_is_anothers() -> None:
    # How many slots that has is Prefect's to say.
    limit = Limit(max_concurrent=2, share_with="shared", reserve_for_others=4)
    assert limit.reserve_for_others == 4
