"""One answer of a model, or of the next of its fallbacks when it fails."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from prefect_governor.blocks.context.scope import asked_anew, current_scope, kept_only, one_answer
from prefect_governor.blocks.errors import BadAnswer, CallRefused, ConfigurationError, OverBudget
from prefect_governor.blocks.machine.text import storable_value
from prefect_governor.blocks.models.calls import listening
from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.blocks.models.completion import acompletion
from prefect_governor.blocks.models.failures import failure_of, worth_another_model
from prefect_governor.blocks.models.fallback import models_to_ask
from prefect_governor.blocks.models.library.module import litellm_off_loop
from prefect_governor.blocks.secrets.exits import scrubbed, scrubbed_value
from prefect_governor.blocks.wire.replies.endings import Ending
from prefect_governor.flows.subagent.structured import shaped, told
from prefect_governor.flows.subagent.verdicts import accepted, bad_answer

T = TypeVar("T")
Messages = Sequence[Mapping[str, Any]]
FINE = Ending("fine")


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model answered.

    Attributes:
        text: its words; empty where it only calls tools.
        calls: of tools: (id, tool's name, arguments as JSON text).
        tokens: billed for it, input and output.
        ending: how it ended.
        note: what is to be said of one that is taken though it did not end well.
        kept: it was paid for in an earlier attempt of the run.
    """

    text: str
    calls: tuple[tuple[str, str, str], ...] = ()
    tokens: int = 0
    ending: Ending = FINE
    note: str | None = None
    kept: bool = False


async def ask_model(
    model: ModelChoice,
    messages: Messages,
    *,
    max_tokens: int | None = None,
    fell_back: Callable[[], None] = lambda: None,
    accept: Collection[str] = (),
    unusable: Callable[[str], bool] = lambda text: False,
    **options: Any,
) -> ModelAnswer:
    """The answer of the model, of the next of its fallbacks when one fails, or of the cheaper of
    them alone where the governor falls back, of which `fell_back` is told.

    `max_tokens` defaults to the model's own; `accept` holds the kinds of endings that are taken as
    they are (`cut`); `options` are LiteLLM's (`response_format`, `tools`). Where the scope says
    `retry_failed`, a kept answer in words that are `unusable` is asked for again.

    Raises BadAnswer for an answer that did not end well; CallRefused and the provider's own errors
    as they come.
    """
    options["max_tokens"] = most = max_tokens or model.max_output_tokens
    options["timeout"] = model.timeout_seconds
    if model.api_base is not None:
        options["api_base"] = model.api_base
    if model.api_key is not None:
        options["api_key"] = model.api_key.get_secret_value()
    if model.unseen != "refuse":
        options["unseen"] = model.unseen
    if model.allow_untested_provider:
        options["allow_untested_provider"] = True
    # What a model wrote goes to others; half a character cannot be sent, and a key is not.
    messages = scrubbed_value(storable_value(messages))
    here = current_scope.get()
    with one_answer():
        answer = await _kept(messages, options, model.names) if len(model.names) > 1 else None
        if answer is None:
            answer = await _affordable_answer(model, messages, options, fell_back)
        anew = answer.kept and not answer.calls and here is not None and here.retry_failed
        if anew and unusable(answer.text):
            # At the same place: the new answer is kept where the bad one was.
            with asked_anew():
                answer = await _affordable_answer(model, messages, options, fell_back)
    note = accepted(
        answer.ending, accept=accept, has_words=bool(answer.text.strip()), most_tokens=most
    )
    return replace(answer, note=note)


async def ask_to_read(
    model: ModelChoice,
    messages: Sequence[dict[str, Any]],
    *,
    read: Callable[[str], T],
    repair: Callable[[Sequence[dict[str, Any]], str, str], list[dict[str, Any]]],
    wrong: str,
    accept: Collection[str] = (),
    **options: Any,
) -> tuple[T, ModelAnswer]:
    """An answer as `read` reads it. What it cannot read goes back once, with what is wrong with it:
    `repair` makes the messages. One that did not end by itself does not go back: it would end there
    again.

    Raises BadAnswer; its words begin with `wrong` where the second answer cannot be read either.
    """

    unusable = unreadable_by(read)
    answer = await ask_model(model, messages, accept=accept, unusable=unusable, **options)

    async def again(repaired: Sequence[dict[str, Any]]) -> ModelAnswer:
        return await ask_model(model, repaired, accept=accept, unusable=unusable, **options)

    return await read_or_repair(
        answer,
        messages,
        again,
        read=read,
        repair=repair,
        wrong=wrong,
        most_tokens=options.get("max_tokens") or model.max_output_tokens,
    )


async def read_or_repair(
    answer: ModelAnswer,
    messages: Sequence[dict[str, Any]],
    again: Callable[[Sequence[dict[str, Any]]], Awaitable[ModelAnswer]],
    *,
    read: Callable[[str], T],
    repair: Callable[[Sequence[dict[str, Any]], str, str], list[dict[str, Any]]],
    wrong: str,
    most_tokens: int,
) -> tuple[T, ModelAnswer]:
    """`ask_to_read` of an answer that is there, to `messages`; `again` asks for the repaired one.
    `most_tokens` is what the answer was allowed."""
    try:
        return read(answer.text), answer
    except (ValueError, ConfigurationError) as problems:
        if answer.note is not None:
            raise bad_answer(answer.ending, most_tokens=most_tokens) from None
        repaired = repair(messages, answer.text, str(problems))
    answer = await again(repaired)
    try:
        return read(answer.text), answer
    except (ValueError, ConfigurationError) as problems:
        raise BadAnswer("schema", f"{wrong}, after a repair: {problems}") from None


def unreadable_by(read: Callable[[str], Any]) -> Callable[[str], bool]:
    """Whether a text is nothing that `read` can read."""

    def unusable(text: str) -> bool:
        try:
            read(text)
        except (ValueError, ConfigurationError):
            return True
        return False

    return unusable


async def _kept(
    messages: Messages, options: dict[str, Any], names: tuple[str, ...]
) -> ModelAnswer | None:
    """The answer that one of the models gave before, None where none did: what a fallback answered
    is not asked of the first model again."""
    with kept_only():
        for name in names:
            try:
                return await _answer(name, messages, options)
            except Exception:
                # NotKept, or what the call itself will say.
                continue
    return None


async def _affordable_answer(
    model: ModelChoice,
    messages: Messages,
    options: dict[str, Any],
    fell_back: Callable[[], None],
) -> ModelAnswer:
    """The answer of the model's names, or of the cheaper ones where the governor falls back."""
    names = models_to_ask(model.names, price_of=model.price_of)
    try:
        answer = await _first_answer(messages, options, names)
    except OverBudget:
        cheaper = models_to_ask(model.names, price_of=model.price_of, refused=True)
        if cheaper == names:
            raise
        names = cheaper
        answer = await _first_answer(messages, options, names)
    if names != model.names:
        fell_back()
    return answer


async def _first_answer(
    messages: Messages, options: dict[str, Any], names: tuple[str, ...]
) -> ModelAnswer:
    failures: list[Exception] = []
    for name in names:
        try:
            return await _answer(name, messages, options)
        except CallRefused:
            raise
        except Exception as error:
            if not worth_another_model(error):
                raise
            failures.append(error)
    raise failure_of(failures)


def _refusal(message: Any) -> str | None:
    """What OpenAI's models say in place of an answer, wherever LiteLLM has it."""
    beside = getattr(message, "provider_specific_fields", None) or {}
    return getattr(message, "refusal", None) or beside.get("refusal")


async def _answer(name: str, messages: Messages, options: dict[str, Any]) -> ModelAnswer:
    """One model's. How it ended is what the provider's reply says, not what LiteLLM makes of it."""
    # What a model has is asked of LiteLLM, which the loop must not stand still for.
    await litellm_off_loop()
    options = shaped(name, options)
    with listening() as heard:
        try:
            reply = await acompletion(name, messages, **options)
        except Exception:
            if not heard or heard[-1].ending.kind == "fine":
                raise
            # LiteLLM cannot make an answer of it, and there is none.
            return ModelAnswer("", ending=heard[-1].ending, kept=heard[-1].kept)
    message = reply.choices[0].message
    calls = tuple(
        (call.id, call.function.name, scrubbed(call.function.arguments or ""))
        for call in message.tool_calls or ()
    )
    text = scrubbed(str(message.content or _refusal(message) or ""))
    if (answer := told(calls, options)) is not None:
        text, calls = answer, ()
    tokens = getattr(getattr(reply, "usage", None), "total_tokens", 0) or 0
    if not heard:
        says = bool(calls or text.strip())
        return ModelAnswer(text, calls, tokens, FINE if says else Ending("empty"))
    return ModelAnswer(text, calls, tokens, heard[-1].ending, kept=heard[-1].kept)
