"""Each row of the table against the strict provider: what it bills is what is settled, or within
what is held, or it is not sent and the refusal says which part."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from prefect_governor import Governor
from prefect_governor.blocks.claims import clients
from prefect_governor.blocks.errors import CallRefused
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.records.calls import CallRecord
from prefect_governor.blocks.work.ledgers import account_state, close
from prefect_governor.blocks.work.registry import stop_all
from tests.integration.billing.asking import body, url
from tests.integration.billing.table import Case, Outcome, Row, cases, providers
from tests.integration.models.bill import STATES
from tests.provider.books.bill import Price
from tests.provider.families.bedrock import is_bedrock
from tests.provider.families.vertex import TOKEN
from tests.provider.process import ProviderProcess
from tests.waiting import until

CASES = {case.key: case for case in cases()}
# What a reply is billed for where a row says nothing else.
USED = {"input": 1000, "output": 100}
# Embeddings and rankings have no output.
UNWRITTEN = frozenset({"embeddings", "embed", "rerank", "embedContent", "ollamaEmbed"})
READ_ONLY = {"input": 1000}
# The paths of a second version, which the strict provider has as they are.
COHERES = "/v2/"
# What a throttling asks to wait, where the provider's API has a word for it.
SOON = {"retry-after-ms": "1"}
# Several chunks of a stream.
SAID = "It is so. " * 10


class Detour(httpx.BaseTransport):
    """Sends what is meant for a provider's host to the strict provider, which is told the host."""

    def __init__(self, provider: ProviderProcess) -> None:
        self._target = httpx.URL(provider.url)
        self._pool = httpx.HTTPTransport()
        self.base = "/v1"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        own = is_bedrock(path) or path.startswith(COHERES)
        if path.startswith(self.base + "/") and not own:
            path = "/v1" + path.removeprefix(self.base)
        sent = httpx.Request(
            request.method,
            self._target.copy_with(raw_path=path.encode()),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return self._pool.handle_request(sent)

    def end(self) -> None:
        """Not `close`: it is the pool of every client."""
        self._pool.close()


@dataclass
class Bench:
    """A governor whose calls go to the strict provider, at the prices of all pages."""

    governor: Governor
    provider: ProviderProcess
    detour: Detour
    clients: dict[Any, httpx.Client] = field(default_factory=dict)

    def send(self, case: Case) -> httpx.Response:
        """Raises CallRefused before anything is sent, or what breaks on the way."""
        self.detour.base = case.base
        headers = {
            "x-client-request-id": case.key,
            "authorization": f"Bearer {TOKEN}",
            **case.row.headers,
        }
        return self._client(case.row).post(url(case), json=body(case), headers=headers)

    def _client(self, row: Row) -> httpx.Client:
        said = (row.allow, row.unseen, str(row.given), row.whose)
        if said not in self.clients:
            self.clients[said] = self.governor.http_client(
                allow_fields=row.allow,
                unseen="context" if row.unseen else "refuse",
                raise_refusals=True,
                prices=row.given,
                provider=row.whose,
            )
        return self.clients[said]

    def billed(self, case: Case) -> dict[str, Any] | None:
        """The provider's own record of the row's request; None where it came to none."""
        found = self.requests(case)
        assert len(found) <= 1, "one call is one request"
        return found[0] if found else None

    def requests(self, case: Case) -> list[dict[str, Any]]:
        """The provider's own records of the row's requests."""
        return [each for each in self.provider.log() if each["request_id"] == case.key]

    def calls(self, case: Case) -> list[CallRecord]:
        """What the ledger has under the row's key."""
        records = self.governor.runtime.desk.store.read_calls(STATES)
        return [each for each in records if each.request_id == case.key]

    def held(self, case: Case, *, times: int = 1) -> list[CallRecord]:
        """What the ledger has of the row's call, sent so many times, by state."""
        found: list[CallRecord] = []

        def resolved() -> bool:
            found[:] = self.calls(case)
            return len(found) >= times and all(each.state != "reserved" for each in found)

        until(resolved)
        assert len(found) == times
        return sorted(found, key=lambda call: call.state)


def replies_of(case: Case) -> list[dict[str, Any]]:
    row = case.row
    usual = READ_ONLY if row.api in UNWRITTEN else USED
    answer: dict[str, Any] = {"used": {**usual, **row.used}, "text": SAID}
    found = {**answer, **row.reply}
    return [{**found, "headers": SOON}, answer] if row.outcome == "again" else [found]


def hosts() -> dict[str, dict[str, Any]]:
    """What models cost, by host."""
    found: dict[str, dict[str, Any]] = {}
    for case in CASES.values():
        prices = case.provider.places.get(case.origin, case.provider.prices)
        found.setdefault(case.host, {}).update({name: told(prices[name]) for name in prices})
    return found


def told(price: Price) -> dict[str, Any]:
    told: dict[str, Any] = price.model_dump(mode="json", exclude_none=True)
    return told


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    script = [
        {"match": f"^{re.escape(case.key)}\n", "reply": replies_of(case)} for case in CASES.values()
    ]
    routes = {
        model: [told(each) for each in offered]
        for provider in providers()
        for model, offered in provider.routes.items()
    }
    home: Path = tmp_path_factory.mktemp("billing") / "prefect-home"
    with (
        pytest.MonkeyPatch.context() as patch,
        ProviderProcess(hosts=hosts(), routes=routes, hosted=True) as provider,
    ):
        # It is longer than an argument of a process may be.
        provider.configure(script=script)
        patch.setenv("PREFECT_HOME", str(home))
        detour = Detour(provider)
        patch.setattr(clients, "blocking_pool", lambda: detour)
        governor = Governor.local("billing", max_usd="10000")
        bench = Bench(governor, provider, detour)
        yield bench
        for client in bench.clients.values():
            client.close()
        stop_all()
        close(state_folder())
        detour.end()


@pytest.mark.parametrize("key", CASES)
def test_what_the_provider_bills_is_settled_or_held_or_is_not_sent(key: str, bench: Bench) -> None:
    case = CASES[key]
    if case.row.outcome == "refused":
        with pytest.raises(CallRefused) as refused:
            bench.send(case)
        assert case.row.says and case.row.says in str(refused.value)
        assert bench.billed(case) is None
        return
    with suppress(httpx.HTTPError):
        bench.send(case)
    if case.row.outcome == "again":
        throttled, answered = bench.requests(case)
        assert (throttled["status"], throttled["billed_nano"]) == (429, 0)
        released, spent_then = bench.held(case, times=2)
        assert (released.state, spent_then.state) == ("released", "spent")
        assert spent_then.usage is not None
        assert spent_then.usage.nano == answered["billed_nano"] > 0
        return
    record = bench.billed(case)
    assert record is not None
    billed = record["billed_nano"]
    if case.row.outcome == "free":
        assert (billed, bench.calls(case)) == (0, [])
        return
    (held,) = bench.held(case)
    spent = None if held.usage is None else held.usage.nano
    if case.row.usd is not None:
        assert billed == int(Decimal(case.row.usd).scaleb(9)), "as reckoned by hand"
    assert held.bound.nano >= billed
    if case.row.outcome == "settled":
        assert (held.state, spent) == ("spent", billed)
    elif case.row.outcome == "above":
        assert held.state == "spent" and spent is not None and held.bound.nano >= spent > billed
    elif case.row.outcome == "unconfirmed":
        assert held.state == "unconfirmed"
    else:
        assert (held.state, billed) == ("released", 0)


def test_the_table_is_as_large_as_it_says_and_its_sums_hold(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run last: what the provider billed in all is within what was spent and is held."""
    outcomes = Counter(case.row.outcome for case in CASES.values())
    by_hand = {
        provider.name: sum(row.usd is not None for row in provider.rows) for provider in providers()
    }
    with capsys.disabled():
        print(f"\n{len(CASES)} rows of {len(by_hand)} providers: {dict(outcomes)}")
    assert len(CASES) == sum(len(provider.rows) for provider in providers()) >= 150
    assert len(by_hand) >= 12
    assert outcomes.keys() == set(get_args(Outcome))
    assert all(row.page for provider in providers() for row in provider.rows)
    stats, state = (
        bench.provider.settled_stats(),
        account_state(bench.governor.runtime.accounts_[0]),
    )
    assert stats["internal_errors"] == 0
    assert state.spent_nano + state.unconfirmed_nano >= stats["billed_nano"]
    assert state.reserved_nano == 0
