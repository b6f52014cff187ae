"""What goes on in threads of ours is under the Prefect settings of whoever started it: the process
may speak to another server, or to none."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_governor import Budget, Governor, Limit, Report, fan_out
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.flows.server.background import ServerInfo
from prefect_governor.flows.server.server import use_server
from tests.integration.governing import MODEL, NANO, ask, document_of, edit, loaded_as
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("put_out_of_work")

NOBODY = ServerInfo("http://127.0.0.1:9/api", "http://127.0.0.1:9")


@contextmanager
def elsewhere(server: ServerInfo) -> Iterator[None]:
    """The process itself speaks to nobody."""
    use_server(NOBODY)
    try:
        yield
    finally:
        use_server(server)


def test_leases_and_documents_are_kept_where_the_governor_was_put_to_work(
    name: str, client: SyncPrefectClient, server: ServerInfo
) -> None:
    limits = [Limit(tag="llm", max_concurrent=2)]
    with elsewhere(server):
        with temporary_settings({PREFECT_API_URL: server.url}):
            Governor(budget=Budget(max_usd=1), limits=limits).save(name)
            governor = loaded_as(Governor, name)
            runtime = governor.runtime
            document = document_of(governor)
        call_id, admitted = ask(runtime, 0.1)
        # Under a lease that the keeper has taken since.
        admitted.result(30)
        with temporary_settings({PREFECT_API_URL: server.url}):
            edit(document, budget={"max_usd": 3})
        until(lambda: runtime.accounts_[0].ceiling_nano == 3 * NANO, seconds=30)
        runtime.desk.settle(call_id, Usage(1, 1, 1)).result(30)

        def taken() -> int:
            found = client.read_global_concurrency_limit_by_name(f"governor:{name}:llm")
            return found.active_slots or 0

        until(lambda: taken() == 0, seconds=30)


def test_progress_of_a_run_is_shown_where_the_run_is(
    client: SyncPrefectClient, server: ServerInfo, upstream: ProviderProcess
) -> None:
    items = [{"key": str(at), "text": "hello"} for at in range(3)]
    with elsewhere(server), temporary_settings({PREFECT_API_URL: server.url}):
        report = cast(Report, fan_out(items, ask="What is this?", model=MODEL, max_usd=1))
    assert report.outcome == "complete"
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(report.run_id)]))
    kinds = {each.type for each in client.read_artifacts(artifact_filter=of_run)}
    assert "progress" in kinds
