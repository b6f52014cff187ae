"""`prefect-governor budget show …`: who holds, waits for and has spent the money, as it changes."""

import json
import os
import signal
import subprocess
import threading
from contextlib import suppress
from datetime import datetime, timezone
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from pydantic import SecretStr

from prefect_governor import Budget, Governor, Limit, completion
from prefect_governor.blocks.documents.documents import Root
from prefect_governor.blocks.documents.identity import Place, claim
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.flows.cli.budget.show import watch_budget
from tests.integration.cli.budgets import refused, shown, spend, told
from tests.integration.cli.commands import Command, nano, run
from tests.integration.governing import HELLO, MODEL, ask, document_of, edit, loaded_as
from tests.provider.process import ProviderProcess
from tests.waiting import until
from tests.warm import WarmParent

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


def test_show_says_who_holds_what_since_when(name: str, upstream: ProviderProcess) -> None:
    upstream.configure(latency_seconds=30)
    Governor(budget=Budget(max_usd=1, window="day")).save(name)
    governor = loaded_as(Governor, name)

    def call() -> None:
        with governor.activate(tags=("web",), user="ann"), suppress(Exception):
            # Long enough for a busy machine to look twice while it is in flight.
            completion(MODEL, HELLO, max_tokens=9, timeout=8)

    thread = threading.Thread(target=call)
    thread.start()
    seen = [shown(name)]

    def is_held() -> bool:
        seen.append(shown(name))
        return bool(seen[-1]["reserved_calls"])

    until(is_held, seconds=30)
    found = seen[-1]
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
    assert lost["call_id"][:8] not in told("show", name)
    assert lost["call_id"][:8] in told("show", name, "--unconfirmed")


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
    assert f"waiting for budget {name!r}: a call, for " in told("show", name)
    assert f"waiting for budget {name!r}" in told("raise", name, "2")
    second.result(30)
    assert shown(name)["waiting"] == []
    runtime.desk.void(call_id, "never sent").result(30)


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
        assert f"1  {os.getpid()}  limit 'warehouse'" in text
    assert shown(name)["slots"] == []
    assert "slots held" not in told("show", name)


# All of them, and by whose name


def test_show_without_a_name_lists_all_that_are_saved(name: str) -> None:
    Budget(max_usd=9, window="month").save(f"{name}-above")
    Governor(budget=Budget(max_usd="0.3", parent=f"{name}-above")).save(name)
    Governor(budget=Budget(parent=f"{name}-above")).save(f"{name}-only")
    wrong = Budget(max_usd=1)
    wrong.save(f"{name}-wrong")
    edit(document_of(wrong), max_usd=-1)
    Governor(budget=Budget(max_usd=7)).save(f"{name}-there")
    there = Root(str(document_of(loaded_as(Governor, f"{name}-there"))), "Governor", name)
    claim([there], Place(uuid4().hex, "/elsewhere"))
    away = SecretStr("postgresql://ann:very-secret@127.0.0.1:9/ledger")
    Governor(budget=Budget(max_usd=7), ledger_url=away).save(f"{name}-away")
    spend(name, 0.1)
    lines = {line.split()[0]: line for line in told("show").splitlines()}
    assert lines["budget"].split()[1:] == [
        "kind", "per", "ceiling", "spent", "unconfirmed", "reserved", "left", "under",
    ]  # fmt: skip
    assert lines[name].split()[1:] == [
        "Governor", "total", "$0.30", "$0.10", "$0.00", "$0.00", "$0.20", f"{name}-above",
    ]  # fmt: skip
    assert lines[f"{name}-above"].split()[2:5] == ["month", "$9.00", "$0.10"]
    assert lines[f"{name}-only"].split()[1:] == ["Governor", f"{name}-above"]
    assert "is not valid" in lines[f"{name}-wrong:"]
    # Nothing was spent in the ledger of here, which is no news of theirs.
    assert "is counted in the ledger" in lines[f"{name}-there:"]
    assert "127.0.0.1, database ledger" in lines[f"{name}-away:"]
    assert "very-secret" not in "".join(lines.values())
    assert lines[f"{name}-there"].split() == [f"{name}-there", "Governor", "not", "known"]
    assert "is counted in the ledger" in refused("show", f"{name}-there")
    found = {each["name"]: each for each in json.loads(told("show", "--json"))["budgets"]}
    assert (found[name]["spent_usd"], found[name]["on"]) == (0.1, f"{name}-above")
    assert found[f"{name}-only"]["window"] is None
    assert "not valid" in found[f"{name}-wrong"]["wrong"]
    (row,) = [row for row in told("show", "--csv").splitlines() if row.startswith(f"{name},")]
    assert row.startswith(f"{name},Governor,total,0.300000000,0.100000000,")
    assert row.endswith(f",{name}-above,")
    edit(document_of(wrong), max_usd=1)
    with get_client(sync_client=True) as client:
        for each in ("there", "away"):
            client.delete_block_document(document_of(loaded_as(Governor, f"{name}-{each}")))
    assert "--by is of one budget" in refused("show", "--by", "user")


def test_what_a_deployment_spent_has_its_name_and_an_edit_in_the_ui_is_in_the_audit(
    name: str, client: SyncPrefectClient
) -> None:
    block = Governor(budget=Budget(max_usd=1))
    block.save(name)
    flow = client.create_flow_from_name(name)
    deployment = client.create_deployment(flow, "nightly")
    runtime = loaded_as(Governor, name).runtime
    who = Attribution(flow=name, deployment=str(deployment))
    call = Demand(uuid4().hex, runtime.accounts(who), (), Bound(10**8, 1, 1), who)
    runtime.desk.admit(call).result(30)
    runtime.desk.settle(call.call_id, Usage(10**8, 1, 1)).result(30)
    (spent,) = shown(name, "--by", "deployment")["spent_by"]
    assert (spent["name"], spent["title"]) == (str(deployment), f"{name}/nightly")
    assert f"{name}/nightly" in told("show", name, "--by", "deployment")
    edit(document_of(block), budget={"max_usd": 2})
    # As a keeper does, or any look at it.
    shown(name)
    told("raise", name, "3")
    rows = shown(name, "--audit")["audit"]
    assert [(each["action"], each["before"], each["after"]) for each in rows] == [
        ("edited", "1 USD", "2 USD"), ("raised", "2 USD", "3 USD"),
    ]  # fmt: skip


# What was spent


def test_budget_show_reads_a_saved_budget_with_those_above_it() -> None:
    above, below = f"above-{os.getpid()}", f"below-{os.getpid()}"
    Budget(max_usd=9, window="month").save(above)
    Budget(max_usd="0.5", max_total_tokens=1000, parent=above).save(below)
    text = run("budget", "show", below).stdout
    assert f"Budget {below!r}, counted for ever" in text
    assert f"under Budget {above!r}, per month" in text
    assert "$0.50 and 1,000 tokens" in text
    found = json.loads(run("budget", "show", below, "--json").stdout)
    assert found["left_usd"] == found["ceiling_usd"] == 0.5
    assert found["tokens"]["left"] == 1000
    assert [each["name"] for each in found["parents"]] == [above]
    rows = run("budget", "show", below, "--csv").stdout.splitlines()
    assert rows[0].startswith("budget,window,ceiling_usd,spent_usd")
    assert rows[1].startswith(f"{below},")


def test_budget_show_breaks_a_local_governors_spend_down(
    upstream: ProviderProcess,
) -> None:
    from prefect_governor import completion

    name = f"show-{os.getpid()}"
    governor = Governor.local(name, max_usd=1)
    for user in ("ann", "bob", "ann"):
        with governor.activate(tags=("web", user), user=user):
            completion(MODEL, [{"role": "user", "content": "hello"}], max_tokens=9)
    billed = upstream.settled_stats()["billed_nano"]
    by_user = json.loads(run("budget", "show", f"local/{name}", "--by", "user", "--json").stdout)
    assert [each["name"] for each in by_user["spent_by"]] == ["ann", "bob"]
    assert sum(nano(each["spent_usd"]) for each in by_user["spent_by"]) == billed
    by_tag = json.loads(run("budget", "show", f"local/{name}", "--by", "tag", "--json").stdout)
    assert {each["name"]: each["calls"] for each in by_tag["spent_by"]} == {
        "web": 3,
        "ann": 2,
        "bob": 1,
    }
    rows = run("budget", "show", f"local/{name}", "--by", "user", "--since", "1h", "--csv").stdout
    assert rows.splitlines()[0].startswith("user,calls,spent_usd")
    assert rows.splitlines()[1].startswith("ann,2,0.0000")
    text = run("budget", "show", f"local/{name}", "--by", "tag").stdout
    assert "spent in this window, by tag" in text
    assert "a call counts under each of its tags" in text


# What is wrong


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], "'nobody'"),
        (["local/nobody"], "Governor.local('nobody'"),
        (["x", "--json", "--csv"], "--csv"),
        (["x", "--since", "lately"], "lately"),
    ],
)
def test_budget_show_says_what_is_wrong(arguments: list[str], words: str) -> None:
    result = run("budget", "show", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("words", [["raise"], ["lower"], ["reconcile"], ["show"]])
def test_name_that_nobody_saved_is_one_line(words: list[str], name: str) -> None:
    amount = ["5"] if words[0] in ("raise", "lower") else []
    assert repr(name) in refused(*words, name, *amount)


@pytest.mark.parametrize("words", [["show", "x"], ["raise", "x", "5"], ["reconcile", "x"]])
def test_server_that_does_not_answer_is_one_line(words: list[str], warm: WarmParent) -> None:
    done = subprocess.run(
        warm.command("-m", "prefect_governor.flows.cli", "budget", *words),
        env=os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "http://127.0.0.1:9/api" in done.stderr
    assert "Traceback" not in done.stderr
