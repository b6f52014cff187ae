"""Cohere's chat: bounded by its bytes, settled by the units that Cohere says it billed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import UsageParts
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.dialects.cohere.chat import CohereChat
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan
from tests.unit.blocks.wire.dialects.exchange import fed, planned

MODEL = "cohere_chat/command-r-08-2024"
UNITS = {"input_tokens": 7, "output_tokens": 20}
SEEN = {"input_tokens": 507, "output_tokens": 23}


def chat(**fields: Any) -> CallPlan:
    body = {"model": "command-r-08-2024", "messages": [{"role": "user", "content": "x"}], **fields}
    return planned(CohereChat(), body, model=MODEL)


def read(**reply: Any) -> Billed | None:
    return CohereChat().read(json.dumps(reply).encode())


def test_cohere_is_not_taken_for_ollama() -> None:
    assert isinstance(dialect_of("POST", "/v2/chat"), CohereChat)
    assert not isinstance(dialect_of("POST", "/api/chat"), CohereChat)


def test_what_a_request_sets_no_limit_to_is_bounded_by_the_models_own() -> None:
    made = chat()
    assert (made.output_tokens, made.own_limit) == (4096, True)
    assert json.loads(made.body)["max_tokens"] == 4096
    assert json.loads(CohereChat().refit(made, 6).body)["max_tokens"] == 6


def test_thoughts_that_are_asked_for_are_never_fitted_away() -> None:
    assert chat(thinking={"type": "enabled", "token_budget": 500}).least_output_tokens == 501
    assert chat().least_output_tokens == 1
    assert chat(stream=True).least_output_tokens == 1


def test_what_the_model_saw_is_not_what_is_billed() -> None:
    billed = read(usage={"billed_units": UNITS, "tokens": SEEN}, finish_reason="MAX_TOKENS")
    assert billed == Billed(UsageParts(7, 20), "standard", cut=True)
    # The schema calls them floats.
    floats = {name: float(count) for name, count in UNITS.items()}
    assert read(usage={"billed_units": floats}) == Billed(UsageParts(7, 20), "standard")


@pytest.mark.parametrize(
    "units",
    [None, {}, {"output_tokens": 3}, {"input_tokens": 0, "output_tokens": 3}, {"input_tokens": 7},
     {**UNITS, "search_units": 1}, {**UNITS, "of_next_year": 1}, {**UNITS, "input_tokens": 7.5},
     {**UNITS, "input_tokens": float("nan")}, {**UNITS, "output_tokens": True}],
)  # fmt: skip
def test_units_that_cannot_be_the_bill_settle_nothing(units: Any) -> None:
    assert read(usage={"billed_units": units, "tokens": SEEN}) is None


@given(size=st.integers(1, 90), ended=st.booleans())
def test_events_are_read_wherever_the_stream_is_cut(size: int, ended: bool) -> None:
    end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}
    said = {"type": "content-delta", "delta": {"message": {"content": {"text": "message-end"}}}}
    usage = {"usage": {"billed_units": UNITS, "tokens": SEEN}}
    events = [said, {**end, "delta": {**end["delta"], **(usage if ended else {})}}]  # type: ignore[dict-item]
    whole = b"".join(b"event: x\ndata: " + json.dumps(each).encode() + b"\n\n" for each in events)
    reader = CohereChat().stream(chat(stream=True))
    assert fed(reader, whole, size) == whole
    billed = reader.finished()
    assert (None if billed is None else billed.parts) == (UsageParts(7, 20) if ended else None)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"connectors": [{"id": "web-search"}]}, "`connectors`"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "'image_url'"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "'video'"),
        ({"messages": [{"role": "user", "content": "x", "files": []}]}, "`messages.files`"),
        ({"tools": [{"type": "web_search"}]}, "'web_search'"),
        ({"tools": [{"name": "connector"}]}, "a tool of type None"),
        ({"messages": "x"}, "`messages`"),
        ({"documents": "x"}, "`documents`"),
        ({"max_tokens": 0}, "`max_tokens`"),
        ({"thinking": {"token_budget": -1}}, "`thinking.token_budget`"),
    ],
)
def test_what_has_no_bound_is_refused_by_name(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(NotBounded, match=part):
        chat(**fields)


def test_documents_are_bounded_with_the_text() -> None:
    with_them = chat(documents=["word " * 100]).input_tokens
    assert with_them >= chat().input_tokens + 500
