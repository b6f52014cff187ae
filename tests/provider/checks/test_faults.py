"""Each fault does what its name says, is billed or not as it says, and is counted."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from tests.provider.checks.conftest import body
from tests.provider.config import FaultKind, Faults
from tests.provider.process import ProviderProcess
from tests.provider.rules.faults import BILLED, KINDS, FaultPlan

STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def _draws(n: int = 2000, **faults: Any) -> list[FaultKind | None]:
    plan = FaultPlan(Faults.model_validate(faults))
    return [plan.draw(f"body {index}") for index in range(n)]


def test_draws_depend_on_the_seed_alone_and_keep_their_rates() -> None:
    drawn = _draws(seed=3, error_500=0.1, hang=0.03)
    assert drawn == _draws(seed=3, error_500=0.1, hang=0.03)
    assert drawn != _draws(seed=4, error_500=0.1, hang=0.03)
    assert 150 <= drawn.count("error_500") <= 250
    assert 35 <= drawn.count("hang") <= 90


def test_first_attempt_only_spares_what_is_sent_again() -> None:
    plan = FaultPlan(Faults(error_500=1, first_attempt_only=True))
    assert [plan.draw(each) for each in ("a", "a", "b")] == ["error_500", None, "error_500"]


def test_draw_by_body_does_not_depend_on_the_order_of_arrival() -> None:
    bodies = [f"body {index}" for index in range(50)]
    there, back = (FaultPlan(Faults(by="body", error_500=0.5)) for _ in range(2))
    found = {each: there.draw(each) for each in bodies}
    assert found == {each: back.draw(each) for each in reversed(bodies)}
    assert set(found.values()) == {"error_500", None}


def test_chosen_arrivals_get_exactly_their_faults(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(faults={"at": {"2": "error_500", "3": "error_429"}})
    statuses = [client.post("/chat/completions", json=body()).status_code for _ in range(4)]
    assert statuses == [200, 500, 429, 200]
    stats = judge.stats()
    assert (stats["faults"]["error_500"], stats["faults"]["error_429"]) == (1, 1)
    assert (stats["billed_calls"], stats["throttled"]) == (2, 0)


def _outcome(client: httpx.Client, fields: dict[str, Any]) -> str:
    """What the client sees of one call, in a word."""
    try:
        reply = client.post("/chat/completions", json=body(**fields), timeout=0.3)
    except httpx.ReadTimeout:
        return "timeout"
    except httpx.RemoteProtocolError as error:
        return "broken off" if "complete" in str(error) else "disconnected"
    if reply.status_code != 200:
        return str(reply.status_code)
    if not fields:
        try:
            return "whole" if "usage" in reply.json() else "no usage"
        except ValueError:
            return "malformed"
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    try:
        events = [orjson.loads(line) for line in lines if line != "[DONE]"]
    except orjson.JSONDecodeError:
        return "malformed"
    if lines[-1] != "[DONE]":
        finished = any(e["choices"][0]["finish_reason"] for e in events if e["choices"])
        return "no end, but finished" if finished or events[-1]["usage"] else "no end"
    return "whole" if events[-1]["usage"] else "no usage"


SEEN = {
    "error_429": ("429", "429"),
    "error_500": ("500", "500"),
    "error_500_billed": ("500", "500"),
    "disconnect_before_billing": ("disconnected", "disconnected"),
    "disconnect_after_billing": ("disconnected", "disconnected"),
    "hang": ("timeout", "timeout"),
    "hang_billed": ("timeout", "timeout"),
    "malformed_json": ("malformed", "malformed"),
    "cut_stream": ("broken off", "no end"),
    "drop_stream": ("broken off", "broken off"),
    "no_usage": ("no usage", "no usage"),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("kind", KINDS)
def test_fault_is_what_it_says_on_the_wire_in_the_bill_and_in_the_counts(
    judge: ProviderProcess, client: httpx.Client, kind: FaultKind, streamed: bool
) -> None:
    judge.renew(faults={kind: 1})
    assert _outcome(client, STREAM if streamed else {}) == SEEN[kind][streamed]
    stats = judge.settled_stats()
    assert {name: n for name, n in stats["faults"].items() if n} == {kind: 1}
    assert stats["billed_calls"] == (kind in BILLED)
    assert (stats["billed_nano"] > 0) == (kind in BILLED)
    (record,) = judge.log()
    assert record["fault"] == kind
    judge.renew()
    assert _outcome(client, STREAM if streamed else {}) == "whole"


def test_hang_ends_by_itself_and_counts_as_open_until_then(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(faults={"hang": 1, "hang_seconds": 0.2})
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/chat/completions", json=body())
    (record,) = judge.log()
    assert record["end"] - record["arrival"] >= 0.2
    assert (record["status"], record["abandoned"]) == (None, False)
    assert judge.stats()["in_flight_seconds"] >= 0.2


def test_mixed_faults_all_happen_and_the_bill_is_the_log(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    rates = {kind: 0.08 for kind in KINDS if not kind.startswith("hang")}
    judge.renew(faults={"seed": 1, **rates})
    for index in range(150):
        _outcome(client, {"user": str(index)})
    stats, records = judge.settled_stats(), judge.log()
    print(stats["faults"])
    assert all(stats["faults"][kind] for kind in rates)
    assert stats["billed_nano"] == sum(record["billed_nano"] for record in records)
    unbilled = {record["fault"] for record in records if record["billed_at"] is None}
    assert unbilled.isdisjoint(BILLED)
    assert None not in unbilled
