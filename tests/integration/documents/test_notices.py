"""What the ledger has to tell, as Prefect events that an Automation acts on (P28)."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.events import Event

from prefect_governor import Budget, Governor, Model, RunFailed, fan_out, research
from prefect_governor.blocks.context.enforcement import BREAK_GLASS
from prefect_governor.blocks.documents.notices import Teller, event_of
from prefect_governor.blocks.governor import load_governor
from prefect_governor.blocks.records.notices import Notice
from prefect_governor.blocks.work.registry import stop_all
from tests.integration.acting import server
from tests.integration.governing import NANO, ask, document_of, edit, loaded_as, spend_reserved
from tests.provider.process import ProviderProcess
from tests.waiting import A_LOOK_AT_THE_SERVER, until

# Prefect's own way from an event to its feed and to its Automations, on a busy machine.
PATIENCE_SECONDS = 60
MODEL = "openai/gpt-4o-mini"
ITEMS = [{"key": f"t{at}", "text": f"Which word is {at}?"} for at in range(6)]
__all__ = ["server"]

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


def events(client: SyncPrefectClient, document: Any, event: str = "prefect-governor.*") -> Any:
    """What Prefect's API has about a document, the oldest first."""
    found = client.request(
        "POST",
        "/events/filter",
        json={
            "filter": {
                "event": {"prefix": [event.removesuffix("*")]},
                "any_resource": {"id": [f"prefect.block-document.{document}"]},
                "order": "ASC",
            }
        },
    ).json()["events"]
    return [Event.model_validate(each) for each in found]


def test_shares_of_a_ceiling_are_told_with_the_budget_as_related_resource(
    name: str, client: SyncPrefectClient
) -> None:
    Budget(max_usd=1).save(f"{name}-team")
    Governor(budget=Budget(parent=f"{name}-team")).save(name)
    governor = load_governor(name)
    document = document_of(loaded_as(Budget, f"{name}-team"))
    share_spent = "prefect-governor.budget.share-spent"
    for usd in ("0.55", "0.3", "0.11", "0.04"):
        spend_reserved(governor, usd)
    until(
        lambda: len(events(client, document, share_spent)) >= 4,
        seconds=PATIENCE_SECONDS,
        every=A_LOOK_AT_THE_SERVER,
    )
    told = events(client, document, share_spent)
    shares = [each.resource["prefect-governor.budget.share"] for each in told]
    assert sorted(shares, key=int) == ["50", "80", "95", "100"]
    for each in told:
        assert each.resource.id == f"prefect.block-document.{document}"
        assert each.resource.name == f"{name}-team"
        (budget,) = each.resources_in_role["budget"]
        assert budget.id == f"prefect.block-document.{document}"
    left = governor.runtime.desk.write(lambda batch: batch.rows.notices(1000)).result(30)
    assert [each for each in left if each.subject == str(document)] == []


def test_every_kind_of_notice_comes_as_its_event(name: str, client: SyncPrefectClient) -> None:
    Governor(budget=Budget(max_usd=1), when_spent="pause").save(name)
    governor = loaded_as(Governor, name)
    runtime = governor.runtime
    document = document_of(governor)
    with governor.reserve(max_usd="0.1"):
        # Left unsettled.
        pass
    with governor.reserve(max_usd="0.1") as above:
        above.settle("0.2")
    call_id, paused = ask(runtime, 0.9)
    edit(document, budget={"max_usd": 2})
    paused.result(30)
    runtime.desk.void(call_id, "the test is over").result(30)
    expected = {"unconfirmed", "bound-exceeded", "ceiling-changed", "over-budget", "resumed"}

    def told() -> set[str]:
        return {each.event.rsplit(".", 1)[-1] for each in events(client, document)}

    until(lambda: told() >= expected, seconds=PATIENCE_SECONDS)


def ask_everybody(name: str) -> None:
    fan_out(ITEMS, ask="Which word?", model=MODEL, governor=name)


def inquire(name: str) -> None:
    tasks = [{"id": each["key"], "objective": each["text"]} for each in ITEMS]
    research("Which words?", plan={"tasks": tasks}, model=MODEL, governor=name)


@pytest.mark.parametrize("run", [ask_everybody, inquire])
def test_circuit_breaker_is_told_about_the_flow_run_with_the_budget_beside_it(
    run: Callable[[str], None], name: str, client: SyncPrefectClient, upstream: ProviderProcess
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    document = document_of(load_governor(name))
    upstream.renew(keys=["another"])
    with pytest.raises(RunFailed) as stopped:
        run(name)
    opened = "prefect-governor.circuit-breaker.opened"
    until(
        lambda: bool(events(client, document, opened)),
        seconds=PATIENCE_SECONDS,
        every=A_LOOK_AT_THE_SERVER,
    )
    (told,) = events(client, document, opened)
    assert told.resource.id == f"prefect.flow-run.{stopped.value.report.run_id}"
    assert "OPENAI_API_KEY" in told.payload["reason"]


def test_throttling_is_told_of_the_budget_whose_call_it_was(
    name: str, client: SyncPrefectClient, upstream: ProviderProcess
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    document = document_of(load_governor(name))
    upstream.renew(latency_seconds=0.3, limits={"max_concurrent": 1})
    ask_everybody(name)
    assert upstream.settled_stats()["throttled"] > 0
    throttled = "prefect-governor.budget.throttled"
    until(
        lambda: bool(events(client, document, throttled)),
        seconds=PATIENCE_SECONDS,
        every=A_LOOK_AT_THE_SERVER,
    )
    (told,) = events(client, document, throttled)
    assert told.resource.id == f"prefect.block-document.{document}"
    assert told.payload["limits"]


@pytest.mark.parametrize(
    ("kind", "nonsense"),
    [
        (Governor, {"budget": {"max_usd": "lots"}}),
        (Governor, {"limits": '[{"max_concurrent": 4'}),
        (Model, {"timeout_seconds": "long"}),
    ],
)
def test_document_edited_to_nonsense_raises_an_alarm_once(
    kind: type[Governor | Model], nonsense: dict[str, Any], name: str, client: SyncPrefectClient
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = loaded_as(Governor, name)
    assert governor.runtime.closed is None
    document = document_of(governor) if kind is Governor else Model().save(f"{name}-model")
    invalid = "prefect-governor.budget.document-invalid"
    edit(document, **nonsense)  # type: ignore[arg-type]
    until(
        lambda: bool(events(client, document, invalid)),
        seconds=PATIENCE_SECONDS,
        every=A_LOOK_AT_THE_SERVER,
    )
    edit(document_of(governor), budget={"max_usd": 2}, limits=[])
    until(lambda: governor.runtime.accounts_[0].ceiling_nano == 2 * NANO)
    (told,) = events(client, document, invalid)
    assert next(iter(nonsense)) in told.payload["reason"]


def test_enforcement_that_is_off_is_told_once_a_process_and_governor(
    name: str, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BREAK_GLASS, "INC-9")
    for each in ("a", "b"):
        Governor(budget=Budget(max_usd=0)).save(f"{name}-{each}")
    off = "prefect-governor.enforcement.off"
    for each in ("a", "b"):
        governor = load_governor(f"{name}-{each}")
        for _ in range(3):
            spend_reserved(governor, "0.1")
        document = document_of(governor)

        def told(document: Any = document) -> list[Event]:
            return list(events(client, document, off))

        until(lambda told=told: bool(told()), seconds=PATIENCE_SECONDS)  # type: ignore[misc]
        (only,) = told()
        assert "INC-9" in only.payload["reason"]


def test_notice_stays_until_the_api_has_taken_it(
    name: str, client: SyncPrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = loaded_as(Governor, name)
    document = document_of(governor)
    desk = governor.runtime.desk
    # Its own keeper tells nothing meanwhile.
    stop_all()

    def left() -> list[Notice]:
        found = desk.write(lambda batch: batch.rows.notices(1000)).result(30)
        return [each for each in found if each.subject.startswith(str(document))]

    desk.write(
        lambda batch: batch.rows.add_notice(
            Notice("over_budget", f"{document}/budget", name, "total", {}, time.time_ns())
        )
    ).result(30)
    teller = Teller(desk, tmp_path, "api")
    with monkeypatch.context() as away:
        away.setattr("prefect_governor.blocks.documents.notices.send", _fail)
        with pytest.raises(ConnectionError):
            teller.tell()
    assert len(left()) == 1
    # Told, and its process killed before it could say so: told again, as the same event.
    with monkeypatch.context() as killed:
        killed.setattr(type(desk), "write", _killed_at_the_second(type(desk).write))
        with pytest.raises(KeyboardInterrupt):
            teller.tell()
    assert len(left()) == 1
    teller.tell()
    assert left() == []
    until(
        lambda: bool(events(client, document)), seconds=PATIENCE_SECONDS, every=A_LOOK_AT_THE_SERVER
    )
    assert len(events(client, document)) == 1


def _fail(*_: Any) -> None:
    raise ConnectionError("the server is away")


def _killed_at_the_second(write: Callable[..., Any]) -> Callable[..., Any]:
    asked: list[int] = []

    def once(*arguments: Any) -> Any:
        asked.append(1)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return write(*arguments)

    return once


def test_notice_of_another_servers_budget_is_left_to_it(name: str, tmp_path: Path) -> None:
    """One ledger may serve development's server and production's."""
    desk = Governor.local(name, max_usd=1).runtime.desk
    foreign, now = str(uuid4()), 10**9 * 10**9
    notice = Notice("over_budget", foreign, "theirs", "total", {}, now)
    desk.write(lambda batch: batch.rows.add_notice(notice)).result(30)

    def left() -> int:
        found = desk.write(lambda batch: batch.rows.notices(1000)).result(30)
        return sum(each.subject == foreign for each in found)

    Teller(desk, tmp_path, "api", wall=lambda: now / 1e9 + 60).tell()
    assert left() == 1
    # Nobody came for it in a day: its document is gone.
    Teller(desk, tmp_path, "api", wall=lambda: now / 1e9 + 90_000).tell()
    assert left() == 0


def test_one_process_tells_for_all(name: str, tmp_path: Path) -> None:
    desk = Governor.local(name, max_usd=1).runtime.desk
    notice = Notice("over_budget", f"run/{name}", "this run", "total", {}, 1)
    first, second = (Teller(desk, tmp_path, "api") for _ in range(2))
    first.tick()
    desk.write(lambda batch: batch.rows.add_notice(notice)).result(30)
    second.tick()
    found = desk.write(lambda batch: batch.rows.notices(1000)).result(30)
    assert any(each.subject == f"run/{name}" for each in found)
    first.close()
    second.tick(True)
    found = desk.write(lambda batch: batch.rows.notices(1000)).result(30)
    assert not any(each.subject == f"run/{name}" for each in found)


def test_flow_run_of_a_notice_is_related() -> None:
    run = str(uuid4())
    notice = Notice("over_budget", str(uuid4()), "team", "2026-11", {"flow_run_id": run}, 1, id=7)
    event = event_of(notice, "ledger")
    (related,) = event.resources_in_role["flow-run"]
    assert related.id == f"prefect.flow-run.{run}"
    assert event.id == event_of(notice, "ledger").id != event_of(notice, "another").id
