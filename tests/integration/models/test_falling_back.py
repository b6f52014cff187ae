"""The end of the money by policy "fallback": cheaper models are asked, and the report says so."""

import re
from decimal import Decimal

import pytest

from prefect_governor import Budget, Governor, Limit, Model, Report, fan_out
from tests.integration.conftest import Corpus
from tests.provider.process import ProviderProcess

DEAR, CHEAP = "gpt-4o", "gpt-4o-mini"

pytestmark = pytest.mark.usefixtures("server")


@pytest.mark.parametrize("policy", ["fallback", "stop"])
def test_cheaper_model_is_asked_from_the_share_on_and_the_report_says_how_often(
    upstream: ProviderProcess, corpus: Corpus, policy: str
) -> None:
    Model(name=f"openai/{DEAR}", fallbacks=[f"openai/{CHEAP}"], max_output_tokens=24).save(
        f"dear-{policy}"
    )
    # A cheap call costs a sixteenth: once half is spent, all the others fit in what is left.
    ceiling = Decimal("0.0030")
    Governor(
        budget=Budget(max_usd=ceiling),
        limits=[Limit(tag="llm", max_concurrent=1)],
        when_spent=policy,  # type: ignore[arg-type]
        fallback_share=0.5,
    ).save(f"falls-back-{policy}")
    # Slower than what was read of the budget grows old. Calls that wait since before the share was
    # reached fall back when they turn out to be over budget.
    upstream.configure(latency_seconds=0.6, output_tokens="max")
    report = fan_out(
        corpus(9, words=80),
        ask="What is this?",
        governor=f"falls-back-{policy}",
        model=f"block:dear-{policy}",
    )
    assert isinstance(report, Report)
    asked = [record["model"] for record in upstream.log()]
    stats = upstream.settled_stats()
    notes = [note for note in report.notes if "cheaper model" in note]
    states = [item.state for item in report.items]
    print(f"{policy}: asked {asked}, {states}, notes {report.notes}")
    assert stats["billed_nano"] <= ceiling * 10**9
    if policy == "stop":
        assert set(asked) == {DEAR}
        assert "over_budget" in states
        assert not notes
        return
    assert set(states) == {"succeeded"}
    first = asked.index(CHEAP)
    assert first >= 1
    assert asked == [DEAR] * first + [CHEAP] * (len(asked) - first)
    (note,) = notes
    found = re.match(r"(\d+) calls? w", note)
    assert found is not None
    assert int(found.group(1)) == asked.count(CHEAP)
    assert f"openai/{DEAR}" in note
