"""OpenRouter's routes: the most that a request may cost stands in the request, and is its price."""

import json
from decimal import Decimal
from typing import Any, cast

import httpx
import pytest

from prefect_governor import NotBounded, NotPriced
from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.prices.given import Given
from prefect_governor.blocks.prices.prices import load_price, upstream_price
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.planning import planned
from prefect_governor.blocks.wire.ports import Terms
from prefect_governor.blocks.wire.requests.routing import OWN_KEY, routed
from prefect_governor.blocks.wire.reservation import Call
from tests.unit.fakes import FakeGoverning
from tests.unit.prices import priced

URL = "https://openrouter.ai/api/v1/chat/completions"
MINI = "openai/gpt-4o-mini"
CHEAP, DEAR = Decimal("0.000001"), Decimal("0.000009")


def flat(input: Decimal, output: Decimal) -> Price:
    return Given(input, output, cache_write=input, context=(), service=()).price()


def prices(model: str) -> Price | None:
    return {"cheap": flat(CHEAP, CHEAP), "dear": flat(CHEAP, DEAR)}.get(model)


def most(fields: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = fields["provider"]["max_price"]
    return found


# What a request says, and what it may then cost: USD a million tokens, a request.
CASES: list[tuple[str, dict[str, Any], tuple[Any, Any, Any] | None]] = [
    ("cheap", {}, (1, 1, 0)),
    ("dear", {}, (1, 9, 0)),
    # Whoever answers of them.
    ("cheap", {"models": ["dear"]}, (1, 9, 0)),
    ("cheap", {"models": ["cheap"], "route": "fallback"}, (1, 1, 0)),
    ("cheap", {"models": ["nobody-knows"]}, None),
    ("nobody-knows", {}, None),
    # The caller's own most: below what is known, above it, and where nothing is known.
    ("dear", {"provider": {"max_price": {"prompt": 0.5, "completion": 2}}}, (0.5, 2, 0)),
    ("cheap", {"provider": {"max_price": {"prompt": 5, "completion": "7"}}}, (5, 7, 0)),
    ("nobody-knows", {"provider": {"max_price": {"prompt": 5, "completion": 7}}}, (5, 7, 0)),
    (
        "cheap",
        {"models": ["nobody-knows"], "provider": {"max_price": {"prompt": 5, "completion": 7}}},
        (5, 7, 0),
    ),
    ("dear", {"provider": {"max_price": {"completion": 2}}}, (1, 2, 0)),
    ("nobody-knows", {"provider": {"max_price": {"completion": 2}}}, None),
    ("cheap", {"provider": {"max_price": {"request": 0.01}}}, (1, 1, 0.01)),
    ("free", {"provider": {"max_price": {"prompt": 0, "completion": 0}}}, (0, 0, 0)),
    # Whom it is sent to changes nothing of the most.
    (
        "cheap",
        {"provider": {"order": ["a"], "only": ["a"], "ignore": ["b"], "allow_fallbacks": False,
                      "sort": "throughput", "quantizations": ["fp8"], "zdr": True,
                      "data_collection": "deny", "require_parameters": True}},
        (1, 1, 0),
    ),
    ("cheap", {"transforms": ["middle-out"]}, (1, 1, 0)),
    ("cheap", {"transforms": []}, (1, 1, 0)),
    ("cheap", {"plugins": [{"id": "context-compression"}]}, (1, 1, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("model", "said", "expected"), CASES)
def test_a_request_may_cost_what_its_caller_says_or_what_is_known(
    model: str, said: dict[str, Any], expected: tuple[Any, Any, Any] | None
) -> None:
    found = routed(model, said, prices)
    if expected is None:
        assert found is None
        return
    assert found is not None
    fields, price = found
    assert tuple(most(fields)[name] for name in ("prompt", "completion", "request")) == expected
    # A twentieth more for whoever brings a key of their own.
    assert tuple(OWN_KEY * Decimal(str(each)) for each in expected) == (
        price.input * 10**6, price.output * 10**6, price.request_fee
    )  # fmt: skip
    for name, value in said.items():
        if name != "provider":
            assert fields[name] == value
    kept = {**said.get("provider", {})}
    kept.pop("max_price", None)
    assert {name: fields["provider"][name] for name in kept} == kept


@pytest.mark.parametrize(
    ("model", "said", "why"),
    [
        ("cheap:online", {}, "search"),
        ("cheap", {"models": ["dear:online"]}, "search"),
        ("@preset/mine", {}, "preset"),
        ("cheap", {"models": "dear"}, "`models`"),
        ("cheap", {"models": [7]}, "`models`"),
        ("cheap", {"route": "dearest"}, "`route`"),
        ("cheap", {"transforms": ["expand"]}, "`transforms`"),
        ("cheap", {"plugins": [{"id": "web"}]}, "plugin 'web'"),
        ("cheap", {"plugins": "web"}, "plugin"),
        ("cheap", {"provider": "openai"}, "`provider`"),
        ("cheap", {"provider": {"surcharge": 1}}, r"`provider\.surcharge`"),
        ("cheap", {"provider": {"max_price": 3}}, r"`provider\.max_price`"),
        ("cheap", {"provider": {"max_price": {"audio": 3}}}, r"`provider\.max_price`"),
        *(
            ("cheap", {"provider": {"max_price": {"prompt": wrong}}}, r"max_price\.prompt")
            for wrong in (-1, "cheap", True, float("nan"), float("inf"))
        ),
    ],
)
def test_what_is_billed_beside_its_price_is_refused_by_name(
    model: str, said: dict[str, Any], why: str
) -> None:
    with pytest.raises(NotBounded, match=why):
        routed(model, said, prices)


IMAGE = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}


def test_images_cost_what_the_caller_lets_them_cost_beside_their_tokens() -> None:
    fields = {
        "messages": [{"role": "user", "content": [IMAGE, IMAGE]}],
        "provider": {"max_price": {"image": 0.01}},
    }
    found = routed("cheap", fields, prices)
    assert found is not None
    assert found[1].request_fee == OWN_KEY * Decimal("0.02")
    assert most(found[0]) == {"image": 0.01, "prompt": 1, "completion": 1, "request": 0}
    with pytest.raises(NotBounded, match="several models"):
        routed("cheap", {**fields, "models": ["dear"]}, prices)


def test_a_known_models_multiples_are_kept_under_its_callers_most() -> None:
    base = priced("gemini/gemini-2.5-pro")
    said = {"provider": {"max_price": {"prompt": 2.5, "completion": 30}}}
    found = routed("google/gemini-2.5-pro", said, lambda _: base)
    assert found is not None
    (above,) = found[1].tiers
    assert above[1].input == OWN_KEY * Decimal("0.000005")
    assert above[1].output == OWN_KEY * Decimal("0.000045")


@pytest.mark.parametrize(
    ("slug", "listed"),
    [
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ("openai/gpt-4o-mini:nitro", "openai/gpt-4o-mini"),
        ("anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4-5"),
        ("google/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("deepseek/deepseek-chat", "deepseek/deepseek-chat"),
        ("meta-llama/llama-3-70b-instruct", None),
        ("openrouter/auto", None),
    ],
)
def test_a_vendors_price_is_known_of_what_openrouter_passes_on(
    slug: str, listed: str | None
) -> None:
    found = upstream_price(f"openrouter/{slug}")
    assert (found and found.standard) == (listed and priced(listed).standard)
    # It is a price of a request that names it, and of no other.
    assert load_price(f"openrouter/{slug}") is None


def plan(url: str = URL, price: Price | None = None, **fields: Any) -> Call:
    body = {"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], **fields}
    raw = json.dumps(body).encode()
    governing: Any = FakeGoverning(price=price)
    request = httpx.Request("POST", url)
    return planned(Terms(governing), dialect_of("POST", request.url.path), request, raw)


def test_openrouter_is_asked_for_no_more_than_the_vendors_price_unasked() -> None:
    call = plan(model=MINI)
    sent = json.loads(call.plan.body)
    assert sent["provider"] == {"max_price": {"prompt": 0.15, "completion": 0.6, "request": 0}}
    assert call.provider == "openrouter"
    assert call.plan.bound(call.price).nano > 100 * 600


def test_first_of_models_is_the_model_where_none_else_is_named() -> None:
    call = plan(model=None, models=[MINI, "openai/gpt-4o"])
    assert json.loads(call.plan.body)["provider"]["max_price"]["completion"] == 10
    # The tokenizer of the first says nothing of the others.
    assert call.plan.local_input_tokens is None


def test_responses_are_routed_too() -> None:
    url = "https://openrouter.ai/api/v1/responses"
    call = plan(url, model=MINI, messages=None, max_tokens=None, input="hi", max_output_tokens=90)
    assert json.loads(call.plan.body)["provider"]["max_price"]["prompt"] == 0.15


def test_a_path_that_takes_no_most_has_no_vendors_price() -> None:
    with pytest.raises(NotPriced):
        plan("https://openrouter.ai/api/v1/embeddings", model=MINI, input="hi",
             messages=None, max_tokens=None)  # fmt: skip


@pytest.mark.parametrize("field", [{"models": [MINI]}, {"provider": {}}, {"transforms": []}])
def test_nobody_else_is_taken_to_know_openrouters_fields(field: dict[str, Any]) -> None:
    with pytest.raises(NotBounded, match=f"`{next(iter(field))}`"):
        plan("https://api.openai.com/v1/chat/completions", model="gpt-4o-mini", **field)


def test_a_model_without_a_price_says_how_to_give_one() -> None:
    with pytest.raises(NotPriced) as refused:
        plan(model="meta-llama/llama-9")
    said = str(refused.value)
    assert "'openrouter/meta-llama/llama-9': {\"input_usd_per_million_tokens\"" in said
    # Word for word, with a number in place of the dots.
    advice = json.loads(said.split("provider=", 1)[1].replace("…", "3"))
    call = plan(model="meta-llama/llama-9", provider=advice)
    assert call.price.output * 10**6 == 3 * OWN_KEY


def test_a_finished_call_is_the_same_when_its_models_price_has_changed() -> None:
    """It would be paid for again by a run that goes on after the list was updated."""
    keys, bounds = set(), set()
    for price in (flat(CHEAP, CHEAP), flat(CHEAP, DEAR)):
        with scope(Scope(cast(Any, FakeGoverning()), run_id="run", item="item")):
            call = plan(model=MINI, price=price)
        assert call.key is not None
        keys.add(call.key)
        bounds.add(call.demand.bound.nano)
    assert (len(keys), len(bounds)) == (1, 2)
