"""What saved Model blocks say of prices: of their own model, at their own host, or why not."""

from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import BlockDocument

from prefect_governor import NotPriced
from prefect_governor.blocks.documents.saved_models import prices_of
from prefect_governor.blocks.prices.own import SavedPrices
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.terms.model import ModelTerms
from prefect_governor.blocks.terms.price import parse_prices
from tests.unit.blocks.work.test_runtime import runtime

HOST = "api.openai.com"
MODEL = "openai/mine"


def price(dollars: Any) -> dict[str, Any]:
    return {"input_usd_per_million_tokens": dollars, "output_usd_per_million_tokens": dollars}


def blocks(**data: dict[str, Any]) -> SavedPrices:
    return prices_of(
        [
            BlockDocument(
                name=name,
                data=fields,
                block_schema_id=uuid4(),
                block_type_id=uuid4(),
                block_type_name="Governor Model",
            )
            for name, fields in data.items()
        ]
    )


def dollars(found: Price | str | None) -> Any:
    return found.input * 10**6 if isinstance(found, Price) else found


def test_a_models_block_states_its_price_for_every_call_of_it() -> None:
    saved = blocks(
        mine={"name": MODEL, "price": price(3)}, other={"name": "openai/other"}, bare={
            "name": "gpt-9", "price": price(4)
        }
    )  # fmt: skip
    assert dollars(saved.find(MODEL, host=HOST)) == 3
    assert dollars(saved.find("openai/gpt-9", host=HOST)) == 4
    assert saved.find("openai/other", host=HOST) is None


def test_a_price_at_an_api_base_is_that_of_its_host_alone() -> None:
    """The same name at the provider itself costs what the provider asks."""
    saved = blocks(
        gateway={
            "name": "openai/gpt-4o-mini", "api_base": "http://gateway:4000/v1", "price": price(2)
        }
    )  # fmt: skip
    assert dollars(saved.find("openai/gpt-4o-mini", host="gateway")) == 2
    assert saved.find("openai/gpt-4o-mini", host=HOST) is None


def test_blocks_that_disagree_leave_their_model_unpriced_and_say_which_they_are() -> None:
    saved = blocks(
        one={"name": MODEL, "price": price(3)},
        two={"name": MODEL, "price": price(4)},
        three={"name": "openai/fine", "price": price(5)},
    )
    said = saved.find(MODEL, host=HOST)
    assert isinstance(said, str)
    assert "'one'" in said
    assert "'two'" in said
    assert dollars(saved.find("openai/fine", host=HOST)) == 5
    agreed = blocks(one={"name": MODEL, "price": price(3)}, two={"name": MODEL, "price": price(3)})
    assert dollars(agreed.find(MODEL, host=HOST)) == 3


@pytest.mark.parametrize("wrong", [price(-1), price(0), {"cost": 1}, "cheap"])
def test_a_block_that_is_not_valid_refuses_its_own_model_and_no_other(wrong: Any) -> None:
    saved = blocks(
        wrong={"name": MODEL, "price": wrong}, fine={"name": "openai/fine", "price": price(5)}
    )
    made, _, _ = runtime(saved_prices=saved)
    with pytest.raises(NotPriced, match=r"block 'wrong', the prices are not valid: openai/mine"):
        made.price_of(MODEL, host=HOST)
    found = made.price_of("openai/fine", host=HOST)
    assert found is not None
    assert found.input * 10**6 == 5


@pytest.mark.parametrize("empty", [None, {}, {"free": False, "context_tiers": []}])
def test_a_price_that_the_form_leaves_empty_is_none_and_what_else_is_wrong_is_not_asked(
    empty: Any,
) -> None:
    assert blocks(one={"name": MODEL, "price": empty}).by_place == {}
    assert ModelTerms.model_validate({"name": MODEL, "price": empty}).price is None
    wrong = {"name": MODEL, "price": price(3), "timeout_seconds": -1, "api_base": "http://[::1"}
    assert dollars(blocks(one=wrong).find(MODEL, host=HOST)) == 3


def test_the_governors_own_word_comes_before_a_blocks_and_the_runs_before_both() -> None:
    saved = blocks(mine={"name": MODEL, "price": price(3)})
    made, _, _ = runtime(saved_prices=saved, prices=parse_prices({MODEL: price(4)}))
    inner = made.narrowed(prices=parse_prices({MODEL: price(5)}))
    outer = made.narrowed()
    assert [dollars(each.price_of(MODEL, host=HOST)) for each in (made, outer, inner)] == [4, 4, 5]
    made.prices = {}
    made.changed()
    assert [dollars(each.price_of(MODEL, host=HOST)) for each in (made, outer, inner)] == [3, 3, 5]
    made.saved_prices = SavedPrices()
    made.changed()
    assert [each.price_of(MODEL, host=HOST) for each in (made, outer)] == [None, None]


def test_free_of_ones_own_machine_is_not_believed_of_a_public_host_and_says_what_to_do() -> None:
    made, _, _ = runtime(prices=parse_prices("free"))
    assert dollars(made.price_of("lm_studio/x", host="localhost")) == 0
    with pytest.raises(NotPriced, match=r"'api\.example\.com' is neither.*\{'openai/x': 'free'\}"):
        made.price_of("openai/x", host="api.example.com")
    listed = made.price_of("openai/gpt-4o-mini", host=HOST)
    assert listed is not None
    assert listed.input > 0
