"""No model call inside a governor's scope goes around it, whatever library sends it."""

import logging
import urllib.request
import uuid
from decimal import Decimal

import httpx
import pytest

from prefect_governor import Governor, NotGoverned, NotPriced, OverBudget, governor_error
from prefect_governor.blocks.bypass.passed import passed_notes
from prefect_governor.blocks.terms.governor import Bypass
from tests.integration.bypass.senders import BODY, CALLS, HEADERS, url
from tests.integration.models.bill import assert_spent_is_the_bill, figures
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

COUNT = 4


def governor(nano: int, bypass: Bypass = "refuse") -> Governor:
    return Governor.local(
        f"bypass-{uuid.uuid4().hex[:8]}", max_usd=Decimal(nano).scaleb(-9), bypass=bypass
    )


def served(provider: ProviderProcess, library: str) -> list[Exception]:
    """What was raised, of so many calls in turn."""
    refused = []
    for _ in range(COUNT):
        try:
            CALLS[library](provider)
        except Exception as error:
            refused.append(error)
    return refused


@pytest.mark.parametrize("library", sorted(CALLS))
def test_no_library_goes_past_the_ceiling_inside_a_scope(
    provider: ProviderProcess, library: str
) -> None:
    with governor(1, "allow"):
        assert served(provider, library) == []
    control = provider.settled_stats()
    assert control["requests"] == COUNT

    ceiling = control["billed_nano"] // 2
    provider.reset()
    team = governor(ceiling)
    with team:
        refused = served(provider, library)
    print(f"{library}: {len(refused)} of {COUNT} refused; control billed twice the ceiling")
    assert 0 < len(refused) < COUNT
    assert {type(governor_error(error)) for error in refused} == {OverBudget}
    # What was refused was never there, and was tried once.
    assert_spent_is_the_bill(team, provider, requests=COUNT - len(refused))
    assert provider.settled_stats()["billed_nano"] <= ceiling < control["billed_nano"]


def test_what_a_governed_client_sends_is_counted_once(provider: ProviderProcess) -> None:
    team = governor(10**9)
    with team:
        with team.http_client() as client:
            assert client.post(url(provider), json=BODY, headers=HEADERS).status_code == 200
        with team.http_client("httpx2") as client2:
            assert client2.post(url(provider), json=BODY, headers=HEADERS).status_code == 200
    assert_spent_is_the_bill(team, provider, requests=2)


def test_what_a_client_within_the_transport_sends_is_counted_once(
    provider: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A client inside the governed transport, which knows the environment's proxies.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    team = governor(10**9)
    with team, team.http_client() as client:
        assert client.post(url(provider), json=BODY, headers=HEADERS).status_code == 200
    assert_spent_is_the_bill(team, provider)


def test_a_call_outside_a_scope_is_nobodys_matter(provider: ProviderProcess) -> None:
    team = governor(1)
    with team:
        pass
    CALLS["httpx"](provider)
    assert provider.settled_stats()["requests"] == 1
    assert figures(team).spent_nano == 0


def test_what_is_no_model_call_passes(provider: ProviderProcess) -> None:
    with governor(1):
        assert httpx.get(f"{provider.api_base}/models", headers=HEADERS).status_code == 200
        # A path that models' APIs have too, and a body that names none.
        reply = httpx.post(f"{provider.url}/v1/messages", json={"to": "+44", "text": "hello"})
        assert "prefect_governor" not in reply.text


def test_what_cannot_be_taken_over_is_refused_before_a_byte_leaves(
    provider: ProviderProcess,
) -> None:
    request = urllib.request.Request(
        url(provider), data=httpx.Request("POST", "http://x", json=BODY).content, headers=HEADERS
    )
    with governor(10**9), pytest.raises(NotGoverned, match=r"http_client\(\)"):
        urllib.request.urlopen(request)
    assert provider.settled_stats()["requests"] == 0


@pytest.mark.parametrize("lenient", ["observe", "warn"])
def test_what_cannot_be_governed_is_refused_or_said(
    provider: ProviderProcess, lenient: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused by default; let go, and said, where nothing is to be held back."""
    body = {**BODY, "model": f"of-no-price-{lenient}"}
    with governor(10**9), pytest.raises(httpx.HTTPStatusError) as refused:
        httpx.post(url(provider), json=body, headers=HEADERS).raise_for_status()
    assert isinstance(governor_error(refused.value), NotPriced)
    assert provider.settled_stats()["requests"] == 0

    name = f"bypass-{uuid.uuid4().hex[:8]}"
    team = (
        Governor.local(name, max_usd=1, mode="observe")
        if lenient == "observe"
        else Governor.local(name, max_usd=1, bypass="warn")
    )
    caplog.set_level(logging.WARNING, "prefect_governor.budget")
    with team.activate() as scope:
        scope.run_id = name
        for _ in range(2):
            assert httpx.post(url(provider), json=body, headers=HEADERS).status_code == 404
    assert provider.settled_stats()["requests"] == 2
    if lenient == "observe":
        # It passes within the exchange, and is listed as not measured.
        return
    (note,) = passed_notes(name)
    assert note.startswith("2 model calls to 127.0.0.1/v1/chat/completions passed uncounted")
