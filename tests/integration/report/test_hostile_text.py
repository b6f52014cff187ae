"""Whatever text a model, a user or a provider gives: the run ends, all of it is told, and what is
told is text that a Prefect server on PostgreSQL takes: no half characters, no NUL."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from pydantic import SecretStr

from prefect_governor import Budget, Governor, fan_out, research
from prefect_governor.blocks.documents.notices import alarm, event_of, send
from prefect_governor.blocks.errors import ConfigurationError, ItemFailed, RunFailed
from prefect_governor.blocks.records.notices import Notice
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.report.model import Report
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.governing import MODEL
from tests.integration.recorded import task_runs
from tests.postgres import shared_server
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")

HOSTILE = "half \ud800 a character, \x00, \u202e turned around, \u2028 a line and \udcff"


def said(text: str) -> dict[str, str]:
    """A reply of the provider's, with escapes where its own JSON would fail."""
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    message = {"role": "assistant", "content": text}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage}  # fmt: skip
    return {"body": json.dumps(body)}


def report_of(run: Callable[[], Any]) -> Report:
    try:
        report = run()
    except RunFailed as failed:
        report = failed.report
    assert isinstance(report, Report)
    return report


@pytest.fixture(scope="module")
def on_postgresql(server: object) -> str:
    """A governor whose ledger is there."""
    url = SecretStr(shared_server().schema_url())
    Governor(budget=Budget(max_usd=5), ledger_url=url).save("hostile")
    return "hostile"


def items(*keys: str, text: str = "text", ask: str = "What?", **more: Any) -> Report:
    given = [Item(key=key, text=text) for key in keys]
    return report_of(lambda: fan_out(given, ask=ask, model=MODEL, **more))


def asked(folder: Path, question: str = "Which?", objective: str = "which", **more: Any) -> Report:
    (folder / "a.md").write_text("# Ports\n\nThe port is 7.\n")
    tasks = [{"id": name, "objective": objective, "boundaries": objective} for name in "ab"]
    options = {"corpus": ["*.md"], "folder": str(folder), "plan": {"tasks": tasks}, **more}
    return report_of(lambda: research(question, model=MODEL, max_rounds=0, **options))


def broken(task: Any, inputs: Any, governor: Any) -> str:
    try:
        raise RuntimeError(HOSTILE)
    except RuntimeError as cause:
        raise ItemFailed(HOSTILE) from cause


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts_in(key)
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)


def kept_of(client: SyncPrefectClient, run_id: str, count: int) -> dict[str, Any]:
    """All that the API has of a run, once so many task runs of it have ended there."""
    run = UUID(run_id)
    tasks = task_runs(client, run_id, count).values()
    artifacts = client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    )
    logs = client.request(
        "POST",
        "/logs/filter",
        json={
            "logs": LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])).model_dump(mode="json")
        },
    ).json()
    return {
        "run": client.read_flow_run(run).model_dump(mode="json"),
        "tasks": [each.model_dump(mode="json") for each in tasks],
        "artifacts": [each.model_dump(mode="json") for each in artifacts],
        "logs": logs,
    }


MEDIA: dict[str, tuple[Any, Callable[..., Report], list[str]]] = {
    "answer": (said(HOSTILE), lambda _, **more: items("a", **more), ["succeeded"]),
    "answer that does not validate": (
        said(json.dumps({HOSTILE: HOSTILE})),
        lambda _, **more: items(
            "a", schema={"type": "object", "additionalProperties": False}, **more
        ),
        ["failed"],
    ),
    "key": ("fine", lambda _, **more: items(HOSTILE, "b", **more), ["succeeded", "succeeded"]),
    "text": ("fine", lambda _, **more: items("a", text=HOSTILE, **more), ["succeeded"]),
    "ask": ("fine", lambda _, **more: items("a", ask=HOSTILE, **more), ["succeeded"]),
    "error of the provider": (
        {"status": 400, "text": "no \x00 \u202e"}, lambda _, **more: items("a", **more), ["failed"],
    ),
    "answers of agents": (
        said(f"It is 7 [a.md:3]. {HOSTILE}"), asked, ["succeeded", "succeeded"],
    ),
    "question and objectives": (
        "It is 7.",
        lambda folder, **more: asked(folder, HOSTILE, HOSTILE, **more),
        ["succeeded", "succeeded"],
    ),
    "error of an agent": (
        "fine", lambda folder: asked(folder, agent=broken), ["failed", "failed"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("medium", MEDIA)
def test_whatever_text_comes_in_all_of_it_is_told(
    upstream: ProviderProcess, client: SyncPrefectClient, tmp_path: Path, medium: str
) -> None:
    reply, run, states = MEDIA[medium]
    upstream.renew(script=[{"match": ".", "reply": reply}])
    report = run(tmp_path)
    assert [item.state for item in report.items] == states, [item.reason for item in report.items]
    assert not any("synthesis" in note for note in report.notes), report.notes
    kept = kept_of(client, report.run_id, len(states))
    assert {"run", "tasks", "artifacts", "logs"} == set(kept) and kept["artifacts"]
    assert not [text for text in texts_in(kept) if "\x00" in text]
    # All of it has UTF-8, or it would not have come; and so have the files.
    for file in report.files:
        Path(file).read_bytes().decode()
    # And in the contract's object.
    assert json.loads(json.dumps(report.to_json()))["items"]


# Of each place that it comes in by, what a ledger keeps of it: keys, answers, reasons, plans.
KEPT = ("answer", "answer that does not validate", "key", "error of the provider",
        "question and objectives")  # fmt: skip


@pytest.mark.parametrize("medium", KEPT)
def test_a_ledger_on_postgresql_keeps_all_of_it_and_a_run_goes_on_from_there(
    upstream: ProviderProcess, tmp_path: Path, medium: str, on_postgresql: str
) -> None:
    reply, run, states = MEDIA[medium]
    upstream.renew(script=[{"match": ".", "reply": reply}])
    first = run(tmp_path, governor=on_postgresql)
    assert [item.state for item in first.items] == states, [item.reason for item in first.items]
    asked = upstream.settled_stats()["requests"]
    assert sum(item.calls for item in first.items) <= asked
    # Gone on with, what succeeded is not asked again, and what failed fails as it did.
    token = current_control.set(Control(kept_as=first.run_id))
    try:
        second = run(tmp_path, governor=on_postgresql)
    finally:
        current_control.reset(token)
    assert [item.state for item in second.items] == states
    assert [item.result for item in second.items] == [item.result for item in first.items]
    again = upstream.settled_stats()["requests"] - asked
    assert again == (1 if medium == "error of the provider" else 0)


def test_a_row_with_half_a_character_is_refused_in_a_line(upstream: ProviderProcess) -> None:
    with pytest.raises(ConfigurationError, match=r"half a character .* at place 6"):
        fan_out([{"key": "a", "text": HOSTILE}], ask="What?", model=MODEL)
    assert upstream.settled_stats()["requests"] == 0


def test_events_are_taken_whatever_they_tell(client: SyncPrefectClient) -> None:
    notice = Notice(
        id=1, kind="over_budget", subject=f"run/{HOSTILE}", name=HOSTILE, window="total",
        payload={"waiting_for": HOSTILE, "more": [HOSTILE]}, wall=time.time_ns(),
    )  # fmt: skip
    events = [
        event_of(notice, "ledger"),
        alarm("prefect-governor.test", "x", HOSTILE, {"error": HOSTILE}),
    ]
    send(client, events)
    told = [each.model_dump(mode="json") for each in events]
    assert not [text for text in texts_in(told) if "\x00" in text]
    json.dumps(told, ensure_ascii=False).encode()
