"""An application as it stands, tried in observe mode: everything passes, and what enforcement would
refuse is listed by model and path."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from prefect_governor import Governor, NotPriced, OverBudget
from prefect_governor.blocks.figures.observing import enforcement_notes, observed_of
from prefect_governor.flows.cli.main import main
from tests.integration.models.bill import calls, figures
from tests.integration.models.cases import HELLO, PRICES, root
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

FILE: Any = [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]
CHAT: Any = {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 30}
HOUSE = "house-model"
# Each with how often it is asked, and whether enforcement measures it.
ASKED: list[tuple[dict[str, Any], int, bool]] = [
    (CHAT, 2, True),
    ({**CHAT, "model": HOUSE}, 3, False),
    ({**CHAT, "model": HOUSE, "stream": True}, 1, False),
    ({**CHAT, "model": HOUSE, "max_tokens": None}, 1, False),
    ({**CHAT, "messages": FILE}, 2, False),
    ({**CHAT, "next_years": 1}, 1, False),
]


def test_application_that_is_observed_is_refused_nothing_and_told_what_would_be(
    provider: ProviderProcess,
) -> None:
    provider.renew(prices={**PRICES, HOUSE: {"input": "0.000003", "output": "0.000005"}})
    url = f"{root(provider)}/v1/chat/completions"
    enforced = Governor.local("enforced", max_usd=1)
    with enforced.http_client() as http:
        for body, _, measured in ASKED:
            assert http.post(url, json=body).is_success == measured
    provider.reset()
    observed = Governor.local("observed", max_usd=1, mode="observe")
    with observed.http_client() as http:
        for body, times, _ in ASKED:
            for _ in range(times):
                assert http.post(url, json=body).is_success
    stats = provider.settled_stats()
    assert stats["requests"] == 10
    assert [each.state for each in calls(observed)] == ["spent"] * 10
    # All tokens are counted, and the money of what has a price.
    state = figures(observed)
    assert state.spent_tokens == stats["input_tokens"] + stats["output_tokens"]
    assert 0 < state.spent_nano < stats["billed_nano"]
    seen = observed_of(observed.runtime, None)
    assert (seen.calls, seen.would_be_over_budget) == (10, 0)
    listed = [(each.model, each.path, each.calls) for each in seen.not_measured]
    at = "POST /v1/chat/completions"
    assert listed == [(HOUSE, at, 5), ("gpt-4o-mini", at, 3)]
    line = enforcement_notes(observed.runtime, None)[-1]
    assert "8 calls would have been refused" in line
    assert f"{HOUSE} at {at}: 5; gpt-4o-mini at {at}: 3" in line
    shown = CliRunner().invoke(main, ["budget", "show", "local/observed", "--json"])
    told = json.loads(shown.stdout)["not_measured"]
    assert [(each["model"], each["calls"]) for each in told] == [(HOUSE, 5), ("gpt-4o-mini", 3)]
    assert "prices=" in told[0]["why"]
    text = CliRunner().invoke(main, ["budget", "show", "local/observed"]).stdout
    assert "not measured" in text and HOUSE in text


def test_governor_of_tokens_alone_needs_no_prices_and_holds_its_tokens(
    provider: ProviderProcess,
) -> None:
    provider.renew(prices={HOUSE: {"input": "0.000003", "output": "0.000005"}})
    url = f"{root(provider)}/v1/chat/completions"
    governor = Governor.local("tokens", max_total_tokens=1500)
    with governor.http_client(raise_refusals=True) as http:
        assert http.post(url, json={**CHAT, "model": HOUSE}).is_success
        stats = provider.settled_stats()
        with pytest.raises(OverBudget, match="tokens"):
            http.post(url, json={**CHAT, "model": HOUSE, "max_tokens": 1500})
        # Another process gives it a ceiling in money: from then on a price is needed.
        assert Governor.local("tokens", max_total_tokens=1500, max_usd=1).runtime
        with pytest.raises(NotPriced):
            http.post(url, json={**CHAT, "model": HOUSE})
    assert figures(governor).spent_tokens == stats["input_tokens"] + stats["output_tokens"]
