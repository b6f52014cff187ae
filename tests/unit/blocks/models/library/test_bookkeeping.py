"""What LiteLLM does for itself is left out where nobody reads it, and nobody sees that it was."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.models.completion import acompletion
from prefect_governor.blocks.models.library.bookkeeping import LISTENERS, Books, Estimated
from prefect_governor.blocks.models.library.module import litellm
from tests.unit.blocks.models.network import ADDRESS, Network, quiet
from tests.unit.fakes import FakeGoverning, chat_reply

pytestmark = quiet
PATIENCE_SECONDS = 30.0
# What differs from call to call.
OF_A_CALL = {
    "litellm_call_id",
    "_response_ms",
    "litellm_overhead_time_ms",
    "callback_duration_ms",
}


class _Listener:
    """One who hears of the calls that succeeded, as LiteLLM's documentation has it."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.costs: list[float | None] = []

    async def __call__(self, kwargs: dict[str, Any], reply: Any, start: Any, end: Any) -> None:
        self.costs.append(kwargs["response_cost"])
        self.heard.set()


@pytest.fixture(autouse=True)
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LISTENERS:
        monkeypatch.setattr(litellm(), name, None if name == "max_budget" else [])


@pytest.fixture
def call(network: Network, governing: FakeGoverning) -> Callable[..., Any]:
    network.answer(chat_reply(model="gpt-4o-mini"))

    async def made(**fields: Any) -> Any:
        with scope(Scope(governing)):
            return await acompletion(
                "openai/gpt-4o-mini",
                [{"role": "user", "content": "What is it?"}],
                max_tokens=20,
                **ADDRESS,
                **fields,
            )

    return made


class _OlderLogging:
    """LiteLLM 1.100's, in what is asked of it here."""

    def _response_cost_calculator(self, result: Any) -> float:
        return float(result)


def test_cost_is_reckoned_by_the_name_that_this_litellm_has_for_it() -> None:
    """Where there is only the one with an underscore, reading the cost raised AttributeError."""
    logging = _OlderLogging()
    library: Any = ModuleType("litellm")
    library.utils = SimpleNamespace(Rules=object, function_setup=lambda *_, **more: (logging, more))
    books = Books(library, "acompletion", {"model": "a"})
    assert logging._response_cost_calculator(0.5) is None
    reply = books.close(SimpleNamespace(_hidden_params={"response_cost": None}))
    assert reply._hidden_params["response_cost"] == 0.5


async def test_a_reply_says_what_it_says_where_litellm_does_all_at_once(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = await call()
    assert isinstance(ours._hidden_params, Estimated)
    monkeypatch.setattr(litellm(), "max_budget", 1_000.0)
    theirs = await call()
    assert type(theirs._hidden_params) is dict
    assert ours._hidden_params["response_cost"] > 0

    def said(reply: Any) -> dict[str, Any]:
        return {name: each for name, each in reply._hidden_params.items() if name not in OF_A_CALL}

    assert said(ours) == said(theirs)
    assert ours._hidden_params.keys() == theirs._hidden_params.keys()
    assert ours.model_dump(exclude={"created"}) == theirs.model_dump(exclude={"created"})
    assert ours._response_ms > 0
    assert litellm().completion_cost(ours) == ours._hidden_params["response_cost"]


@pytest.mark.parametrize("where", ["of all calls", "of this one"])
async def test_who_listens_to_litellm_hears_of_governed_calls_as_before(
    where: str, call: Callable[..., Any]
) -> None:
    listener = _Listener()
    if where == "of all calls":
        litellm().success_callback.append(listener)
        reply = await call()
    else:
        reply = await call(success_callback=[listener])
    assert type(reply._hidden_params) is dict
    # LiteLLM may bring up late what it kept of calls before this, of other tests too.
    while reply._hidden_params["response_cost"] not in listener.costs:
        await asyncio.wait_for(listener.heard.wait(), PATIENCE_SECONDS)
        listener.heard.clear()


def _as_json(params: Any) -> Any:
    return json.loads(json.dumps(params))


def _pickled(params: Any) -> Any:
    again = pickle.loads(pickle.dumps(params))
    assert type(again) is dict
    return again


READINGS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "dict": dict,
    "its copy": lambda params: params.copy(),
    "items": lambda params: dict(params.items()),
    "json": _as_json,
    "keywords": lambda params: dict(**params),
    "or": lambda params: params | {},
    "pickle": _pickled,
    "reversed or": lambda params: {} | params,
    "spread": lambda params: {**params},
    "by name": lambda params: {"a": params["a"], "response_cost": params["response_cost"]},
    "got": lambda params: {"a": params.get("a"), "response_cost": params.get("response_cost")},
    "itself": lambda params: params,
}


@pytest.mark.parametrize("reading", sorted(READINGS))
def test_an_estimate_is_there_however_it_is_read_and_made_once(reading: str) -> None:
    made = []

    def estimate() -> float:
        made.append(1)
        return 0.5

    params = Estimated({"a": 1, "response_cost": None}, estimate)
    assert (params["a"], len(params), "response_cost" in params, made) == (1, 2, True, [])
    assert READINGS[reading](params) == {"a": 1, "response_cost": 0.5}
    assert READINGS[reading](params) == {"a": 1, "response_cost": 0.5}
    assert made == [1]
