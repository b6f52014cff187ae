"""Who may accept what a call would be refused for: the client, the code around it, a limit."""

from typing import Any

import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import ConfigurationError, NotBounded
from prefect_governor.blocks.records.accepted import Accepted, accepted
from tests.unit.blocks.wire.transports import MakeWire, ok
from tests.unit.fakes import FakeGoverning, chat_request

FILE: Any = [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]
WITH_FILE = chat_request(messages=FILE)
NEW = chat_request(next_years=1)


async def test_nobody_accepts_by_default(wire: MakeWire) -> None:
    made = wire(ok())
    for body in (WITH_FILE, NEW):
        with scope(Scope(made.governing)), pytest.raises(NotBounded):
            await made.post(body)
    assert not made.provider.requests


async def test_client_accepts_for_its_calls(wire: MakeWire) -> None:
    made = wire(ok())
    with scope(Scope(made.governing)):
        await made.post(WITH_FILE, accepted=accepted(unseen="context"))
        await made.post(NEW, accepted=accepted(["next_years"]))
        with pytest.raises(NotBounded):
            await made.post(WITH_FILE, accepted=accepted(["file"]))
    (unseen, _) = made.desk.demands.values()
    assert unseen.bound.input_tokens == 128_000


async def test_code_around_a_call_accepts_for_it_and_what_the_client_does_holds_too(
    wire: MakeWire,
) -> None:
    made = wire(ok())
    with scope(Scope(made.governing, accepted=Accepted(unseen=True))):
        await made.post({**WITH_FILE, "next_years": 1}, accepted=accepted(["next_years"]))
    assert len(made.provider.requests) == 1


async def test_limit_accepts_for_the_calls_that_it_applies_to(wire: MakeWire) -> None:
    made = wire(ok(), governing=FakeGoverning(unseen=True))
    with scope(Scope(made.governing)):
        await made.post(WITH_FILE)
        with pytest.raises(NotBounded):
            await made.post(NEW)


@pytest.mark.parametrize(
    ("fields", "unseen"), [((), "tokens"), ((), "Context"), ((1,), None), ((None,), None)]
)
def test_what_says_nothing_is_a_mistake(fields: Any, unseen: Any) -> None:
    with pytest.raises(ConfigurationError):
        accepted(fields, unseen)


def test_one_name_is_one_field() -> None:
    assert accepted("next_years").fields == {"next_years"}
