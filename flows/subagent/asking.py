"""One answer of a model, or of the next of its fallbacks when it fails."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefect_governor.blocks.context.scope import kept_only, one_answer
from prefect_governor.blocks.errors import CallRefused, OverBudget
from prefect_governor.blocks.machine.text import storable_value
from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.blocks.models.completion import acompletion
from prefect_governor.blocks.models.failures import failure_of, worth_another_model
from prefect_governor.blocks.models.fallback import models_to_ask


async def ask_model(
    model: ModelChoice,
    messages: Sequence[Mapping[str, Any]],
    *,
    max_tokens: int | None = None,
    fell_back: Callable[[], None] = lambda: None,
    **options: Any,
) -> Any:
    """LiteLLM's reply: of the model, of the next of its fallbacks when one fails, or of the cheaper
    of them alone where the governor falls back, of which `fell_back` is told.

    `max_tokens` defaults to the model's own; `options` are LiteLLM's (`response_format`, `tools`).

    Raises CallRefused and the provider's own errors as they come.
    """
    options["max_tokens"] = max_tokens or model.max_output_tokens
    options["timeout"] = model.timeout_seconds
    if model.api_base is not None:
        options["api_base"] = model.api_base
    if model.api_key is not None:
        options["api_key"] = model.api_key.get_secret_value()
    if model.allow_untested_provider:
        options["allow_untested_provider"] = True
    # What a model wrote goes to others; half a character cannot be sent.
    messages = storable_value(messages)
    with one_answer():
        reply = await _kept(messages, options, model.names) if len(model.names) > 1 else None
        if reply is None:
            reply = await _affordable_answer(model, messages, options, fell_back)
        return reply


async def _kept(
    messages: Sequence[Mapping[str, Any]], options: dict[str, Any], names: tuple[str, ...]
) -> Any:
    """The reply that one of the models gave before, None where none did: what a fallback answered
    is not asked of the first model again."""
    with kept_only():
        for name in names:
            try:
                return await acompletion(name, messages, **options)
            except Exception:
                # NotKept, or what the call itself will say.
                continue
    return None


async def _affordable_answer(
    model: ModelChoice,
    messages: Sequence[Mapping[str, Any]],
    options: dict[str, Any],
    fell_back: Callable[[], None],
) -> Any:
    """The answer of the model's names, or of the cheaper ones where the governor falls back."""
    names = models_to_ask(model.names, price_of=model.price_of)
    try:
        reply = await _first_answer(messages, options, names)
    except OverBudget:
        cheaper = models_to_ask(model.names, price_of=model.price_of, refused=True)
        if cheaper == names:
            raise
        names = cheaper
        reply = await _first_answer(messages, options, names)
    if names != model.names:
        fell_back()
    return reply


async def _first_answer(
    messages: Sequence[Mapping[str, Any]], options: dict[str, Any], names: tuple[str, ...]
) -> Any:
    failures: list[Exception] = []
    for name in names:
        try:
            return await acompletion(name, messages, **options)
        except CallRefused:
            raise
        except Exception as error:
            if not worth_another_model(error):
                raise
            failures.append(error)
    raise failure_of(failures)
