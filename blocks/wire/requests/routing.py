"""What a request to OpenRouter says of who may answer it, and the most that this may cost. Pure.

OpenRouter sends a request on to one of several providers, and to one of several models where it
names them, at prices that differ. It never sends it to one that costs more than
`provider.max_price` says (openrouter.ai/docs/guides/routing/provider-selection): so each request
is given one, its caller's own or the price that is known, and that is its price. Long contexts and
caches may cost a multiple of what a provider names as its price, and are bounded by the dearest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import reduce
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.money.usd import EXACT, plain_number
from prefect_governor.blocks.prices.given import Given
from prefect_governor.blocks.prices.prices import MILLION
from prefect_governor.blocks.prices.tariffs import ZERO, Price

PROVIDER = "openrouter"
# Who brought a key of their own to a model's provider pays that provider, and OpenRouter a
# twentieth of it (openrouter.ai/announcements/1-million-free-byok-requests-per-month). A request
# does not say whose key it goes by.
OWN_KEY = Decimal("1.05")
# Fields that choose who answers, or shorten the prompt: no dialect need know them.
FIELDS = frozenset({"provider", "models", "route", "transforms", "plugins"})
# Of the field `provider`: whom it may be sent to, and in which order.
_PREFERENCES = frozenset(
    {"order", "only", "ignore", "allow_fallbacks", "require_parameters", "data_collection", "zdr",
     "enforce_distillable_text", "quantizations", "sort", "preferred_min_throughput",
     "preferred_max_latency", "max_price"}
)  # fmt: skip
# What takes a part of the prompt away (openrouter.ai/docs/guides/features/message-transforms).
_SHORTENING = frozenset({"middle-out"})
_SHORTENING_PLUGINS = frozenset({"context-compression"})
# Named by the model: a search that reads pages, and settings that stand on the server.
_ONLINE = ":online"
_PRESET = "@preset/"


@dataclass(frozen=True, slots=True)
class Routing:
    """Who may answer: models, the first first. What the caller says that it may cost at most, in
    USD a token, a request, an image; None where they do not."""

    models: tuple[str, ...]
    prompt: Decimal | None = None
    completion: Decimal | None = None
    request: Decimal | None = None
    image: Decimal | None = None


def read_routing(model: str, fields: Mapping[str, Any]) -> Routing:
    """Raises NotBounded, naming what has no bound."""
    others = fields.get("models")
    if others is not None and not _texts(others):
        raise NotBounded("`models` must be a list of models' names")
    models = tuple(dict.fromkeys([model, *(others or ())]))
    for each in models:
        if each.endswith(_ONLINE) or _PRESET in each:
            raise NotBounded(
                f"{each!r} has no bound: a search is billed beside the tokens, and a preset says on"
                " the server what is asked. Name the model alone"
            )
    if fields.get("route") not in (None, "fallback"):
        raise NotBounded("`route` is known as 'fallback' alone. Leave it out of the request")
    transforms = fields.get("transforms")
    if transforms is not None and not (_texts(transforms) and _SHORTENING.issuperset(transforms)):
        raise NotBounded(f"`transforms` are known as {', '.join(sorted(_SHORTENING))} alone")
    _check_plugins(fields.get("plugins"))
    return replace(_most(fields.get("provider")), models=models)


def routed(
    model: str, fields: Mapping[str, Any], price_of: Callable[[str], Price | None]
) -> tuple[dict[str, Any], Price] | None:
    """The request's fields with the most that it may cost, and this as its price: what the caller
    lets it cost, else the dearest that is known of its models. None where neither is known.

    Raises NotBounded, naming what has no bound.
    """
    routing = read_routing(model, fields)
    price = _price(routing, [price_of(each) for each in routing.models])
    if price is None:
        return None
    images = _images(fields)
    if images and len(routing.models) > 1:
        raise NotBounded(
            "an image has no bound for several models, which count it each by a rule of its own."
            " Name one model, or send what the image shows as text"
        )
    preferences = fields.get("provider") or {}
    most = {
        **(preferences.get("max_price") or {}),
        "prompt": plain_number(EXACT.multiply(price.input, MILLION)),
        "completion": plain_number(EXACT.multiply(price.output, MILLION)),
        "request": plain_number(price.request_fee),
    }
    pictures = EXACT.multiply(routing.image or ZERO, Decimal(images))
    fee = EXACT.multiply(EXACT.add(price.request_fee, pictures), OWN_KEY)
    return (
        {**fields, "provider": {**preferences, "max_price": most}},
        replace(price.at(OWN_KEY), request_fee=fee),
    )


def _price(routing: Routing, prices: Sequence[Price | None]) -> Price | None:
    known = [each for each in prices if each is not None]
    base = reduce(Price.dearest, known) if known and len(known) == len(prices) else None
    prompt = base.input if routing.prompt is None and base is not None else routing.prompt
    output = base.output if routing.completion is None and base is not None else routing.completion
    if prompt is None or output is None:
        return None
    price = base
    if price is None or (prompt, output) != (price.input, price.output):
        fee = ZERO if base is None else base.request_fee
        price = Given(input=prompt, output=output, request_fee=fee).price(base)
    fee = price.request_fee if routing.request is None else routing.request
    return replace(price, provider=PROVIDER, request_fee=fee)


def _images(fields: Mapping[str, Any]) -> int:
    """How many images a request holds."""
    messages = fields.get("messages") or fields.get("input")
    contents = [
        each.get("content")
        for each in (messages if isinstance(messages, list) else ())
        if isinstance(each, dict)
    ]
    return sum(
        isinstance(part, dict) and part.get("type") in ("image_url", "input_image")
        for content in contents
        for part in (content if isinstance(content, list) else ())
    )


def _most(preferences: Any) -> Routing:
    """What `provider.max_price` says: USD a million tokens, a request, an image."""
    if preferences is None:
        return Routing(())
    if not isinstance(preferences, dict):
        raise NotBounded("`provider` must be an object that says who may answer")
    if unknown := preferences.keys() - _PREFERENCES:
        raise NotBounded(
            f"`provider.{sorted(unknown)[0]}` is nothing whose cost is known here, so the call has"
            " no bound. Leave it out of the request"
        )
    most = preferences.get("max_price")
    if most is None:
        return Routing(())
    if not isinstance(most, dict) or most.keys() - {"prompt", "completion", "request", "image"}:
        raise NotBounded(
            "`provider.max_price` must be an object of prompt, completion (USD per million tokens),"
            " request and image (USD each)"
        )
    prompt, completion = _amount(most, "prompt"), _amount(most, "completion")
    return Routing(
        (),
        None if prompt is None else EXACT.divide(prompt, MILLION),
        None if completion is None else EXACT.divide(completion, MILLION),
        _amount(most, "request"),
        _amount(most, "image"),
    )


def _amount(most: Mapping[str, Any], name: str) -> Decimal | None:
    value = most.get(name)
    if value is None:
        return None
    try:
        amount = Decimal("NaN") if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise NotBounded(f"`provider.max_price.{name}` must be an amount in USD, not {value!r}")
    return amount


def _check_plugins(plugins: Any) -> None:
    if plugins is None:
        return
    names = [each.get("id") if isinstance(each, dict) else None for each in _list(plugins)]
    for name in names:
        if name not in _SHORTENING_PLUGINS:
            raise NotBounded(
                f"the plugin {name!r} has no bound: a plugin is billed beside the tokens (known:"
                f" {', '.join(sorted(_SHORTENING_PLUGINS))}). Leave it out of the request"
            )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)
