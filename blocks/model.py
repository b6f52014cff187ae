"""The Model block: a model as LiteLLM names it, with how to reach it and what it costs."""

from dataclasses import replace
from typing import ClassVar
from urllib.parse import urlsplit

from prefect.blocks.core import Block

from prefect_governor.blocks.documents.documents import load_block
from prefect_governor.blocks.governor import load_governor
from prefect_governor.blocks.models.choice import AUTO, BLOCK, ModelChoice, first_there, named
from prefect_governor.blocks.prices.given import price_by
from prefect_governor.blocks.prices.own import own_price
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.terms.document import DOCUMENTATION_URL, TOLD_WHERE_WRONG
from prefect_governor.blocks.terms.model import ModelTerms
from prefect_governor.blocks.terms.price import given_prices


class Model(ModelTerms, Block):
    """A model to call through a governor.

    Example:
        ```python
        from prefect_governor import Model

        Model(name="openai/gpt-4o-mini", max_output_tokens=400).save("small")
        ```
    """

    _block_type_name = ModelTerms.block_type_name
    _block_type_slug = ModelTerms.block_type_slug
    _documentation_url = DOCUMENTATION_URL
    _description: ClassVar[str] = (
        f"A language model by its LiteLLM name, its key and its price. {TOLD_WHERE_WRONG}"
    )
    # The UI offers it to be pasted, with the block's name in place of BLOCK_NAME.
    _code_example: ClassVar[str] = """\
        ```python
        from prefect_governor import Model, fan_out

        model = Model.load("BLOCK_NAME")
        print(model.name)

        report = fan_out(["a text"], ask="What is it about?", model="block:BLOCK_NAME")
        ```
    """


def choose(
    name: str,
    *,
    max_output_tokens: int | None = None,
    timeout_seconds: float | None = None,
    governor: str | None = None,
) -> ModelChoice:
    """The model that a name means.

    Args:
        name: LiteLLM's name of a model, "auto", or "block:NAME" for a saved Model block.
        max_output_tokens: the most one answer may have; the block's or 1,024 where it is None.
        timeout_seconds: how long one request may take; the block's or 120 where it is None.
        governor: the name of the Governor block whose prices hold, after the Model block's.

    Raises ConfigurationError: no such block, no key, no price.
    """
    if name.startswith(BLOCK):
        choice = _from_block(name.removeprefix(BLOCK))
    elif name == AUTO:
        choice = first_there()
    else:
        choice = named(name, "as asked")
    choice = replace(
        choice,
        max_output_tokens=max_output_tokens or choice.max_output_tokens,
        timeout_seconds=timeout_seconds or choice.timeout_seconds,
        prices={**_prices_of(governor, choice), **choice.prices},
    )
    choice.check()
    return choice


def _prices_of(governor: str | None, choice: ModelChoice) -> dict[str, Price]:
    """What a governor says that the models cost, where they are reached."""
    prices = {} if governor is None else given_prices(load_governor(governor).prices)
    found: dict[str, Price] = {}
    for name in choice.names if prices else ():
        host = urlsplit(choice.reached_at(name) or "").hostname or ""
        if (price := own_price(prices, name, host=host)) is not None:
            found[name] = price
    return found


def _from_block(name: str) -> ModelChoice:
    block: Model = load_block(Model, name)
    price = {} if block.price is None else {block.name: price_by(block.price.given(), block.name)}
    return ModelChoice(
        block.name,
        f"Model block {name!r}",
        fallbacks=tuple(block.fallbacks),
        api_base=block.api_base,
        api_key=block.api_key,
        max_output_tokens=block.max_output_tokens,
        timeout_seconds=block.timeout_seconds,
        prices=price,
        allow_untested_provider=block.allow_untested_provider,
        unseen=block.unseen,
    )
