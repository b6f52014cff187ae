"""One page of money a governor, written by whoever leads, and it says what the provider billed."""

import time
from decimal import Decimal
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact

from prefect_governor import Budget, Governor, fan_out
from prefect_governor.blocks.machine.election import Election
from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.statements import publishing
from prefect_governor.blocks.statements.publishing import EVERY_SECONDS, Publisher, page_key
from prefect_governor.blocks.work.registry import stop_all
from tests.integration.cli.commands import Command, ended
from tests.integration.conftest import Corpus
from tests.integration.governing import MODEL, loaded_as, spend_reserved
from tests.provider.process import ProviderProcess
from tests.unit.clocks import Seconds

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")
DAY = 86_400.0


def artifacts(client: SyncPrefectClient, key: str) -> list[Artifact]:
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    return client.read_artifacts(artifact_filter=wanted)


def test_two_processes_write_one_page_that_says_what_the_provider_billed(
    command: Command,
    upstream: ProviderProcess,
    corpus: Corpus,
    client: SyncPrefectClient,
    name: str,
    tmp_path: Path,
) -> None:
    upstream.configure(output_tokens=5)
    Governor(budget=Budget(max_usd=1, window="day")).save(name)
    items = corpus(3)
    other = command(
        "fan-out", str(items[0]), "--ask", "What is it?", "--model", MODEL,
        "--governor", name, "--max-output-tokens", "20", cwd=tmp_path,
    )  # fmt: skip
    assert "1 succeeded" in ended(other)[0]
    (first,) = artifacts(client, page_key(name))
    assert show_usd(upstream.settled_stats()["billed_nano"]) in str(first.data)
    report = fan_out(items[1:], ask="What is it?", model=MODEL, governor=name, max_output_tokens=20)
    stop_all()
    (page,) = artifacts(client, page_key(name))
    assert page.id == first.id and page.type == "markdown"
    text, billed = str(page.data), upstream.settled_stats()["billed_nano"]
    assert f"# Money of governor `{name}`" in text
    assert f"| {show_usd(billed)} | $1.00 |" in text
    assert f"| `{MODEL}` | {show_usd(billed)} | 3 |" in text
    assert f"| `(no deployment)` | {show_usd(billed)} | 3 |" in text
    for item in report.items:
        cost = show_usd(int(item.usd * Decimal(10**9)))
        assert f"{item.key[-20:]}` | `fan-out` | {cost} | 1 |" in text
    summaries = artifacts(client, "fan-out-summary")
    (said,) = [each.data for each in summaries if str(each.flow_run_id) == report.run_id]
    assert f"](../key/{page_key(name)})" in str(said)
    assert "statement" not in report.to_json()["budget"]


def test_a_day_is_a_version_and_so_many_are_kept_whoever_else_stands_for_election(
    client: SyncPrefectClient, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "MOST_VERSIONS", 2)
    Governor(budget=Budget(max_usd=5, window="total")).save(name)
    governor = loaded_as(Governor, name)
    runtime = governor.runtime
    clock, wall = Seconds(), Seconds()

    def publisher() -> Publisher:
        return Publisher(
            name,
            lambda: runtime.accounts_,
            runtime.desk,
            Election(tmp_path / "page.money"),
            clock=clock,
            wall=wall,
        )

    leads, follows = publisher(), publisher()

    def pass_(seconds: float) -> list[Artifact]:
        clock.now += seconds
        wall.now += seconds
        leads.tick()
        follows.tick()
        return artifacts(client, page_key(name))

    wall.now = time.time()
    # Nothing was spent: there is nothing to say.
    assert pass_(EVERY_SECONDS) == []
    spend_reserved(governor, "0.5")
    assert pass_(1) == []
    (page,) = pass_(EVERY_SECONDS)
    assert "| $0.50 | $5.00 |" in str(page.data)
    leads.close()
    spend_reserved(governor, "0.25")
    leads.soon()
    follows.soon()
    # Whoever is elected next goes on with the same day's.
    (page,) = pass_(EVERY_SECONDS)
    assert "| $0.75 | $5.00 |" in str(page.data)
    kept = [page.id]
    for _ in range(2):
        spend_reserved(governor, "0.25")
        versions = pass_(DAY)
        kept.append(max(versions, key=lambda each: str(each.created)).id)
    assert len(kept) == 3 and {each.id for each in versions} == {*kept[1:]}
    leads.close()
    follows.close()
