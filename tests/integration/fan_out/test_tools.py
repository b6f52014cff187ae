"""A fan-out whose sub-agents call tools: a real server, a real provider, a real sandbox."""

import json
import random
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from prefect_governor import Report, Sandbox, fan_out
from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.flows.run.control import Control, current_control
from prefect_governor.flows.run.underway import CANCELLED
from prefect_governor.flows.subagent import subagent
from tests.integration.fan_out.injections import order
from tests.integration.fan_out.repositories import FAILING, PASSING, RUN_TESTS, make_repository
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("server")
NEEDS_SANDBOXES = pytest.mark.usefixtures("sandboxes")


def ask(folder: Path, sources: list[str], **options: Any) -> Report:
    settings: dict[str, Any] = {
        "ask": "Do its tests pass?", "model": MODEL, "max_output_tokens": 200,
        "tools": ["python", "read"], "folder": str(folder), **options,
    }  # fmt: skip
    report = fan_out(sources=sources, **settings)
    assert isinstance(report, Report)
    return report


EXAMPLE = "Do its tests pass? " + " ".join(
    [
        order(call="read", arguments={"name": "README.md"}),
        order(call="python", arguments={"code": RUN_TESTS}),
        order(say="Yes, says [README.md:1].", when="(?m)^0$"),
        order(say="No: [README.md:1] [src/adding.py:9].", when="(?m)^1$"),
    ]
)


@NEEDS_SANDBOXES
def test_the_example_of_the_readme(upstream: ProviderProcess, tmp_path: Path) -> None:
    make_repository(tmp_path / "repos" / "good", PASSING)
    make_repository(tmp_path / "repos" / "bad", FAILING)
    upstream.renew(obeys=True)
    report = ask(tmp_path, ["repos/*"], ask=EXAMPLE)
    results = {item.key: item.result for item in report.items}
    assert results == {"repos/bad": "No: [README.md:1].", "repos/good": "Yes, says [README.md:1]."}
    assert "src/adding.py" in str(report.items[0].reason) and report.items[1].reason is None
    assert [item.calls for item in report.items] == [2, 2]
    assert int(report.budget.spent_usd * 10**9) == upstream.settled_stats()["billed_nano"]


def called(tool: str, /, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": tool, "arguments": arguments}]}


# Another text each time, and a file that tells how often it ran.
TICK = "import uuid\nopen('ticks.txt', 'a').write(f'{uuid.uuid4()}\\n')\nprint(uuid.uuid4())"
COUNT = "print('ticks:', len(open('ticks.txt').readlines()))"


@NEEDS_SANDBOXES
def test_a_run_that_is_killed_sends_the_same_next_request_and_runs_no_program_again(
    upstream: ProviderProcess,
    tmp_path: Path,
    command: Callable[..., "subprocess.Popen[str]"],
    told: list[str],
) -> None:
    for name in ("done", "slow"):
        make_repository(tmp_path / "repos" / name, {"notes.md": name})
    turns: list[Any] = [called("python", code=TICK), called("python", code=TICK)]
    last: list[Any] = [called("python", code=COUNT), "counted"]
    waits = {**called("python", code=COUNT), "latency_seconds": 60}

    def script(*slow: Any) -> list[dict[str, Any]]:
        return [
            {"match": "repos/slow", "by": "turn", "reply": [*turns, *slow]},
            {"match": ".", "by": "turn", "reply": ["at once"]},
        ]

    upstream.renew(script=script(waits, "never"))
    options = ["--ask", "How often?", "--model", MODEL, "--max-output-tokens", "200"]
    run = command("fan-out", "repos/*", "--tools", "python,read", *options, cwd=tmp_path)
    try:
        until(lambda: upstream.stats()["requests"] == 4, seconds=300)
        run.send_signal(signal.SIGKILL)
    finally:
        run.kill()
        run.communicate()
    upstream.settled_stats()
    before = upstream.log()
    [run_id] = [
        json.loads(path.read_text())["run_id"]
        for path in (state_folder() / "runs").glob("*/run.json")
        if str(tmp_path) in path.read_text()
    ]
    upstream.configure(script=script(*last))
    token = current_control.set(Control(kept_as=run_id))
    try:
        report = ask(tmp_path, ["repos/*"], ask="How often?")
    finally:
        current_control.reset(token)
    assert [item.result for item in report.items] == ["at once", "counted"]
    after = upstream.log()[len(before) :]
    # The one that was in flight, and the one after it.
    in_flight = max(before, key=lambda record: record["arrival"])
    assert after[0]["body_hash"] == in_flight["body_hash"]
    assert len(after) == 2
    assert len(told) == 3 and "ticks: 2" in told[-1]


@NEEDS_SANDBOXES
def test_an_answer_that_was_given_and_not_kept_yet_is_not_worked_for_again(
    upstream: ProviderProcess, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill leaves it between the last call and the item's own record."""
    make_repository(tmp_path / "repo", PASSING)
    upstream.renew(obeys=True)
    wanted = f"{order(call='python', arguments={'code': TICK})} {order(say='ticked')}"
    with monkeypatch.context() as patch:
        patch.setattr(subagent, "kept_record", lambda *given: 1 / 0)
        with pytest.raises(RunFailed) as failed:
            ask(tmp_path, ["repo"], ask=wanted)
    calls = upstream.settled_stats()["requests"]
    token = current_control.set(Control(kept_as=failed.value.report.run_id))
    try:
        report = ask(tmp_path, ["repo"], ask=wanted)
    finally:
        current_control.reset(token)
    assert report.items[0].result == "ticked" and told[0] == told[1]
    assert [file.name for file in report.items[0].files] == ["files/repo/ticks.txt"]
    assert upstream.settled_stats()["requests"] == calls == 2
    left = state_folder() / "runs" / failed.value.report.run_id / "snapshots"
    assert not left.exists() or not any(left.iterdir())


@NEEDS_SANDBOXES
def test_a_stop_in_the_middle_leaves_no_process(upstream: ProviderProcess, tmp_path: Path) -> None:
    make_repository(tmp_path / "repo", PASSING)
    mark = f"{random.randrange(10**6, 10**7)}.5"
    upstream.renew(obeys=True)
    control = Control()

    def watch(_: Any) -> None:
        if running(mark):
            control.interrupted = True
            control.stop.set()
            control.abort.set()

    control.watch = watch
    token = current_control.set(control)
    try:
        wanted = order(call="shell", arguments={"command": f"sleep {mark} & sleep {mark}"})
        report = ask(tmp_path, ["repo"], ask=wanted, tools=["shell"])
    finally:
        current_control.reset(token)
    assert report.items[0].reason == CANCELLED
    until(lambda: not running(mark), seconds=10)


def running(mark: str) -> bool:
    """Whether any process of this machine was told so."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if mark.encode() in path.read_bytes().split(b"\0"):
                return True
    return False


def test_the_ceiling_holds_in_loops_that_never_end(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    def more() -> str:
        """Always more."""
        return "word " * 400 + order(call="more")

    upstream.renew(obeys=True)
    items = [order(call="more") + f" {at}" for at in range(12)]
    with pytest.raises(RunFailed) as failed:
        fan_out(
            items, ask="Go on.", model=MODEL, max_output_tokens=100, max_usd="0.002", tools=[more]
        )
    report = failed.value.report
    assert {item.state for item in report.items} == {"over_budget"}
    billed = upstream.settled_stats()["billed_nano"]
    assert billed == int(report.budget.spent_usd * 10**9)
    assert 0.5 * 2_000_000 < billed <= 2_000_000


def test_a_structured_answer_of_a_loop_is_read_and_repaired(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text("severity 2")
    bad, good = '{"severity": "x"}', '{"severity": 2, "where": "here [b.md:1]."}'
    upstream.renew(
        script=[
            {"match": "does not validate", "reply": good},
            {
                "match": ".",
                "by": "turn",
                "reply": [called("read", name="a.md"), bad],
            },
        ]
    )
    schema = {
        "type": "object", "required": ["severity", "where"],
        "properties": {"severity": {"type": "integer"}, "where": {"type": "string"}},
    }  # fmt: skip
    report = ask(tmp_path, ["a.md"], tools=["read"], schema=schema)
    assert report.items[0].result == {"severity": 2, "where": "here."}
    assert report.items[0].calls == 3 and "[b.md:1]" in str(report.items[0].reason)


def test_a_folder_that_fits_no_workspace_fails_by_name_before_it_costs(
    upstream: ProviderProcess, tmp_path: Path, told: list[str]
) -> None:
    make_repository(tmp_path / "repos" / "good", {**PASSING, ".env": "KEY=1", ".git/x": "x"})
    make_repository(tmp_path / "repos" / "huge", PASSING)
    with (tmp_path / "repos" / "huge" / "data").open("wb") as file:
        file.truncate(70 * 2**20)
    upstream.renew(obeys=True)
    orders = [order(call="read", arguments={"name": name}) for name in (".env", ".git/x")]
    report = ask(tmp_path, ["repos/*"], ask=" ".join([*orders, order(say="read")]), tools=["read"])
    good, huge = report.items
    assert good.result == "read" and huge.state == "failed" and huge.calls == 0
    assert "too large for a workspace" in str(huge.reason) and "64 MiB" in str(huge.reason)
    # Hidden files are nobody's business.
    assert len(told) == 2 and all("there is no file" in text for text in told)


def test_where_nothing_can_run_programs_a_run_is_refused_before_it_starts(
    upstream: ProviderProcess, tmp_path: Path, name: str
) -> None:
    make_repository(tmp_path / "repo", PASSING)
    Sandbox(runtime="docker", host="unix:///nowhere.sock", image="none").save(name)
    with pytest.raises(ConfigurationError, match="the tools python cannot be given: no sandbox"):
        ask(tmp_path, ["repo"], sandbox=name)
    for given, why in (
        ({"tools": ["bash"]}, "there is no tool 'bash': tools are python, shell, read"),
        ({"tools": ["read"], "sandbox": name}, "is for programs"),
        ({"tools": ["read"], "deny_hosts": ["a.org"]}, "say web"),
        ({"sandbox": "nobody"}, "nobody"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            ask(tmp_path, ["repo"], **given)
    assert upstream.settled_stats()["requests"] == 0


@NEEDS_SANDBOXES
def test_the_offline_model_calls_no_tools_and_says_what_it_does_instead(tmp_path: Path) -> None:
    make_repository(tmp_path / "repos" / "good", PASSING)
    (tmp_path / "notes.md").write_text("Tests pass where they add numbers.\n")
    report = ask(
        tmp_path, ["repos/*", "notes.md"], ask="What adds numbers?", model="offline/extract"
    )
    assert [item.key for item in report.items] == ["repos/good", "notes.md"]
    assert "README.md" in str(report.items[0].result) and "Adds two" in str(report.items[0].result)
    assert any("calls no tools" in note for note in report.notes)
