"""Where results go, and how a run that is ended from outside accounts for itself."""

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.cli.commands import Command, ended, lines
from tests.integration.conftest import Corpus
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("server")

ASK = ("fan-out", "corpus", "--ask", "What?", "--model", MODEL, "--max-concurrent", "4")


def test_a_run_that_is_killed_is_gone_on_with_by_the_same_command_and_replaced_by_none(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    upstream.configure(latency_seconds=1)
    corpus(12)
    out = tmp_path / "out.jsonl"
    process = command(*ASK, "--out", "out.jsonl", cwd=tmp_path)
    until(lambda: out.exists() and len(lines(out)) >= 4)
    process.kill()
    process.wait()
    finished = len(lines(out))
    upstream.configure(latency_seconds=0)
    process = command(*ASK, "--out", "out.jsonl", "--json", cwd=tmp_path)
    stdout, stderr = ended(process)
    assert process.returncode == 0, stderr
    assert "going on with run" in stderr
    report = json.loads(stdout)
    assert lines(out) == report["items"] and len(report["items"]) == 12
    # Those that were in flight are paid for again, none that had finished.
    assert upstream.settled_stats()["requests"] <= 12 + 4 + 12 - finished
    asked = Counter(call["request_hash"] for call in upstream.log() if "request_hash" in call)
    assert all(count <= 2 for count in asked.values())
    process = command(*ASK, "--out", "out.jsonl", cwd=tmp_path)
    _, stderr = ended(process)
    assert process.returncode == 2
    assert "--force" in stderr.splitlines()[-1]
    assert lines(out) == report["items"]


def test_asked_to_end_it_finishes_what_is_in_flight_and_prints_items_as_they_finish(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    upstream.configure(latency_seconds=2)
    corpus(12)
    process = command(*ASK, "--out", "-", cwd=tmp_path)
    until(lambda: upstream.stats()["open"] == 4)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = ended(process)
    assert process.returncode == 3, stderr
    items = [json.loads(line) for line in stdout.splitlines()]
    states = Counter(item["state"] for item in items)
    requests = upstream.settled_stats()["requests"]
    assert 4 <= requests <= 6
    assert states == {"succeeded": requests, "not_started": 12 - requests}
    assert "finishing what is in flight" in stderr and "Traceback" not in stderr


def test_a_third_ctrl_c_says_what_was_started_and_how_to_go_on(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    upstream.configure(latency_seconds=300)
    corpus(12)
    process = command(*ASK, cwd=tmp_path)
    until(lambda: upstream.stats()["open"] == 4)
    assert process.stderr is not None
    heard = ""
    for said in ("finishing what is in flight", "cancelling what is in flight"):
        process.send_signal(signal.SIGINT)
        while said not in heard:
            heard += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = ended(process)
    assert process.returncode == 3, heard + stderr
    run_id = heard.partition("run: ")[2].split()[0]
    assert f"prefect-governor fan-out --resume {run_id}" in stderr
    assert "Traceback" not in heard + stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    disk = tmp_path / "home"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(disk)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_home_stops_the_run_with_a_report_that_names_the_folder(
    command: Command,
    upstream: ProviderProcess,
    corpus: Corpus,
    tmp_path: Path,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(small_disk))
    upstream.configure(latency_seconds=2)
    corpus(40)
    process = command(*ASK, "--json", cwd=tmp_path, cold=True)
    until(lambda: upstream.stats()["open"] == 4, seconds=240)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))
    stdout, stderr = ended(process)
    report = json.loads(stdout)
    states = Counter(item["state"] for item in report["items"])
    assert process.returncode in (1, 3), stderr
    assert "Traceback" not in stderr
    assert states.total() == 40 and states["not_started"] >= 4, (states, stderr)
    assert str(small_disk) in report["reason"], report["reason"]
    # With room again it is gone on with.
    (small_disk / "ballast").unlink()
    upstream.configure(latency_seconds=0)
    process = command("fan-out", "--resume", report["run_id"], "--json", cwd=tmp_path, cold=True)
    stdout, stderr = ended(process)
    assert process.returncode == 0, stderr
    assert Counter(item["state"] for item in json.loads(stdout)["items"]) == {"succeeded": 40}
