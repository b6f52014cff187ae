"""`prefect-governor budget …` as a person runs it: a real server, ledger and provider's bill."""

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from prefect_governor import Budget, ConfigurationError, Governor, Limit, completion
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.work.registry import stop_all
from prefect_governor.flows.cli.budget.change import apply_change, plan_change
from prefect_governor.flows.cli.budget.show import watch_budget
from prefect_governor.flows.cli.main import main
from tests.integration.governing import HELLO, MODEL, NANO, ask, document_of, edit, loaded_as
from tests.provider.process import ProviderProcess
from tests.talk import Talk
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("server")
Command = Callable[..., "subprocess.Popen[str]"]
ME = f"@{socket.gethostname()}"
RAISE_SECONDS = 5.0


@pytest.fixture
def name() -> str:
    return f"money-{uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def put_out_of_work() -> Iterator[None]:
    """Nothing of one test keeps asking the server in the next."""
    yield
    stop_all()


def run(*arguments: str, **environment: str) -> Result:
    """A command in this process, which has imported everything."""
    return CliRunner(env=environment).invoke(main, ["budget", *arguments])


def told(*arguments: str) -> str:
    """What a command that goes well prints."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def shown(name: str, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told("show", name, "--json", *more))
    return found


def refused(*arguments: str) -> str:
    """The one line of a usage error."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    (line,) = result.stderr.splitlines()
    return line


def nano(usd: float) -> int:
    return int(Decimal(repr(usd)) * NANO)


def spend(name: str, usd: float) -> None:
    runtime = loaded_as(Governor, name).runtime
    call_id, admitted = ask(runtime, usd)
    admitted.result(30)
    runtime.desk.settle(call_id, Usage(round(usd * NANO), 1, 1)).result(30)


def lose(name: str, usd: float, why: str = "timeout after sending") -> str:
    """A call whose outcome nobody knows."""
    runtime = loaded_as(Governor, name).runtime
    call_id, admitted = ask(runtime, usd)
    admitted.result(30)
    runtime.desk.unconfirm(call_id, why).result(30)
    return call_id


# Shown


def test_show_says_who_holds_what_since_when(name: str, upstream: ProviderProcess) -> None:
    upstream.configure(latency_seconds=30)
    Governor(budget=Budget(max_usd=1, window="day")).save(name)
    governor = loaded_as(Governor, name)

    def call() -> None:
        with governor.activate(tags=("web",), user="ann"), suppress(Exception):
            completion(MODEL, HELLO, max_tokens=9, timeout=3)

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: bool(shown(name)["reserved_calls"]), seconds=30)
    found = shown(name)
    (held,) = found["reserved_calls"]
    assert held["pid"] == os.getpid()
    assert (held["user"], held["tags"], held["model"]) == ("ann", ["web"], MODEL)
    since = datetime.now(timezone.utc) - datetime.fromisoformat(held["since"])
    assert 0 <= since.total_seconds() < 30
    assert held["bound_usd"] == found["reserved_usd"] > 0
    text = told("show", name)
    assert "reserved by 1 call in flight" in text
    assert str(os.getpid()) in text
    thread.join(30)
    after = shown(name)
    assert after["reserved_calls"] == []
    (lost,) = after["unconfirmed_calls"]
    assert lost["call_id"] == held["call_id"]
    assert lost["reason"]
    assert after["unconfirmed_usd"] == lost["bound_usd"]
    assert lost["call_id"][:8] in told("show", name)


def test_show_of_what_was_never_used_has_nothing_that_holds_it(name: str) -> None:
    Budget(max_usd=3).save(name)
    found = shown(name, "--audit")
    assert found["left_usd"] == 3
    assert found["reserved_calls"] == found["unconfirmed_calls"] == found["allocations"] == []
    assert found["waiting"] == found["audit"] == []


def test_show_has_the_allocations_that_are_open(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = loaded_as(Governor, name)
    spend(name, 0.1)
    allocation = governor.budget.allocate(max_usd="0.4", label="synthesis")
    found = shown(name)
    (aside,) = found["allocations"]
    assert (aside["label"], aside["ceiling_usd"]) == ("synthesis", 0.4)
    assert (found["allocated_usd"], found["left_usd"]) == (0.4, 0.5)
    assert "synthesis" in told("show", name)
    allocation.close()
    assert shown(name)["allocations"] == []
    assert shown(name)["left_usd"] == 0.9


def test_watch_shows_what_changes_until_ctrl_c(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt
        spend(name, 0.1)

    watch_budget(name, as_json=True, wait=wait)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["spent_usd"] for line in lines] == [0.0, 0.1, 0.2]


def test_watch_without_a_terminal_is_plain_and_ctrl_c_ends_it_well(
    name: str, command: Command
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    process = command("budget", "show", name, "--watch")
    try:
        assert process.stdout is not None
        seen = 0
        while seen < 2:
            line = process.stdout.readline()
            assert line, "it ended by itself"
            assert "\x1b" not in line
            seen += line.startswith(f"Governor {name!r}")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("words", [["raise"], ["lower"], ["reconcile"], ["show"]])
def test_name_that_nobody_saved_is_one_line(words: list[str], name: str) -> None:
    amount = ["5"] if words[0] in ("raise", "lower") else []
    assert repr(name) in refused(*words, name, *amount)


@pytest.mark.parametrize("words", [["show", "x"], ["raise", "x", "5"], ["reconcile", "x"]])
def test_server_that_does_not_answer_is_one_line(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect_governor.flows.cli", "budget", *words],
        env=os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "http://127.0.0.1:9/api" in done.stderr
    assert "Traceback" not in done.stderr


# Raised and lowered


def test_raise_edits_the_document_and_the_ledger_and_leaves_the_rest(name: str) -> None:
    Governor(
        budget=Budget(max_usd=1, max_total_tokens=1000, window="day", time_zone="Europe/Berlin"),
        limits=[Limit(tag="llm", max_concurrent=3)],
        queue_timeout_seconds=7,
    ).save(name)
    text = told("raise", name, "+0.5", "--reason", "the quarterly review")
    assert "ceiling      $1.00 and 1,000 tokens → $1.50 and 1,000 tokens" in text
    governor = loaded_as(Governor, name)
    assert governor.budget.max_usd == Decimal("1.5")
    assert governor.budget.max_total_tokens == 1000
    assert (governor.budget.window, governor.budget.time_zone) == ("day", "Europe/Berlin")
    assert [limit.max_concurrent for limit in governor.limits] == [3]
    assert governor.queue_timeout_seconds == 7
    found = shown(name, "--audit")
    assert found["ceiling_usd"] == 1.5
    (row,) = found["audit"]
    assert (row["action"], row["reason"]) == ("raised", "the quarterly review")
    assert (row["before"], row["after"]) == ("1 USD and 1000 tokens", "1.5 USD and 1000 tokens")
    assert row["by"].endswith(ME)
    told("lower", name, "0.25", "--tokens", "-400")
    after = shown(name, "--audit")
    assert (after["ceiling_usd"], after["tokens"]["ceiling"]) == (0.25, 600)
    assert [row["action"] for row in after["audit"]] == ["raised", "lowered"]
    assert "the quarterly review" in told("show", name, "--audit")


def test_secret_and_other_fields_of_a_governors_document_survive_a_raise(name: str) -> None:
    Governor(budget=Budget(max_usd=1), when_spent="pause", pause_timeout_seconds=9).save(name)
    told("raise", name, "2")
    governor = loaded_as(Governor, name)
    assert (governor.when_spent, governor.pause_timeout_seconds) == ("pause", 9)
    assert governor.budget.max_usd == 2


def test_raise_names_what_is_left_above(name: str) -> None:
    Budget(max_usd=4, window="month").save(f"{name}-top")
    Budget(max_usd=1, parent=f"{name}-top").save(name)
    text = told("raise", name, "9")
    assert f"under Budget '{name}-top', which has $4.00 left" in text
    assert loaded_as(Budget, name).parent == f"{name}-top"


def test_governor_that_only_draws_on_another_budget_names_it(name: str) -> None:
    Budget(max_usd=4).save(f"{name}-top")
    Governor(budget=Budget(parent=f"{name}-top")).save(name)
    assert f"'{name}-top'" in refused("raise", name, "9")
    assert loaded_as(Governor, name).budget.max_usd is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["raise", "5"], "use `budget lower`"),
        (["raise", "-5"], "use `budget lower`"),
        (["lower", "50"], "use `budget raise`"),
        (["lower", "+5"], "use `budget raise`"),
        (["raise"], "say what to raise"),
        (["raise", "lots"], "lots"),
        (["raise", "--tokens", "5"], "no such ceiling"),
        (["lower", "--tokens", "lots"], "--tokens"),
    ],
)
def test_change_that_makes_no_sense_is_one_line(
    name: str, arguments: list[str], words: str
) -> None:
    Budget(max_usd=10).save(name)
    assert words in refused(arguments[0], name, *arguments[1:])
    assert loaded_as(Budget, name).max_usd == 10


def test_ceiling_that_stands_in_a_script_is_changed_there() -> None:
    assert "Governor.local('scratch'" in refused("raise", "local/scratch", "5")


def test_two_writers_do_not_lose_each_others_change(name: str) -> None:
    Budget(max_usd=1).save(name)
    change = plan_change("raise", name, "+1", tokens=None)
    edit(document_of(loaded_as(Budget, name)), max_usd=7)
    with pytest.raises(ConfigurationError, match="somebody else"):
        apply_change(change, reason="")
    assert loaded_as(Budget, name).max_usd == 7
    assert shown(name, "--audit")["audit"] == []


def test_lower_below_what_is_spent_warns_and_stops_the_next_call(name: str) -> None:
    Governor(budget=Budget(max_usd=1, window="day")).save(name)
    spend(name, 0.5)
    result = run("lower", name, "0.2", "--reason", "nothing more today")
    assert result.exit_code == 0
    assert "$0.50 is spent or unconfirmed already: nothing more is admitted" in result.stderr
    _, admitted = ask(loaded_as(Governor, name).runtime, 0.01)
    with pytest.raises(Exception, match=r"\$0\.20 ceiling"):
        admitted.result(30)


def test_lower_to_nothing_is_a_ceiling_of_nothing(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    told("lower", name, "0")
    assert shown(name)["ceiling_usd"] == 0


# What runs in a process of its own: it asks for money that is not there, and says what came.
PAUSED = """
import sys, time
from prefect_governor import Governor
from tests.integration.governing import ask
from tests.talk import tell
runtime = Governor.load(sys.argv[1]).runtime
_, admitted = ask(runtime, 0.5)
for _ in range(3):
    runtime.desk.write(lambda batch: None).result()
tell("refused" if admitted.done() else "waiting")
admitted.result(60)
tell(time.monotonic())
"""


def test_raise_by_cli_wakes_a_waiting_run_of_another_process_within_five_seconds(
    name: str,
) -> None:
    Governor(budget=Budget(max_usd="0.1"), when_spent="pause").save(name)
    with Talk([sys.executable, "-c", PAUSED, name]) as talk:
        assert talk.hear() == "waiting"
        assert shown(name)["reserved_usd"] == 0
        until(lambda: bool(shown(name)["waiting"]))
        (waiting,) = shown(name)["waiting"]
        assert waiting["for"] == f"a raise of budget {name!r} (paused)"
        told("raise", name, "+0.9")
        raised = time.monotonic()
        seconds = talk.hear() - raised
    print(f"admitted {seconds:.2f} s after the raise")
    assert seconds < RAISE_SECONDS


def test_show_says_what_waits_for_money_that_calls_in_flight_hold(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    runtime = loaded_as(Governor, name).runtime
    call_id, admitted = ask(runtime, 0.9)
    admitted.result(30)
    _, second = ask(runtime, 0.5)
    until(lambda: bool(shown(name)["waiting"]))
    assert not second.done()
    (waiting,) = shown(name)["waiting"]
    assert waiting["for"] == f"budget {name!r}"
    assert f"waiting for budget {name!r}: the first call since" in told("show", name)
    assert f"waiting for budget {name!r}" in told("raise", name, "2")
    second.result(30)
    assert shown(name)["waiting"] == []
    runtime.desk.void(call_id, "never sent").result(30)


# Reconciled


def export(upstream: ProviderProcess, path: Path, *, cost: bool = True) -> Path:
    """The provider's own records of what it billed, as the file that a person downloads."""
    text = upstream.usage_export("jsonl" if path.suffix == ".jsonl" else "csv")
    if not cost:
        rows = list(csv.reader(io.StringIO(text)))
        at = rows[0].index("cost_usd")
        text = "".join(",".join(row[:at] + row[at + 1 :]) + "\n" for row in rows)
    path.write_text(text)
    return path


def crash(name: str, upstream: ProviderProcess, calls: int = 30) -> None:
    """Calls of which some are billed and never confirmed, and some are neither."""
    upstream.configure(
        output_tokens=[4, 20],
        faults={
            "at": {
                **{str(at): "no_usage" for at in (2, 9, 17)},
                **{str(at): "disconnect_after_billing" for at in (5, 12)},
                **{str(at): "disconnect_before_billing" for at in (7, 21)},
            }
        },
    )
    governor = loaded_as(Governor, name)
    for at in range(calls):
        with governor.activate(user=f"user-{at % 3}"), suppress(Exception):
            completion(MODEL, [{"role": "user", "content": f"{at}?"}], max_tokens=24)
    upstream.settled_stats()


@pytest.mark.parametrize(
    ("file_name", "cost"), [("usage.csv", True), ("usage.jsonl", True), ("usage.csv", False)]
)
def test_reconcile_against_the_providers_own_log_ends_exact(
    name: str, upstream: ProviderProcess, tmp_path: Path, file_name: str, cost: bool
) -> None:
    Governor(budget=Budget(max_usd=1, window="day")).save(name)
    crash(name, upstream)
    stats = upstream.settled_stats()
    before = shown(name)
    faults = {kind: count for kind, count in stats["faults"].items() if count}
    print(f"faults: {faults}; unconfirmed: {len(before['unconfirmed_calls'])}")
    assert sum(faults.values()) == 7
    assert len(before["unconfirmed_calls"]) >= 5
    assert nano(before["spent_usd"]) < stats["billed_nano"]
    until_now = datetime.now(timezone.utc).isoformat()
    file = export(upstream, tmp_path / file_name, cost=cost)
    arguments = ["reconcile", name, "--from", str(file), "--complete-until", until_now]

    planned = json.loads(told(*arguments, "--dry-run", "--json"))
    assert shown(name)["unconfirmed_calls"] == before["unconfirmed_calls"]
    assert shown(name, "--audit")["audit"] == []

    done = json.loads(told(*arguments, "--json", "--reason", "the crash of Tuesday"))
    assert {each["call_id"] for each in done["settled"]} == {
        each["call_id"] for each in planned["settled"]
    }
    assert len(done["settled"]) == 5
    assert done["left"] == done["unconfirmed_calls"] == []
    after = shown(name, "--audit")
    assert nano(after["spent_usd"]) == stats["billed_nano"]
    assert after["unconfirmed_usd"] == after["reserved_usd"] == 0
    assert len(after["audit"]) == len(before["unconfirmed_calls"])
    actions = Counter(row["action"] for row in after["audit"])
    assert actions == {"settled": 5, "voided": 2}
    assert {row["reason"] for row in after["audit"]} == {"the crash of Tuesday"}
    assert all(file_name in row["evidence"] for row in after["audit"])

    again = json.loads(told(*arguments, "--json"))
    assert again["settled"] == again["voided"] == again["left"] == []
    assert len(shown(name, "--audit")["audit"]) == len(after["audit"])


def test_reconcile_lists_what_nobody_confirmed_and_what_to_do(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    assert "no call is unconfirmed" in told("reconcile", name)
    call_id = lose(name, 0.02, "the stream was cut")
    text = told("reconcile", name)
    assert f"{name}: 1 call unconfirmed, charged at $0.0200" in text
    assert call_id[:8] in text
    assert "the stream was cut" in text
    assert f"prefect-governor budget reconcile {name} --call {call_id[:8]} --void" in text


def test_reconcile_by_hand_settles_and_voids_with_a_reason(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    billed, not_billed = lose(name, 0.02), lose(name, 0.03)
    text = told("reconcile", name, "--call", billed[:12], "--usd", "0.05", "--reason", "invoice 7")
    assert "settled: 1 call at $0.0500" in text
    assert "ABOVE what was reserved" in text
    told("reconcile", name, "--call", not_billed, "--void", "--reason", "it never arrived")
    found = shown(name, "--audit")
    assert (found["spent_usd"], found["unconfirmed_usd"]) == (0.05, 0)
    assert [(row["action"], row["subject"], row["reason"]) for row in found["audit"]] == [
        ("settled", billed, "invoice 7"),
        ("voided", not_billed, "it never arrived"),
    ]
    assert "is resolved" in refused(
        "reconcile", name, "--call", billed, "--usd", "0.01", "--reason", "again"
    )
    assert shown(name)["spent_usd"] == 0.05


def test_reconcile_does_not_touch_a_call_in_flight(name: str, tmp_path: Path) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    lost = lose(name, 0.01)
    runtime = loaded_as(Governor, name).runtime
    call_id, admitted = ask(runtime, 0.02)
    admitted.result(30)
    assert "in flight" in refused(
        "reconcile", name, "--call", call_id, "--void", "--reason", "it hangs"
    )
    file = tmp_path / "usage.csv"
    file.write_text(f"request_id,cost\n{call_id},0.001\n{lost},0.002\n")
    result = run("reconcile", name, "--from", str(file))
    assert result.exit_code == 3
    assert "in flight" in result.stdout
    found = shown(name)
    assert (found["reserved_usd"], found["spent_usd"]) == (0.02, 0.002)
    runtime.desk.settle(call_id, Usage(NANO // 100, 1, 1)).result(30)
    assert shown(name)["spent_usd"] == 0.012


def test_reconcile_names_what_is_ambiguous_and_leaves_it(name: str, tmp_path: Path) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    lost = lose(name, 0.01)
    file = tmp_path / "usage.jsonl"
    file.write_text(f'{{"id": "{lost}", "cost": 0.001}}\n' * 2 + '{"id": "other", "cost": 9}\n')
    result = run("reconcile", name, "--from", str(file), "--json")
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert found["settled"] == []
    assert found["left"][0]["subject"] == lost
    assert "line 1 and usage.jsonl line 2" in found["left"][0]["why"]
    assert found["rows"]["foreign"] == 1
    assert shown(name)["unconfirmed_usd"] == 0.01


def test_export_cannot_be_complete_beyond_its_own_writing(name: str, tmp_path: Path) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    file = tmp_path / "usage.csv"
    file.write_text("request_id,cost\nx,1\n")
    line = refused("reconcile", name, "--from", str(file), "--complete-until", "2999-01-01")
    assert "after" in line


def test_show_names_whose_work_holds_slots(name: str) -> None:
    limit = Limit(tag="warehouse", max_concurrent=3)
    Governor(budget=Budget(max_usd=1), limits=[limit]).save(name)
    governor = loaded_as(Governor, name)
    with governor.slot("warehouse"), governor.exclusive("report.md"):
        held = shown(name)["slots"]
        assert [each["of"] for each in held] == [["limit 'warehouse'"], ["exclusive 'report.md'"]]
        assert {each["pid"] for each in held} == {os.getpid()}
        text = told("show", name)
        assert "slots held by work that is no model call:" in text
        assert f"{os.getpid()}  limit 'warehouse'" in text
    assert shown(name)["slots"] == []
    assert "slots held" not in told("show", name)
