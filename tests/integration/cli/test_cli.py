"""`prefect-governor …` as a person runs it: real files, a real server, a provider with a bill."""

import json
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from prefect_governor import Budget, Governor, Limit, fan_out
from prefect_governor.flows.server.background import ServerInfo
from tests import ROOT
from tests.integration.cli.commands import Command, ended, lines, nano, run
from tests.integration.conftest import Corpus
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess
from tests.waiting import A_LOOK_AT_THE_SERVER, until
from tests.warm import WarmParent

pytestmark = pytest.mark.usefixtures("server")

REPORT = {"run_id", "outcome", "reason", "cost_multiple", "items", "budget", "limits"}
ITEM = {"key", "state", "reason", "result", "usd", "tokens", "calls", "attempts", "seconds"}
BUDGET = {"ceiling_usd", "spent_usd", "unconfirmed_usd", "reserved_usd"}
LIMITS = {"bottleneck", "cap", "max_in_flight", "throttled"}


# What a person sees


def test_real_files_without_a_key(command: Command, server: ServerInfo, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    rooms = (ROOT / "flows" / room for room in ("report", "runner"))
    files = sorted(file for room in rooms for file in room.glob("[a-z]*.py"))
    assert len(files) >= 20
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    # The strict provider is no model that answers; the offline one is what `auto` falls back to.
    process = command(
        "fan-out", "code", "--ask", "What does this module do?", "--model", "offline/extract",
        cwd=tmp_path, cold=True,
    )  # fmt: skip
    stdout, stderr = ended(process)
    assert process.returncode == 0, stderr
    assert f"complete: {len(files)} succeeded" in stdout
    for file in files:
        assert f"code/{file.name}" in stdout
    assert "no model was called" in stdout
    assert "answers: " in stdout
    (page,) = [line for line in stdout.splitlines() if line.startswith("page: ")]
    assert page.startswith(f"page: {server.ui_url}/runs/flow-run/")
    assert page in stderr.splitlines()
    assert f"0/{len(files)} done" in stderr
    assert f"{len(files)}/{len(files)} done" in stderr
    assert "ceiling: $1.00 for this run" in stderr
    noise = [line for line in stderr.splitlines() if " | " in line or "Traceback" in line]
    assert noise == []


def test_partial_run_as_json_has_the_contracts_keys_and_the_whole_out_file(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    corpus(8)
    (tmp_path / "corpus" / "item-0003.pdf").write_bytes(b"%PDF-1.7 and then nothing of use")
    process = command(
        "fan-out", "corpus/*", "--ask", "What?", "--model", MODEL, "--json", "--out", "out.jsonl",
        "--max-usd", "0.5",
        cwd=tmp_path,
    )  # fmt: skip
    stdout, stderr = ended(process)
    assert process.returncode == 3, stderr
    report = json.loads(stdout)
    assert set(report) == REPORT
    assert set(report["budget"]) == BUDGET
    assert set(report["limits"]) == LIMITS
    for item in report["items"]:
        assert set(item) == ITEM
        assert set(item["tokens"]) == {"input", "output"}
    assert report["outcome"] == "partial"
    assert Counter(item["state"] for item in report["items"]) == {"succeeded": 8, "failed": 1}
    (failed,) = [item for item in report["items"] if item["state"] == "failed"]
    assert failed["key"] == "corpus/item-0003.pdf"
    assert "PDF" in failed["reason"]
    stats = upstream.settled_stats()
    assert stats["requests"] == 8
    assert nano(report["budget"]["spent_usd"]) == stats["billed_nano"]
    assert report["budget"]["ceiling_usd"] == 0.5
    assert lines(tmp_path / "out.jsonl") == report["items"]
    keys = [item["key"] for item in report["items"]]
    assert keys == sorted(keys)
    # The report has why an item failed; Prefect's line a failed task run is not repeated.
    assert "ERROR" not in stderr


# Ctrl-C


def test_ctrl_c_finishes_what_is_in_flight_and_accounts_for_the_rest(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    upstream.configure(latency_seconds=2)
    corpus(40)
    process = command(
        "fan-out", "corpus", "--ask", "What?", "--model", MODEL, "--max-concurrent", "10",
        "--json", "--out", "out.jsonl", "--min-success", "1",
        cwd=tmp_path,
    )  # fmt: skip
    until(lambda: upstream.stats()["open"] == 10)
    process.send_signal(signal.SIGINT)
    stdout, stderr = ended(process)
    assert process.returncode == 3, stderr
    report = json.loads(stdout)
    stats = upstream.settled_stats()
    # A call that was admitted when the signal came may be on its way.
    assert 10 <= stats["requests"] <= 12
    states = Counter(item["state"] for item in report["items"])
    assert states == {"succeeded": stats["requests"], "not_started": 40 - stats["requests"]}
    assert report["outcome"] == "partial"
    assert report["budget"]["unconfirmed_usd"] == report["budget"]["reserved_usd"] == 0
    assert nano(report["budget"]["spent_usd"]) == stats["billed_nano"]
    assert lines(tmp_path / "out.jsonl") == report["items"]
    assert "finishing what is in flight" in stderr
    assert f"interrupted; what finished is in {tmp_path / 'out.jsonl'}" in stderr
    assert "Traceback" not in stderr


def test_second_ctrl_c_cancels_what_is_in_flight_and_it_stays_charged(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    # Far longer than the test waits: what is in flight must not be waited for.
    upstream.configure(latency_seconds=300)
    corpus(40)
    process = command(
        "fan-out", "corpus", "--ask", "What?", "--model", MODEL, "--max-concurrent", "10",
        "--json", "--out", "out.jsonl",
        cwd=tmp_path,
    )  # fmt: skip
    until(lambda: upstream.stats()["open"] == 10)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    heard = ""
    while "finishing what is in flight" not in heard:
        heard += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    stdout, stderr = ended(process, timeout_seconds=180)
    assert process.returncode == 3, heard + stderr
    report = json.loads(stdout)
    stats = upstream.settled_stats()
    assert stats["abandoned"] == stats["requests"] == 10
    states = Counter(item["state"] for item in report["items"])
    assert states == {"failed": 10, "not_started": 30}
    reasons = {item["reason"] for item in report["items"] if item["state"] == "failed"}
    assert all("unconfirmed" in reason for reason in reasons)
    budget = report["budget"]
    charged = nano(budget["spent_usd"]) + nano(budget["unconfirmed_usd"])
    assert charged >= stats["billed_nano"] > 0
    assert budget["reserved_usd"] == 0
    assert [line["key"] for line in lines(tmp_path / "out.jsonl")] == [
        item["key"] for item in report["items"]
    ]
    assert "Traceback" not in heard + stderr


# Two at once


def test_two_commands_under_one_governor_share_its_cap_and_its_money(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    items = corpus(40)
    one = fan_out(items[:1], ask="the 1st?", model=MODEL, max_output_tokens=24).budget.spent_usd
    # So slow that the first to start has not finished before the other starts, and then quick.
    upstream.renew(latency_seconds=10.0)
    ceiling = one * 54
    name = f"cli-{os.getpid()}"
    Governor(
        budget=Budget(max_usd=ceiling, window="day"), limits=[Limit(tag="llm", max_concurrent=8)]
    ).save(name)
    processes = [
        command(
            "fan-out", "corpus", "--ask", f"the {which}?", "--model", MODEL, "--governor", name,
            "--json", "--max-output-tokens", "24",
            cwd=tmp_path,
        )
        for which in ("1st", "2nd")
    ]  # fmt: skip
    used, slow = 0, True
    with get_client(sync_client=True) as client:
        while any(process.poll() is None for process in processes):
            used = max(used, _active_slots(client, f"governor:{name}:llm"))
            if slow and len({record["tag"] for record in upstream.log()}) == 2:
                upstream.configure(latency_seconds=0.5)
                slow = False
            time.sleep(0.1)
        reports = []
        for process in processes:
            stdout, stderr = ended(process)
            assert process.returncode in (0, 3), stderr
            reports.append(json.loads(stdout))
        until(
            lambda: _active_slots(client, f"governor:{name}:llm") == 0, every=A_LOOK_AT_THE_SERVER
        )
    stats = upstream.settled_stats()
    assert 0 < used <= 8
    assert stats["max_open"] <= 8
    assert stats["billed_nano"] <= nano(float(ceiling))
    assert stats["billed_nano"] >= 0.9 * nano(float(ceiling))
    states = Counter(item["state"] for report in reports for item in report["items"])
    assert set(states) == {"succeeded", "over_budget"}
    assert sum(states.values()) == 80
    assert states["succeeded"] == stats["requests"]
    assert any(process.returncode == 3 for process in processes)
    assert all(report["limits"]["bottleneck"] for report in reports), "both were made to wait"
    spent = max(report["budget"]["spent_usd"] for report in reports)
    assert nano(spent) == stats["billed_nano"]
    spans = [_span(upstream, f"the {which}?") for which in ("1st", "2nd")]
    (first_from, first_to), (second_from, second_to) = spans
    both = min(first_to, second_to) - max(first_from, second_from)
    print(f"overlap: {both / (max(first_to, second_to) - min(first_from, second_from)):.0%}")
    assert both > 0
    shown = json.loads(run("budget", "show", name, "--json", "--by", "model").stdout)
    assert nano(shown["spent_usd"]) == stats["billed_nano"]
    assert len(shown["spent_by"]) == 1
    assert shown["spent_by"][0]["name"].endswith("gpt-4o-mini")
    assert nano(shown["spent_by"][0]["spent_usd"]) == stats["billed_nano"]


def _active_slots(client: Any, name: str) -> int:
    from prefect.exceptions import ObjectNotFound

    try:
        return int(client.read_global_concurrency_limit_by_name(name).active_slots)
    except ObjectNotFound:
        return 0


def _span(upstream: ProviderProcess, tag: str) -> tuple[float, float]:
    """When the calls of one command began and ended, by the provider's clock."""
    records = [record for record in upstream.log() if record["tag"] == tag]
    return min(each["arrival"] for each in records), max(each["end"] for each in records)


@pytest.mark.parametrize("said", [b"", b"half", b"\0\0\0\xff{"])
def test_a_command_that_is_killed_as_it_starts_takes_no_others_with_it(
    warm: WarmParent, said: bytes
) -> None:
    words = warm.command("-c", "print('here')")
    with socket.socket(socket.AF_UNIX) as killed:
        killed.connect(words[words.index("-c") + 2])
        killed.sendall(said)
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("here\n", 0), done.stderr
