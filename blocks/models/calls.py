"""What all calls through LiteLLM have in common: what is refused, one layer of retries, and that
the request came through our transport."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from prefect_governor.blocks.context.governing import Governing
from prefect_governor.blocks.context.scope import Scope, current_scope, scope
from prefect_governor.blocks.errors import ConfigurationError, NotGoverned, governor_error
from prefect_governor.blocks.machine.text import labels
from prefect_governor.blocks.models.clients import (
    Heard,
    answers_heard,
    requests_seen,
)
from prefect_governor.blocks.models.library.module import litellm
from prefect_governor.blocks.models.openai_clients import Wanted
from prefect_governor.blocks.prices.prices import load_price
from prefect_governor.blocks.records.accepted import Accepted, accepted
from prefect_governor.blocks.secrets.exits import learn, learn_named
from prefect_governor.blocks.wire.exchange import OUTSIDE

# Arguments of LiteLLM that send, answer or choose beside the governor, and what to do instead.
REFUSED_ARGUMENTS = {
    "client": "the governor brings its own; use governor.http_client() with an SDK of your own",
    "shared_session": "the governor brings its own client",
    "custom_llm_provider": "name the provider in the model: provider/model",
    "fallbacks": "give them in the Model block, where each is admitted anew",
    "context_window_fallback_dict": "give fallbacks in the Model block",
    "model_list": "call one model at a time",
    "mock_response": "nothing is called, so there is nothing to govern",
    "mock_tool_calls": "nothing is called, so there is nothing to govern",
    "mock_timeout": "nothing is called, so there is nothing to govern",
    "caching": "replies are kept by the governor",
    "cache": "replies are kept by the governor",
    "deployment_id": "name the deployment in the model: azure/<deployment>",
    "aws_bedrock_client": "give its credentials as aws_access_key_id, aws_secret_access_key and "
    "aws_session_token",
}
# One layer retries, and it is not LiteLLM's.
_NEUTRALISED = ("num_retries", "max_retries", "retry_strategy", "retry_policy")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that LiteLLM may be asked for: its name of the model, whose client, what to pass."""

    model: str
    wanted: Wanted
    # A key may be among them.
    arguments: dict[str, Any] = field(repr=False)
    accepted: Accepted


@dataclass(frozen=True, slots=True)
class Given:
    """What a caller gave, apart: the address, the key, what they take upon them, and the rest of it
    for LiteLLM."""

    api_base: str | None
    api_key: str | None = field(repr=False)
    arguments: dict[str, Any] = field(repr=False)
    accepted: Accepted


def check_governed(kwargs: dict[str, Any]) -> None:
    """Raises NotGoverned outside any governor and for an argument that would pass by it, before
    LiteLLM is waited for."""
    if current_scope.get() is None:
        raise NotGoverned(OUTSIDE)
    for name, instead in REFUSED_ARGUMENTS.items():
        if kwargs.get(name) is not None and kwargs[name] is not False:
            raise NotGoverned(f"`{name}` would pass by the governor: {instead}")


def taken(kwargs: dict[str, Any]) -> Given:
    """The arguments of a call that `check_governed` lets through, with LiteLLM's own retries and
    caches off.

    Raises ConfigurationError where LiteLLM was told, for all calls, to try again by itself.
    """
    arguments = {
        name: value
        for name, value in kwargs.items()
        if name not in _NEUTRALISED and name not in REFUSED_ARGUMENTS
    }
    learn_named(kwargs)
    api_base = arguments.pop("base_url", None) or arguments.pop("api_base", None)
    api_key = arguments.pop("api_key", None)
    arguments.pop("api_base", None)
    if hasattr(api_key, "get_secret_value"):
        api_key = api_key.get_secret_value()
        learn(api_key)
    _one_layer_retries()
    arguments |= {
        "max_retries": 0,
        "num_retries": 0,
        # A cache that is set up globally would answer in our place.
        "caching": False,
    }
    return Given(api_base, api_key, arguments, _accepted(arguments))


def _accepted(arguments: dict[str, Any]) -> Accepted:
    """What a caller takes upon them, which LiteLLM knows nothing of."""
    fields, unseen = arguments.pop("allow_fields", None) or (), arguments.pop("unseen", None)
    # Where the caller sets no limit, LiteLLM sets one for some providers.
    limits = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    no_limit = all(arguments.get(name) is None for name in limits)
    return accepted(fields, unseen, no_limit=no_limit)


@contextmanager
def accepting(what: Accepted, tags: Sequence[str] = ()) -> Iterator[None]:
    """The caller of the calls made inside takes this upon them; `tags` are added to those of the
    context."""
    here = current_scope.get()
    if here is None:
        raise NotGoverned(OUTSIDE)
    also = tuple(sorted({*here.tags, *labels(tags, "tags")}))
    with scope(replace(here, accepted=here.accepted.also(what), tags=also)):
        yield


def check_mode(model: str, modes: tuple[str | None, ...], instead: str) -> None:
    """Raises NotGoverned for a model that is known to be for something else."""
    known = load_price(model)
    if known is not None and known.mode not in modes:
        raise NotGoverned(f"{model!r} is a model for {known.mode}, {instead}")


def _one_layer_retries() -> None:
    """Raises ConfigurationError where LiteLLM was told, for all calls, to try again by itself."""
    library = litellm()
    for name in ("num_retries", "num_retries_per_request", "model_fallbacks"):
        if getattr(library, name, None):
            raise ConfigurationError(
                f"litellm.{name} is set, so LiteLLM would call again by itself; set it to None: "
                "retries and fallbacks are the governor's, each admitted anew"
            )


@contextmanager
def under(governing: Governing, tags: Sequence[str]) -> Iterator[Scope]:
    """The code inside runs under this governor, whatever the context's is; `tags` are added to
    those of the context."""
    here = current_scope.get()
    within = Scope(governing) if here is None else replace(here, governor=governing)
    with scope(
        replace(within, tags=tuple(sorted({*within.tags, *labels(tags, "tags")})))
    ) as entered:
        yield entered


@contextmanager
def watched() -> Iterator[list[str]]:
    """The paths of the requests that come through our transport inside."""
    seen: list[str] = []
    token = requests_seen.set(seen)
    try:
        yield seen
    finally:
        requests_seen.reset(token)


@contextmanager
def listening() -> Iterator[list[Heard]]:
    """How the answers of whole replies ended that come through our transport inside."""
    heard: list[Heard] = []
    token = answers_heard.set(heard)
    try:
        yield heard
    finally:
        answers_heard.reset(token)


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raises our own error where LiteLLM and the SDK wrapped it in theirs."""
    try:
        yield
    except Exception as error:
        ours = governor_error(error)
        if ours is None or ours is error:
            raise
        raise ours from None


def came_through(reply: Any, seen: list[str], model: str) -> Any:
    """The reply, if a request for it came through our transport."""
    if not seen:
        raise NotGoverned(
            f"LiteLLM answered for {model!r} without sending through the governor. What that cost "
            "is not counted; this version of LiteLLM cannot be used with it"
        )
    return reply
