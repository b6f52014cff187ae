"""The command as a person runs it, at the sizes that the promises name, judged by the provider."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Corpus
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.scale, pytest.mark.slow]

MODEL = "openai/gpt-4o-mini"

Command = Callable[..., "subprocess.Popen[str]"]


def run(command: Command, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit status and the JSON of `fan-out` with these arguments."""
    process = command("fan-out", *arguments, "--ask", "What is this?", "--model", MODEL, "--json")
    stdout, stderr = process.communicate(timeout=900)
    assert stdout, stderr
    return process.returncode, json.loads(stdout)


def nano(usd: float) -> int:
    return round(usd * 1e9)


def test_300_items_at_50(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    folder = corpus(300, words=120)[0].parent
    upstream.configure(latency_seconds=0.5, output_tokens=[20, 60])
    out = tmp_path / "out.jsonl"
    status, report = run(
        command, str(folder), "--max-concurrent", "50", "--max-usd", "2", "--out", str(out)
    )
    stats = upstream.settled_stats()
    print(
        f"at most {stats['max_open']} in flight, {len(report['items'])} outcomes,"
        f" spent {nano(report['budget']['spent_usd'])}, billed {stats['billed_nano']} nano-dollars"
    )
    assert status == 0
    assert stats["max_open"] <= 50
    assert Counter(item["state"] for item in report["items"]) == {"succeeded": 300}
    assert nano(report["budget"]["spent_usd"]) == stats["billed_nano"]
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines == report["items"]
    assert [line["key"] for line in lines] == sorted(line["key"] for line in lines)


def test_1000_items_at_200_with_a_quarter_of_the_money(
    command: Command, upstream: ProviderProcess, corpus: Corpus
) -> None:
    paths = corpus(1000, words=400)
    upstream.configure(token_factor=1.4, output_tokens=24)
    options = ("--max-output-tokens", "24")
    run(command, str(paths[0]), *options)
    one = upstream.settled_stats()["billed_nano"]
    ceiling = one * len(paths) // 4
    upstream.renew(latency_seconds=1.0, token_factor=1.4, output_tokens=24)
    status, report = run(
        command,
        str(paths[0].parent),
        *options,
        "--max-concurrent",
        "200",
        "--max-usd",
        f"{ceiling / 1e9:.9f}",
    )
    stats = upstream.settled_stats()
    states = Counter(item["state"] for item in report["items"])
    over = [item for item in report["items"] if item["state"] == "over_budget"]
    print(
        f"at most {stats['max_open']} in flight, bill / ceiling"
        f" {stats['billed_nano'] / ceiling:.4f}, bound / ceiling about {1.5 / 1.4 * 4 / 1000:.4f},"
        f" {dict(states)}"
    )
    assert status == 3
    assert 190 <= stats["max_open"] <= 200
    assert 0.95 * ceiling <= stats["billed_nano"] <= ceiling
    assert sum(states.values()) == 1000
    assert set(states) == {"succeeded", "over_budget"}
    assert all(item["key"] and "ceiling" in item["reason"] for item in over)


def test_faults_at_size(command: Command, upstream: ProviderProcess, corpus: Corpus) -> None:
    faults = {
        "error_500": 0.10,
        "disconnect_before_billing": 0.025,
        "disconnect_after_billing": 0.025,
        "hang": 0.03,
        "no_usage": 0.02,
        "cut_stream": 0.02,
        "malformed_json": 0.01,
    }
    folder = corpus(400, words=60)[0].parent
    upstream.configure(latency_seconds=0.2, faults={**faults, "seed": 11})
    status, report = run(
        command, str(folder), "--max-concurrent", "50", "--max-usd", "2", "--timeout-seconds", "3"
    )
    stats = upstream.settled_stats(timeout_seconds=20)
    injected = {kind: stats["faults"][kind] for kind in faults}
    states = Counter(item["state"] for item in report["items"])
    charged = nano(report["budget"]["spent_usd"] + report["budget"]["unconfirmed_usd"])
    print(
        f"injected {injected}; {dict(states)}; billed {stats['billed_nano']}, spent and"
        f" unconfirmed {charged} nano-dollars"
    )
    assert all(injected.values())
    assert sum(states.values()) == 400
    assert all(item["state"] == "succeeded" or item["reason"] for item in report["items"])
    assert charged >= stats["billed_nano"]
    assert status == (0 if states["succeeded"] == 400 else 3)


def test_two_commands_at_once_share_one_governor(
    command: Command, upstream: ProviderProcess, corpus: Corpus
) -> None:
    from prefect_governor import Budget, Governor, Limit

    paths = corpus(200, words=60)
    options = ("--model", MODEL, "--max-output-tokens", "24", "--json")
    folder = str(paths[0].parent)
    run(command, str(paths[0]), "--max-output-tokens", "24")
    ceiling = upstream.settled_stats()["billed_nano"] * 330
    upstream.renew(latency_seconds=3.0, output_tokens=24)
    Governor(
        budget=Budget(max_usd=f"{ceiling / 1e9:.9f}", window="day"),
        limits=[Limit(tag="llm", max_concurrent=10)],
    ).save("two-at-once", overwrite=True)
    asks = ("the first?", "the second?")
    both = [
        command("fan-out", folder, "--ask", ask, "--governor", "two-at-once", *options)
        for ask in asks
    ]
    ended = [process.communicate(timeout=900) for process in both]
    reports = [json.loads(stdout) for stdout, _ in ended]
    stats = upstream.settled_stats()
    spans = [[record for record in upstream.log() if record["tag"] == ask] for ask in asks]
    begins = [min(each["arrival"] for each in span) for span in spans]
    ends = [max(each["end"] for each in span) for span in spans]
    overlap = (min(ends) - max(begins)) / (max(ends) - min(begins))
    starts = [begin - min(begins) for begin in begins]
    stops = [end - min(begins) for end in ends]
    print(
        f"overlap {overlap:.0%} (from {starts[0]:.1f} and {starts[1]:.1f} s to {stops[0]:.1f} and"
        f" {stops[1]:.1f} s), calls {[len(span) for span in spans]}, held back by"
        f" {[report['limits']['bottleneck'] for report in reports]}, at most {stats['max_open']} of"
        f" 10 in flight, bill / ceiling {stats['billed_nano'] / ceiling:.4f}"
    )
    assert overlap >= 0.8
    assert all(report["limits"]["bottleneck"] for report in reports), "both were made to wait"
    assert stats["max_open"] <= 10
    assert 0.95 * ceiling <= stats["billed_nano"] <= ceiling
    assert sum(len(report["items"]) for report in reports) == 400
