"""P11: with enough work queued the cap is used, and never passed, as the provider saw it."""

import os
import statistics
from pathlib import Path
from uuid import uuid4

import pytest

from prefect_governor import Budget, Governor, Limit
from prefect_governor.flows.server.background import ServerInfo
from tests.chaos.crew import TAG, Crew, CrewOrder, Told
from tests.provider.books.log import first_full, utilization
from tests.provider.fixtures import MakeProvider
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.scale, pytest.mark.slow]

CAP = 20
CALLS = 400
PROCESSES = 4
PAIRS = int(os.environ.get("CAP_PAIRS", "5"))
KEEPERS = ["the ledger alone", "a limit of Prefect's"]


@pytest.fixture
def saved(request: pytest.FixtureRequest, kept_by: str) -> str | None:
    """The name of a saved governor whose cap stands as a limit of Prefect's; None for a local
    one."""
    if kept_by == KEEPERS[0]:
        return None
    server: ServerInfo = request.getfixturevalue("server")
    assert server.url
    name = f"cap-{uuid4().hex[:8]}"
    Governor(budget=Budget(max_usd=1000), limits=[Limit(tag=TAG, max_concurrent=CAP)]).save(name)
    return name


def strict(make_provider: MakeProvider, seconds: float) -> ProviderProcess:
    """A provider that itself refuses the call that is one too many."""
    return make_provider(latency_seconds=seconds, output_tokens=5, limits={"max_concurrent": CAP})


def run(
    crew: Crew, provider: ProviderProcess, workers: int, **fields: object
) -> tuple[float, dict[str, int], dict[str, Told]]:
    """The cap's utilization by P11, what became of all calls, and of each worker's."""
    provider.settled_stats()
    provider.reset()
    hands = [
        crew.start(
            CrewOrder(
                f"{uuid4().hex[:6]}",
                provider.api_base,
                CAP,
                calls=CALLS // workers,
                callers=CALLS // workers,
                **fields,  # type: ignore[arg-type]
            )
        )
        for _ in range(workers)
    ]
    told = crew.end(*hands)
    stats = provider.settled_stats()
    ends = {status: 0 for each in told.values() for status in each.met}
    for each in told.values():
        for status, count in each.met.items():
            ends[status] += count
    ends["most open"] = stats["max_open"]
    ends["throttled"] = stats["throttled"]
    return utilization(provider.log(), CAP), ends, told


@pytest.mark.parametrize("kept_by", KEEPERS)
def test_calls_of_a_second_use_95_percent_of_the_cap_and_never_pass_it(
    kept_by: str, saved: str | None, make_provider: MakeProvider, tmp_path: Path
) -> None:
    provider = strict(make_provider, 1.0)
    home = tmp_path if saved is None else Path(os.environ["PREFECT_HOME"])
    with Crew(home) as crew:
        crew.wait_until_warm()
        for workers in (1, PROCESSES):
            used, ends, _ = run(crew, provider, workers, governor=saved)
            print(f"\n{kept_by}, {workers} processes: {used:.2%} of the cap used, {ends}")
            assert ends["200"] == CALLS
            assert ends["most open"] == CAP
            assert ends["throttled"] == 0
            assert used >= 0.95
        _, ends, _ = run(crew, provider, 1, how="free")
        print(f"ungoverned: {ends}")
        assert ends["most open"] > CAP
        assert ends["throttled"] > 0


@pytest.mark.parametrize("kept_by", KEEPERS)
def test_calls_of_a_fifth_of_a_second_use_what_bare_httpx_under_a_semaphore_does(
    kept_by: str, saved: str | None, make_provider: MakeProvider, tmp_path: Path
) -> None:
    provider = strict(make_provider, 0.2)
    home = tmp_path if saved is None else Path(os.environ["PREFECT_HOME"])
    ours: list[float] = []
    bare: list[float] = []
    with Crew(home) as crew:
        crew.wait_until_warm()
        for pair in range(PAIRS):
            for how in ("governed", "semaphore") if pair % 2 else ("semaphore", "governed"):
                used, ends, _ = run(
                    crew, provider, 1, how=how, governor=saved if how == "governed" else None
                )
                assert ends["200"] == CALLS
                assert ends["most open"] == CAP
                assert ends["throttled"] == 0
                (ours if how == "governed" else bare).append(used)
        shared, ends, _ = run(crew, provider, PROCESSES, governor=saved)
        assert ends["200"] == CALLS
        assert ends["most open"] <= CAP
    ratio = statistics.median(ours) / statistics.median(bare)
    print(
        f"\n{kept_by}: bare httpx {[f'{each:.2%}' for each in bare]}, governed"
        f" {[f'{each:.2%}' for each in ours]}: {ratio:.2%} of bare;"
        f" by {PROCESSES} processes {shared:.2%}"
    )
    assert first_full(provider.log(), CAP) is not None
    assert ratio >= 0.98
