"""Keys that are planted everywhere are found nowhere in what a run writes; with the scrubber off
they are."""

import asyncio
import io
import json
import logging
import uuid
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from prefect import flow, get_run_logger, task
from prefect.blocks.core import Block
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from pydantic import SecretStr

from prefect_governor import (
    GovernedTaskRunner,
    Governor,
    Model,
    Report,
    completion,
    fan_out,
    publish_report,
)
from prefect_governor.blocks.errors import RunFailed
from prefect_governor.flows.cli.terminal.terminal import print_report, say
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.governing import HELLO, MODEL, loaded_as
from tests.integration.research.asking import ask, plan
from tests.integration.secrets.planting import found, planted, told
from tests.provider.answers.riddles import make_world
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")

# How a provider may quote the key of a request.
ECHOES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": lambda key: json.dumps({"sent": {"Authorization": f"Bearer {key}"}}),
    "url": quote_plus,
    "base64": lambda key: b64encode(f"Bearer {key}".encode()).decode(),
    "base64url": lambda key: urlsafe_b64encode(f"token:{key}".encode()).decode(),
    "hex": lambda key: key.encode().hex(),
}


class Heard:
    """What leaves this process by other ways than files: log lines of a person's own handler, and
    events."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines = io.StringIO()
        self.events: list[str] = []
        send = EventsWorker.send

        def heard(worker: Any, event: Any) -> None:
            self.events.append(event.model_dump_json())
            send(worker, event)

        monkeypatch.setattr(EventsWorker, "send", heard)
        self.handler = logging.StreamHandler(self.lines)
        logging.getLogger().addHandler(self.handler)
        # LiteLLM's own lines, with what it was given and what it sends.
        for name in ("LiteLLM", "openai", "httpx"):
            logger = logging.getLogger(name)
            monkeypatch.setattr(logger, "level", logging.DEBUG)
            logger.addHandler(self.handler)
            logger.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    made = Heard(monkeypatch)
    yield made
    for name in ("", "LiteLLM", "openai", "httpx"):
        logging.getLogger(name).removeHandler(made.handler)
    logging.getLogger().manager._clear_cache()  # type: ignore[attr-defined]


def plant(keys: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", keys["environment"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["cloud"])
    monkeypatch.setenv("ACME_URL", f"redis://me:{quote_plus(keys['address'])}@db.example/0")
    monkeypatch.setenv("PREFECT_API_KEY", keys["profile"])
    Model(name=MODEL, api_key=SecretStr(keys["model_block"]), max_output_tokens=1000).save(name)
    password = quote_plus(keys["ledger_password"])
    url = SecretStr(f"postgresql://me:{password}@db.example:1/ledger")
    Governor(ledger_url=url, budget={"max_usd": 1}).save(name)  # type: ignore[arg-type]
    loaded_as(Governor, name)
    local = Governor.local(name, max_usd=1)
    local.completion(MODEL, HELLO, max_tokens=5, api_key=keys["argument"])


def fan_out_of(keys: dict[str, str], name: str, upstream: ProviderProcess, out: Path) -> Report:
    """Items whose texts hold them, whose answers do, and whose errors quote what was sent."""
    shown = keys["model_block"]
    upstream.renew(
        script=[
            {"match": rf"item-{how}\b", "reply": {"status": 400, "text": f"bad: {write(shown)}"}}
            for how, write in ECHOES.items()
        ]
        + [{"match": r"item-answer\b", "reply": told(keys)}]
    )
    items = [{"key": f"{how}-1", "text": f"{told(keys)} item-{how}"} for how in (*ECHOES, "answer")]
    control = Control(out=out)
    token = current_control.set(control)
    try:
        fan_out(items, ask=f"What of {keys['cloud']}?", model=f"block:{name}")
    except RunFailed:
        pass
    finally:
        current_control.reset(token)
    assert control.report is not None
    return control.report


def research_of(keys: dict[str, str], upstream: ProviderProcess, notes: Path) -> Report:
    """Tools that read them, give them, and fail with them."""

    def leak() -> dict[str, Any]:
        """Gives what it knows."""
        logging.getLogger("prefect_governor.budget").warning("a tool says %s", told(keys))
        get_run_logger().info("the task says %s", told(keys))
        completion(MODEL, HELLO, max_tokens=5)
        return {"all": [told(keys), keys]}

    def fail() -> str:
        """Fails with what it knows."""
        try:
            raise ValueError(told(keys))
        except ValueError as error:
            raise RuntimeError(f"outer: {told(keys)}") from error

    read = {"name": "read", "arguments": {"source": "keys.md"}}
    calls: list[dict[str, Any]] = [{"name": "leak"}, {"name": "fail"}, read]
    (notes / "keys.md").write_text("\n".join(keys.values()), encoding="utf-8")
    asked = {"tool_calls": [{"arguments": {}, **call} for call in calls]}
    upstream.renew(
        script=[
            {"match": "Your task", "by": "turn", "reply": [asked, f"It is {told(keys)}"]},
            {"match": "^Question", "reply": f"All of it: {told(keys)}"},
        ]
    )
    tasks = plan(("a", f"first {keys['address']}", []), ("b", "second", ["a"]))
    return ask(
        f"What is {keys['profile']}?", notes, plan=tasks, tools=[leak, fail], max_rounds=0,
        max_output_tokens=1000,
    )  # fmt: skip


def flow_of_ones_own(keys: dict[str, str]) -> None:
    """A task that fails with them, its error kept by Prefect."""

    @task(persist_result=True, tags=["llm"])
    def fails() -> None:
        print(told(keys))
        try:
            raise ValueError(told(keys))
        except ValueError as error:
            raise RuntimeError(f"outer: {told(keys)}", keys) from error

    @flow(task_runner=GovernedTaskRunner(), log_prints=True)
    def own() -> Any:
        return publish_report([fails.submit()])

    with pytest.raises(RunFailed):
        own()


def everything(
    upstream: ProviderProcess,
    tmp_path: Path,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    reads: bool,
) -> tuple[list[str], int, int, list[Report]]:
    """Runs all of it. Where which was found, how many places were searched, how many planted."""
    keys, name = planted(), f"planted-{uuid.uuid4().hex[:8]}"
    plant(keys, name, monkeypatch)
    out = tmp_path / f"{name}.jsonl"
    reports = [fan_out_of(keys, name, upstream, out)]
    if reads:
        notes = tmp_path / "notes"
        notes.mkdir()
        for file, text in make_world().files.items():
            (notes / file).write_text(text)
        reports.append(research_of(keys, upstream, notes))
    flow_of_ones_own(keys)
    for report in reports:
        print_report(report, ui_url="http://127.0.0.1", as_json=True)
        print_report(report, ui_url="http://127.0.0.1", as_json=False)
    say(f"said: {told(keys)}")
    EventsWorker.drain_all(timeout=5, at_exit=False)
    asyncio.run(APILogHandler.aflush())
    printed = capfd.readouterr()
    hits, searched = found(
        keys,
        {
            "--out": out.read_bytes(),
            "stdout": printed.out.encode(),
            "stderr": printed.err.encode(),
            "log lines": heard.lines.getvalue().encode(),
            "events": "\n".join(heard.events).encode(),
            "what the provider was sent": json.dumps(upstream.log()).encode(),
        },
    )
    for kind in (Model, Governor):
        Block.delete(f"{kind.get_block_type_slug()}/{name}")
    assert (heard.events and "[redacted]" in printed.out) or not reads
    return hits, searched, len(keys), reports


def test_planted_keys_are_nowhere_in_what_is_written(
    upstream: ProviderProcess,
    tmp_path: Path,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    hits, searched, count, (fanned, researched) = everything(
        upstream, tmp_path, heard, monkeypatch, capfd, reads=True
    )
    with capfd.disabled():
        print(f"\n{count} keys planted, {searched} places searched: found in {len(hits)}")
    assert not hits
    by_key = {item.key: item for item in fanned.items}
    assert by_key["answer-1"].state == "succeeded"
    assert str(by_key["answer-1"].result).count("[redacted]") == count
    assert all("[redacted]" in (by_key[f"{how}-1"].reason or "") for how in ECHOES)
    assert {item.state for item in researched.items} == {"succeeded"}


def test_planted_keys_are_found_where_nothing_is_scrubbed(
    upstream: ProviderProcess,
    tmp_path: Path,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The control."""
    monkeypatch.setattr(
        "prefect_governor.blocks.secrets.scrubber._without", lambda data, forms, instead: data
    )
    hits, searched, count, _ = everything(
        upstream, tmp_path, heard, monkeypatch, capfd, reads=False
    )
    with capfd.disabled():
        print(f"\n{count} keys planted, {searched} places searched: found in {len(hits)}")
    places = {hit.partition(" in ")[0] for hit in hits}
    assert len(places) == count
    for where in ("--out", "stdout", "stderr", "log lines", "events", "prefect.db", "governor/"):
        assert any(where in hit for hit in hits), where
