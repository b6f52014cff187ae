"""Estimates held against a provider's bill: five workloads, and whether a person is asked first."""

import csv
import json
import os
import pty
import random
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from prefect_governor import Budget, Governor, Limit, fan_out
from prefect_governor.blocks.errors import ConfigurationError
from tests.integration.cli.commands import run
from tests.integration.conftest import WORDS, Corpus
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess
from tests.warm import WarmParent

SMALL_CONTEXT = "openai/gpt-3.5-turbo"
SCHEMA = {
    "title": "Finding",
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "severity": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
    },
    "required": ["title", "severity", "tags"],
}

pytestmark = pytest.mark.usefixtures("server")


@dataclass(frozen=True)
class Workload:
    """What is asked of what, and how the provider answers."""

    name: str
    count: int
    words: int
    provider: dict[str, Any]
    options: list[str]
    model: str = MODEL
    schema: dict[str, Any] | None = None
    rows: bool = False
    calls: int | None = None
    # Its answers may outweigh its input by so much that only a past run can tell.
    after_a_run: bool = False
    # No past run tells, and what the schema does not forbid is longer than it is.
    wide: bool = False
    prices: dict[str, Any] = field(default_factory=dict)


WORKLOADS = [
    Workload("short texts, answers of one length", 30, 60, {"output_tokens": 24},
             ["--max-output-tokens", "80"]),
    Workload("long texts that are split, answers near their limit", 3, 30_000,
             {"output_tokens": [350, 400]}, ["--max-output-tokens", "400"],
             model=SMALL_CONTEXT, calls=15,
             prices={"gpt-3.5-turbo": {"input": "0.0000005", "output": "0.0000015"}}),
    Workload("answers of a schema", 25, 120, {"token_factor": 1.2}, [], schema=SCHEMA, wide=True),
    Workload("rows of a CSV file, answers of any length", 40, 40, {"output_tokens": [5, 100]},
             ["--max-output-tokens", "100"], rows=True),
    Workload("a question that was asked before, short answers of a high limit", 25, 40,
             {"output_tokens": [10, 60]}, [], after_a_run=True),
    Workload("a question that was asked before, answers near a high limit", 20, 40,
             {"output_tokens": [800, 1024], "token_factor": 1.3}, [], after_a_run=True),
]  # fmt: skip


def as_json(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def write_items(folder: Path, load: Workload) -> str:
    """The workload's files, or its one file of rows; what names them."""
    draw = random.Random(load.name)
    texts = [" ".join(draw.choice(WORDS) for _ in range(load.words)) for _ in range(load.count)]
    if load.rows:
        with (folder / "rows.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["key", "text", "team"])
            writer.writerows([f"row-{at}", text, "red"] for at, text in enumerate(texts))
        return "rows.csv"
    (folder / "texts").mkdir()
    for at, text in enumerate(texts):
        (folder / "texts" / f"{at:03d}.txt").write_text(text)
    return "texts"


@pytest.mark.parametrize("load", WORKLOADS, ids=[load.name for load in WORKLOADS])
def test_bill_is_within_the_estimate_of_each_workload(
    upstream: ProviderProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    load: Workload,
) -> None:
    monkeypatch.chdir(tmp_path)
    upstream.configure(**load.provider, prices=load.prices, latency_seconds=0.2)
    asked = ["--ask", f"What of it? ({load.name})", "--model", load.model, *load.options]
    if load.schema is not None:
        (tmp_path / "schema.json").write_text(json.dumps(load.schema))
        asked += ["--schema", "schema.json"]
    source = write_items(tmp_path, load)
    if load.after_a_run:
        first = as_json(run("estimate", source, *asked, "--json"))
        assert first["wide"]
        assert "no past run of this: a wide guess" in run("estimate", source, *asked).stdout
        as_json(run("fan-out", source, *asked, "--json"))
        upstream.renew(**load.provider, prices=load.prices, latency_seconds=0.2)
    expected = as_json(run("estimate", source, *asked, "--json"))
    assert as_json(run("fan-out", source, *asked, "--json", "--dry-run")) == expected
    assert upstream.settled_stats()["requests"] == 0, "an estimate calls nothing"

    began = time.monotonic()
    report = as_json(run("fan-out", source, *asked, "--json"))
    took = time.monotonic() - began
    stats = upstream.settled_stats()
    bill = stats["billed_nano"] / 1e9
    p50, p95 = expected["p50_usd"], expected["p95_usd"]
    print(
        f"\n{load.name}: p50 ${p50:.6f}, p95 ${p95:.6f}, bill ${bill:.6f}"
        f" (bill/p50 {bill / p50:.2f}, p95/p50 {p95 / p50:.2f});"
        f" p50 {expected['p50_seconds']:.1f} s, p95 {expected['p95_seconds']:.1f} s,"
        f" took {took:.1f} s; based on {expected['based_on']}"
    )
    assert p95 >= bill
    assert p95 <= 2 * p50 * (1 + 1e-9)
    assert bill / 2 <= p50 <= bill * 2
    assert bill <= expected["max_usd"]
    assert expected["wide"] or not load.wide
    assert stats["requests"] == expected["calls"] == (load.calls or load.count)
    assert expected["based_on"]["runs"] >= (1 if load.after_a_run else 0)
    # How long answers are is learned by model, from whatever else was asked of it here.
    assert report["cost_multiple"] == pytest.approx(expected["cost_multiple"], rel=0.5)
    if load.after_a_run:
        assert expected["based_on"]["calls"] >= load.count
        assert p95 <= 1.6 * p50, "a past run narrows it"
        assert report["cost_multiple"] == pytest.approx(expected["cost_multiple"], rel=0.05)


def test_past_latency_and_limits_give_the_time(
    upstream: ProviderProcess, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    corpus(24)
    upstream.configure(latency_seconds=1.0, output_tokens=10)
    asked = ["corpus", "--ask", "How long?", "--model", MODEL, "--max-output-tokens", "20",
             "--json", "--max-concurrent", "4"]  # fmt: skip
    as_json(run("fan-out", *asked))
    expected = as_json(run("estimate", *asked))
    began = time.monotonic()
    as_json(run("fan-out", *asked))
    took = time.monotonic() - began
    print(f"p50 {expected['p50_seconds']} s, p95 {expected['p95_seconds']} s, took {took:.1f} s")
    # Six waves of a second, and what a busy machine adds.
    assert 6 <= expected["p50_seconds"] <= 10
    assert took <= 2 * expected["p95_seconds"]
    assert expected["bottleneck"] == "max_concurrent"
    slower = as_json(run("estimate", *asked, "--rpm", "6"))
    assert slower["bottleneck"] == "requests_per_minute"
    assert slower["p50_seconds"] > 120
    (allowed,) = [each for each in slower["throughputs"] if each["name"] == slower["bottleneck"]]
    assert allowed["calls_per_second"] == pytest.approx(0.1)


def test_governor_is_held_against_the_run_with_what_is_left_of_its_day(
    upstream: ProviderProcess, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    items = corpus(20)
    upstream.configure(output_tokens=20)
    asked = ["corpus", "--ask", "Left?", "--model", MODEL, "--max-output-tokens", "20"]
    whole = as_json(run("estimate", *asked, "--json"))
    name = f"estimate-{os.getpid()}"
    Governor(
        budget=Budget(max_usd=f"{whole['max_usd']:.9f}", window="day"),
        limits=[Limit(tag="llm", max_concurrent=3), Limit(tag="other", max_concurrent=1)],
    ).save(name, overwrite=True)
    asked += ["--governor", name]
    full = as_json(run("estimate", *asked, "--json"))
    assert full["over_budget_items"] == 0
    assert full["bottleneck"] == "max_concurrent"
    assert [each["why"] for each in full["throughputs"] if "other" in each["why"]] == []
    fan_out(items[:16], ask="another", model=MODEL, governor=name, max_output_tokens=20)
    fan_out(items[:12], ask="a third", model=MODEL, governor=name, max_output_tokens=20)
    upstream.renew()
    left = as_json(run("estimate", *asked, "--json"))
    text = run("estimate", *asked).stdout
    assert 0 < left["over_budget_items"] <= 20
    assert f"does not cover {left['over_budget_items']} of 20 items" in text
    assert upstream.settled_stats()["requests"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.txt"], "none.txt"),
        (["a.txt", "--max-usd", "-1"], "negative"),
        (["a.txt", "--model", "openai/nobody-priced-this"], "price"),
        (["a.txt", "--governor", "nobody"], "'nobody'"),
        (["a.txt", "--max-cost-multiple", "0"], "--max-cost-multiple"),
        (["a.txt", "--ask-above-usd", "much"], "--ask-above-usd"),
    ],
)
def test_bad_input_of_an_estimate_is_one_line_and_exit_2(
    upstream: ProviderProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a text")
    result = run("estimate", "--ask", "What?", "--model", MODEL, *arguments)
    assert result.exit_code == 2, result.output
    (line,) = [each for each in result.stderr.splitlines() if each]
    assert words in line


# Worth it


def test_multiple_over_the_bar_is_refused_before_anything_is_spent(
    upstream: ProviderProcess, corpus: Corpus
) -> None:
    items = corpus(10, words=2)
    result = run("fan-out", "--ask", "x", "--model", MODEL, "--max-cost-multiple", "1.01",
                 *map(str, items))  # fmt: skip
    assert result.exit_code == 2
    assert "--max-cost-multiple 1.01" in result.stderr
    with pytest.raises(ConfigurationError, match="times what one agent"):
        fan_out(items, ask="x", model=MODEL, max_cost_multiple=1.01)
    assert upstream.settled_stats()["requests"] == 0
    assert fan_out(items, ask="x", model=MODEL, max_cost_multiple=50).outcome == "complete"


# Asked first


def test_without_a_terminal_a_dear_run_is_refused_and_names_the_way_on(
    upstream: ProviderProcess, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    corpus(5)
    asked = ["fan-out", "corpus", "--ask", "Dear?", "--model", MODEL, "--json"]
    for result in (
        run(*asked, "--ask-above-usd", "0.0001"),
        run(*asked, PREFECT_GOVERNOR_ASK_ABOVE_USD="0.0001"),
    ):
        assert result.exit_code == 2, result.output
        assert "--yes" in result.stderr
        assert result.stdout == ""
    assert upstream.settled_stats()["requests"] == 0
    as_json(run(*asked, "--ask-above-usd", "0.0001", "--yes"))
    as_json(run(*asked, "--ask-above-usd", "1"))
    assert upstream.settled_stats()["requests"] == 10


def _drain(descriptor: int) -> None:
    # A terminal whose other end is gone raises instead of ending.
    with suppress(OSError):
        while os.read(descriptor, 4096):
            pass


@pytest.mark.parametrize("answer", ["n", "y"])
def test_person_at_a_terminal_is_asked_with_the_estimate(
    upstream: ProviderProcess, corpus: Corpus, tmp_path: Path, warm: WarmParent, answer: str
) -> None:
    corpus(3)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        warm.command(
            "-m", "prefect_governor.flows.cli", "fan-out", "corpus", "--ask", "Dear?",
            "--model", MODEL, "--ask-above-usd", "0.0001", "--json",
        ),
        stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    os.close(theirs)
    seen = ""
    try:
        while "Start it?" not in seen:
            seen += os.read(ours, 4096).decode()
        assert upstream.settled_stats()["requests"] == 0
        os.write(ours, f"{answer}\n".encode())
        # The progress goes there too: unread, it would hold the run up.
        reader = threading.Thread(target=_drain, args=(ours,), daemon=True)
        reader.start()
        stdout, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        os.close(ours)
    assert "3 calls of openai/gpt-4o-mini will cost about $0.00" in seen
    if answer == "y":
        assert process.returncode == 0
        assert json.loads(stdout)["outcome"] == "complete"
        assert upstream.settled_stats()["requests"] == 3
    else:
        assert process.returncode == 2
        assert stdout == ""
        assert upstream.settled_stats()["requests"] == 0
