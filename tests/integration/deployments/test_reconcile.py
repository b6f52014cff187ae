"""All budgets are reconciled at night: by evidence, never by guess, and one that is broken holds up
none."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import ArtifactSort

from prefect_governor import Budget, ConfigurationError, Governor, completion
from prefect_governor.blocks.documents.documents import saved
from prefect_governor.blocks.figures.figures import budget_figures
from prefect_governor.blocks.governor import resolve
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.records.notices import Audit
from prefect_governor.blocks.terms.budget import BudgetTerms
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.flows.reconcile_flow import ARTIFACT, reconcile
from tests.integration.governing import MODEL, loaded_as
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


@pytest.fixture
def lost(name: str, upstream: ProviderProcess, client: SyncPrefectClient) -> Iterator[list[str]]:
    """Two governors under one budget, each with calls that nobody confirmed. What other tests have
    left on this server and in this ledger is no news here."""
    for each in (*saved(GovernorTerms), *saved(BudgetTerms)):
        client.delete_block_document(each.id)

    def give_back(batch: Batch) -> None:
        for call in desk().store.read_calls(("unconfirmed",)):
            audit = Audit("voided", call.call_id, "a test", "left by another", None, "", "", 0)
            batch.reconcile(call.call_id, None, audit)

    desk().write(give_back).result()
    names = [f"{name}-a", f"{name}-b"]
    Budget(max_usd=5, window="month").save(name)
    upstream.configure(faults={"at": {"1": "no_usage", "2": "no_usage", "3": "no_usage"}})
    for governor, calls in zip(names, (2, 1), strict=True):
        Governor(budget=Budget(max_usd=1, window="day", parent=name)).save(governor)
        with loaded_as(Governor, governor):
            for at in range(calls):
                with suppress(Exception):
                    completion(MODEL, [{"role": "user", "content": f"{at}?"}], max_tokens=24)
    yield [name, *names]


def nightly(client: SyncPrefectClient, **given: Any) -> tuple[State[Any], str]:
    """The state of a reconciliation, and the page that it made."""
    state: Any = reconcile(**given, return_state=True)
    made = client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[ARTIFACT])),
        sort=ArtifactSort.CREATED_DESC,
    )[0]
    return state, str(made.data)


def test_what_nobody_knows_is_listed_and_stays_charged_until_an_export_says_what_it_cost(
    lost: list[str], upstream: ProviderProcess, client: SyncPrefectClient, tmp_path: Path
) -> None:
    before = budget_figures(resolve(lost[1]).runtime, None)
    assert before.unconfirmed_usd > 0
    state, page = nightly(client)
    # A call of a team's is its parent's as well, and one call.
    assert state.name == "Completed"
    assert state.message is not None and state.message.startswith("3 unconfirmed, charged at ")
    for name, count in zip(lost, (3, 2, 1), strict=True):
        assert f"| {name} | {count} |" in page.replace("\\", "")
    assert budget_figures(resolve(lost[1]).runtime, None) == before

    with pytest.raises(ConfigurationError, match="no usage export"):
        reconcile(exports=["*.csv"], folder=str(tmp_path))

    # The row of one call is missing: that one is nobody's to settle.
    lines = upstream.usage_export("csv").splitlines(keepends=True)
    (tmp_path / "openai.csv").write_text("".join(lines[:-1]))
    state, page = nightly(client, exports=["*.csv"], folder=str(tmp_path))
    assert state.message is not None and state.message.startswith("1 unconfirmed")
    assert "2 settled by the provider's exports" in state.message
    (tmp_path / "openai.csv").write_text("".join(lines))
    state, page = nightly(client, exports=["*.csv"], folder=str(tmp_path))
    assert state.message == "no call is unconfirmed; 1 settled by the provider's exports"
    spent = sum(
        int(budget_figures(resolve(name).runtime, None).spent_usd * 10**9) for name in lost[1:]
    )
    assert spent == upstream.settled_stats()["billed_nano"] > 0


def test_a_budget_that_cannot_be_read_is_named_and_the_others_are_looked_at(
    lost: list[str], client: SyncPrefectClient
) -> None:
    document = client.read_block_document_by_name(lost[1], "governor")
    # As the API takes it from a form.
    broken = {**document.data, "budget": {**document.data["budget"], "max_usd": -3}}
    client.request(
        "PATCH",
        "/block_documents/{id}",
        path_params={"id": document.id},
        json={"data": broken, "merge_existing_data": False},
    )
    state, page = nightly(client)
    assert state.is_completed() and state.name == "Partial"
    assert state.message is not None and "1 of " in state.message
    assert lost[1] in page and f"| {lost[2]} | 1 |" in page.replace("\\", "")
    client.delete_block_document(document.id)
