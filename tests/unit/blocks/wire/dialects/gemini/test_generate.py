"""Gemini's own API: the model, the bound, and what the reply was billed for."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.prices import upstream_price
from prefect_governor.blocks.wire.dialects import dialect_of, is_free
from prefect_governor.blocks.wire.dialects.gemini.generate import Gemini
from prefect_governor.blocks.wire.dialects.gemini.rules import MOST_IMAGE_TOKENS
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.requests.lanes import LANE_HEADER, in_its_lane
from prefect_governor.blocks.wire.requests.plans import CallPlan
from tests.unit.blocks.wire.dialects.exchange import fed, planned
from tests.unit.prices import priced

PATH = "/v1beta/models/gemini-2.5-flash-lite:generateContent"
STREAM = "/v1beta/models/gemini-2.5-flash-lite:streamGenerateContent"
MODEL = "gemini/gemini-2.5-flash-lite"
CONTENTS = [{"role": "user", "parts": [{"text": "What is it?"}]}]


def gemini(path: str = PATH, **config: Any) -> CallPlan:
    body = {"contents": CONTENTS, "generationConfig": {"maxOutputTokens": 50, **config}}
    return planned(Gemini(), body, model=MODEL, path=path)


@pytest.mark.parametrize(
    ("path", "model", "streamed"),
    [
        (PATH, "gemini-2.5-flash-lite", False),
        (STREAM, "gemini-2.5-flash-lite", True),
        ("/models/g:generateContent", "g", False),
    ],
)
def test_model_stands_in_the_path(path: str, model: str, streamed: bool) -> None:
    assert isinstance(dialect_of("POST", path), Gemini)
    asked = Gemini().open(b'{"contents": []}', path=path)
    assert (asked.model, asked.streamed) == (model, streamed)


def test_request_whose_path_names_no_model_is_refused() -> None:
    with pytest.raises(NotBounded, match="model"):
        Gemini().open(b"{}", path="/v1beta/models")


def test_counting_tokens_is_free_and_other_verbs_are_not() -> None:
    assert is_free("POST", "/v1beta/models/gemini-2.5-pro:countTokens")
    assert not is_free("POST", PATH)
    assert not is_free("POST", "/v1beta/models/gemini-2.5-pro:batchGenerateContent")


def test_bound_of_several_candidates_is_their_sum() -> None:
    made = gemini(candidateCount=3)
    assert (made.output_tokens, made.output_limit, made.least_output_tokens) == (150, None, None)
    assert len(made.body) < gemini().input_tokens < len(made.body) + 80


def test_names_in_snake_case_are_read_too() -> None:
    body = {
        "contents": CONTENTS,
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "generation_config": {"max_output_tokens": 7},
    }
    made = planned(Gemini(), body, model=MODEL, path=PATH)
    assert made.output_tokens == 7
    assert json.loads(made.body)["systemInstruction"]["parts"]


def test_fitting_leaves_room_for_the_thoughts() -> None:
    assert gemini(thinkingConfig={"thinkingBudget": 30}).least_output_tokens == 31
    assert gemini(thinkingConfig={"thinkingBudget": -1}).least_output_tokens == 1
    assert gemini(STREAM).least_output_tokens == 1
    made = Gemini().refit(gemini(), 12)
    assert json.loads(made.body)["generationConfig"]["maxOutputTokens"] == 12
    assert made.output_tokens == made.output_limit == 12


def chunk(text: str, reason: str | None = None, index: int = 0, **usage: int) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}]}, "index": index}
    if reason is not None:
        candidate["finishReason"] = reason
    found: dict[str, Any] = {"candidates": [candidate]}
    return {**found, "usageMetadata": usage} if usage else found


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in chunks)


def test_thoughts_and_what_the_total_alone_holds_are_output() -> None:
    counts = {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5}
    plain = Gemini().read(json.dumps(chunk("x", "STOP", **counts)).encode())
    assert plain is not None
    assert (plain.parts.input_tokens, plain.parts.cached_input_tokens) == (10, 4)
    assert (plain.parts.output_tokens, plain.cut) == (5, False)
    thought = {**counts, "thoughtsTokenCount": 7}
    more = Gemini().read(json.dumps(chunk("x", "MAX_TOKENS", **thought)).encode())
    assert more is not None and (more.parts.output_tokens, more.cut) == (12, True)
    assert more.parts.reasoning_tokens == 7
    total = Gemini().read(json.dumps(chunk("x", "STOP", **counts, totalTokenCount=40)).encode())
    assert total is not None and total.parts.output_tokens == 30


def test_prompt_that_was_blocked_is_billed_for_its_input() -> None:
    reply = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}
    billed = Gemini().read(json.dumps(reply).encode())
    assert billed is not None
    assert (billed.parts.input_tokens, billed.parts.output_tokens) == (9, 0)


@given(size=st.integers(1, 70))
def test_stream_is_confirmed_by_its_end_alone(size: int) -> None:
    whole = sse(
        chunk("one", promptTokenCount=10, candidatesTokenCount=1),
        chunk("two", "STOP", promptTokenCount=10, candidatesTokenCount=9),
    )
    reader = Gemini().stream(gemini(STREAM))
    assert reader.feed(whole) == whole and reader.finished() is None
    reader = Gemini().stream(gemini(STREAM))
    assert fed(reader, whole, size) == whole
    billed = reader.finished()
    assert billed is not None and billed.parts.output_tokens == 9


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [chunk("one", promptTokenCount=10, candidatesTokenCount=1)],
        [chunk("one", "STOP")],
        # One of two candidates has not ended, and some models say STOP before they stop.
        [chunk("a", "STOP", promptTokenCount=10), chunk("b", index=1, promptTokenCount=10)],
        [chunk("a", "STOP", promptTokenCount=10), chunk("b", promptTokenCount=10)],
        [chunk("a", "STOP", promptTokenCount=10), {"error": {"code": 500}}],
        [chunk("a", "STOP", promptTokenCount=0, candidatesTokenCount=3)],
    ],
)
def test_stream_that_was_cut_confirms_nothing(chunks: list[Any]) -> None:
    reader = Gemini().stream(gemini(STREAM))
    fed(reader, sse(*chunks), 1000)
    assert reader.finished() is None
    assert Gemini().read(json.dumps(chunks).encode()) is None


def test_stream_as_one_array_is_read_by_its_last_part() -> None:
    chunks = [
        chunk("one", promptTokenCount=10, candidatesTokenCount=1),
        chunk("two", "STOP", promptTokenCount=10, candidatesTokenCount=9),
    ]
    billed = Gemini().read(json.dumps(chunks).encode())
    assert billed is not None and billed.parts.output_tokens == 9


@pytest.mark.parametrize(
    ("traffic", "tier"),
    [
        ("ON_DEMAND", "standard"),
        ("ON_DEMAND_PRIORITY", "priority"),
        ("ON_DEMAND_FLEX", "flex"),
        # The request's own.
        ("PROVISIONED_THROUGHPUT", None),
        (None, None),
    ],
)
def test_lane_that_the_reply_states_is_what_is_billed(
    traffic: str | None, tier: str | None
) -> None:
    usage: Any = {"promptTokenCount": 10, "candidatesTokenCount": 5, "trafficType": traffic}
    billed = Gemini().read(json.dumps(chunk("x", "STOP", **usage)).encode())
    assert billed is not None and billed.service_tier == tier


def test_tier_that_a_request_asks_for_is_bounded_at_its_price() -> None:
    body: Any = {"contents": CONTENTS, "generationConfig": {"maxOutputTokens": 50}}
    price = priced(MODEL)
    plain = planned(Gemini(), body, model=MODEL, path=PATH)
    dear = planned(Gemini(), {**body, "serviceTier": "PRIORITY"}, model=MODEL, path=PATH)
    assert (plain.service_tier, dear.service_tier) == ("standard", "priority")
    assert dear.bound(price).nano > 1.5 * plain.bound(price).nano


# Images that the model writes

PAINTER = "gemini/gemini-2.5-flash-image"
PAINTERS_PATH = "/v1beta/models/gemini-2.5-flash-image:generateContent"
IMAGE_USD = Decimal("0.00003")


def painted(model: str = PAINTER, **more: Any) -> CallPlan:
    config = {"maxOutputTokens": 3000, **more.pop("config", {})}
    body = {"contents": CONTENTS, "generationConfig": config, **more}
    return planned(Gemini(), body, model=model, path=PAINTERS_PATH)


@pytest.mark.parametrize(
    "config",
    [
        # Such a model writes images unasked.
        {},
        {"responseModalities": ["IMAGE"]},
        {"responseModalities": ["Text", "Image"]},
        {"imageConfig": {"aspectRatio": "16:9", "imageSize": "4K"}},
        {"image_config": {"aspect_ratio": "16:9"}},
    ],
)
def test_images_are_bounded_as_tokens_within_the_limit_and_one_begun_before_its_end(
    config: dict[str, Any],
) -> None:
    made, price = painted(config=config), priced(PAINTER)
    outputs = (3000 + MOST_IMAGE_TOKENS) * IMAGE_USD
    inputs = made.input_tokens * max(price.input, price.cached_input)
    assert made.bound(price).nano == (outputs + inputs) * 10**9
    # Less than one whole image is never asked for as money runs low.
    assert made.least_output_tokens == MOST_IMAGE_TOKENS
    fitted = Gemini().refit(made, 2600)
    assert fitted.bound(price).nano < made.bound(price).nano
    assert json.loads(fitted.body)["generationConfig"]["maxOutputTokens"] == 2600


def test_several_candidates_are_bounded_by_as_many_images() -> None:
    price = priced(PAINTER)
    two = painted(config={"candidateCount": 2}).bound(price)
    assert two.output_tokens == 2 * (3000 + MOST_IMAGE_TOKENS)


def test_painter_that_is_asked_for_text_alone_is_bounded_at_the_price_of_text() -> None:
    made = painted(config={"responseModalities": ["TEXT"]})
    assert made.image_tokens == 0
    assert made.bound(priced(PAINTER)).nano < painted().bound(priced(PAINTER)).nano / 10


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"model": MODEL, "config": {"responseModalities": ["IMAGE"]}}, "output_cost_per_image"),
        ({"model": MODEL, "config": {"imageConfig": {"imageSize": "4K"}}}, "imageSize"),
        ({"config": {"imageConfig": {"nextYears": 1}}}, "nextYears"),
        ({"config": {"responseModalities": ["IMAGE", "AUDIO"]}}, "AUDIO"),
        ({"config": {"responseModalities": "IMAGE"}}, "responseModalities"),
        # The list names no price of an image in the other lanes.
        ({"serviceTier": "priority"}, "serviceTier"),
    ],
)
def test_image_without_a_price_is_refused_by_name(more: dict[str, Any], named: str) -> None:
    with pytest.raises(NotBounded, match=named):
        painted(**more)


@pytest.mark.parametrize(
    ("details", "images"),
    [
        ([{"modality": "IMAGE", "tokenCount": 1290}], 1290),
        ([{"modality": "TEXT", "tokenCount": 40}, {"modality": "IMAGE", "tokenCount": 2580}], 2580),
        ([{"modality": "TEXT", "tokenCount": 40}], 0),
        # What is not told apart is taken as the dearer.
        (None, 2620),
        ([], 2620),
    ],
)
def test_images_are_settled_by_the_count_that_the_reply_states(details: Any, images: int) -> None:
    usage: Any = {
        "promptTokenCount": 10,
        "candidatesTokenCount": 2620,
        "thoughtsTokenCount": 30,
        "candidatesTokensDetails": details,
    }
    billed = Gemini().read(json.dumps(chunk("x", "STOP", **usage)).encode())
    assert billed is not None
    price, text = priced(PAINTER), Decimal("0.0000025")
    usd = 10 * price.input + images * IMAGE_USD + (2620 - images) * text + 30 * text
    assert billed.usage(price, painted()).nano == math.ceil(usd * 10**9)
    assert billed.usage(price, painted()).nano <= painted().bound(price).nano


def test_painter_is_refused_by_other_paths_and_by_gateways() -> None:
    body = {"model": "gemini-2.5-flash-image", "messages": [], "max_tokens": 20}
    with pytest.raises(NotBounded, match="generateContent"):
        planned(OpenAIChat(), body, model=PAINTER)
    assert upstream_price("openrouter/google/gemini-2.5-flash-image") is None


def test_lane_of_a_header_has_no_price_of_an_image() -> None:
    headers = {LANE_HEADER: "flex"}
    with pytest.raises(NotBounded, match=LANE_HEADER):
        in_its_lane(painted(), headers, priced(PAINTER), PAINTER)
    assert in_its_lane(gemini(), headers, priced(MODEL), MODEL).service_tier == "flex"
