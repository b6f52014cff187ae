"""The same calls, done by prefect-governor and by others: a table, each line from this one run.

    python -m tests.benchmarks.peers [--calls 200] [--scenario cap] [--only governor] [--json]

Three kinds of work, all calls wanted at once, of a strict provider on loopback that counts its own
limits and its own bill:

cap      calls of 0.2 s, at most 20 in flight; one more is refused with 429
rate     at most 10 requests in any second of the clock; one more is refused with 429
budget   a ceiling worth a quarter of the calls, nothing else in short supply

The table: `answered` of the calls (all others are lost), `429` refusals, `open` the most in flight,
`wall` as a multiple of the ideal, `bill` as a multiple of the ceiling. What each does about a
refusal is its own affair: nobody's retries are switched off.

The others are installed into environments of their own under the cache folder, by `uv`, on first
use; one that cannot be installed, or does not do a kind of work, is printed as such. LiteLLM's
proxy is run without a database: with one, it reserves by default (docs/benchmarks.md).
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests import ROOT
from tests.benchmarks.contestants.contest import KEY, MESSAGES, MODEL, Work
from tests.benchmarks.harness import promise, server
from tests.provider.process import ProviderProcess

SCENARIOS = ("cap", "rate", "budget")
CAP, PER_SECOND, LATENCY_SECONDS = 20, 10, 0.2
OUTPUT_TOKENS, MAX_TOKENS = 20, 24
# The share of the calls that a budget pays for.
AFFORDABLE = 4
MOST_SECONDS = 240.0


@dataclass(frozen=True)
class Contestant:
    """Who competes: a module of `contestants`, and what it needs; nothing where it runs in this
    environment."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = SCENARIOS


CONTESTANTS = (
    Contestant("bare httpx, semaphore (floor)", "floors", ("httpx",), scenarios=("cap",)),
    Contestant("litellm, semaphore (floor)", "floors", ("litellm",), scenarios=("cap", "budget")),
    Contestant("prefect-governor", "ours"),
    Contestant("Prefect alone", "plain_prefect"),
    Contestant("aiometer", "with_aiometer", (), ("aiometer", "httpx"), ("rate",)),
    Contestant("LiteLLM Router", "router", (), (), ("cap", "rate")),
    Contestant("LiteLLM proxy, no database", "proxy", (), ("litellm[proxy]=={litellm}",)),
    Contestant("inspect_ai", "with_inspect", (), ("inspect-ai", "openai"), ("cap", "budget")),
    Contestant(
        "pydantic-ai", "with_pydantic_ai", (), ("pydantic-ai-slim[openai]>=2,<3",),
        ("cap", "budget"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A line of the table. Ratios are None where they say nothing."""

    scenario: str
    who: str
    answered: int = 0
    calls: int = 0
    refused: int = 0
    most_open: int = 0
    wall: float | None = None
    bill: float | None = None
    problem: str | None = None


class NotInstalled(Exception):
    """A contestant's packages cannot be had here."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    parser.add_argument("--only", action="append", default=[], help="names that hold this text")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lines = []
    for line in compared(options.scenario or SCENARIOS, options.only, options.calls):
        lines.append(line)
        print(row(line), file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        print(json.dumps([asdict(line) for line in lines]))
    else:
        print("\n".join(promises(lines)))


def promises(lines: list[Line]) -> list[str]:
    """At the cap, that ours is ahead of the others, and near to LiteLLM under a semaphore."""
    walls = {each.who: each.wall for each in lines if each.scenario == "cap" and each.wall}
    if (ours := walls.get("prefect-governor")) is None:
        return []
    floor = "litellm, semaphore (floor)"
    others = [each for each in walls if not each.endswith("(floor)") and each != "prefect-governor"]
    told = [promise(f"wall ÷ that of {each}", ours / walls[each], 1.0) for each in others]
    if floor in walls:
        told.append(promise("wall ÷ that of LiteLLM under a semaphore", ours / walls[floor], 1.15))
    return told


def compared(scenarios: Any, only: list[str], calls: int) -> Iterator[Line]:
    chosen = [
        each
        for each in CONTESTANTS
        if not only or any(text.lower() in each.name.lower() for text in only)
    ]
    pythons = {each: python_of(each) for each in chosen}
    with (
        tempfile.TemporaryDirectory(prefix="peers-") as folder,
        server(Path(folder)) as api,
        ProviderProcess() as provider,
    ):
        one = price_of_one(provider)
        for scenario in scenarios:
            for each in chosen:
                if scenario not in each.scenarios:
                    continue
                python = pythons[each]
                if isinstance(python, NotInstalled):
                    yield Line(scenario, each.name, problem=f"not installed: {python}")
                    continue
                yield line_of(each, python, scenario, calls, provider, one, api, Path(folder))


def line_of(
    who: Contestant,
    python: str,
    scenario: str,
    calls: int,
    provider: ProviderProcess,
    one: dict[str, Any],
    api: str,
    home: Path,
) -> Line:
    limits: dict[str, dict[str, Any]] = {
        "cap": {"limits": {"max_concurrent": CAP}},
        "rate": {"limits": {"requests_per_second": PER_SECOND}},
        "budget": {},
    }
    provider.settled_stats(timeout_seconds=30)
    provider.renew(latency_seconds=LATENCY_SECONDS, output_tokens=OUTPUT_TOKENS, **limits[scenario])
    ceiling_nano = one["billed_nano"] * calls // AFFORDABLE
    tokens = (one["input_tokens"] + one["output_tokens"]) * calls // AFFORDABLE
    work = Work(
        scenario, provider.api_base, calls, CAP, PER_SECOND, ceiling_nano / 1e9, tokens, MAX_TOKENS
    )
    command = [python, "-m", f"tests.benchmarks.contestants.{who.module}", json.dumps(asdict(work))]
    path = str(ROOT) if who.packages else os.pathsep.join([str(ROOT), *_paths()])
    environment = {
        **os.environ, "PYTHONPATH": path, "PREFECT_API_URL": api, "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_LEVEL": "CRITICAL", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "DO_NOT_TRACK": "1", "OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    try:
        done = subprocess.run(
            [*command, *who.arguments], capture_output=True, text=True, cwd=ROOT, env=environment,
            timeout=MOST_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Line(scenario, who.name, problem=f"not done within {MOST_SECONDS:.0f} s")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        return Line(scenario, who.name, problem=f"failed: {said[:160]}")
    found = json.loads(done.stdout.splitlines()[-1])
    stats = provider.settled_stats(timeout_seconds=30)
    billed = stats["billed_nano"] - found["warmed"] * one["billed_nano"]
    ideal = ideal_seconds(scenario, calls)
    return Line(
        scenario,
        who.name,
        answered=found["answered"],
        calls=calls,
        refused=stats["throttled"],
        most_open=stats["max_open"],
        wall=None if ideal is None else found["seconds"] / ideal,
        bill=billed / ceiling_nano if scenario == "budget" else None,
    )


def ideal_seconds(scenario: str, calls: int) -> float | None:
    """How long the limits alone would take; None where none holds the calls back."""
    if scenario == "cap":
        return calls / CAP * LATENCY_SECONDS
    # The first second's calls go at once.
    return (calls - PER_SECOND) / PER_SECOND + LATENCY_SECONDS if scenario == "rate" else None


def price_of_one(provider: ProviderProcess) -> dict[str, Any]:
    """What the provider bills for one of the calls."""
    import httpx

    provider.renew(output_tokens=OUTPUT_TOKENS)
    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": MAX_TOKENS}
    url = f"{provider.api_base}/chat/completions"
    headers = {"Authorization": f"Bearer {KEY}"}
    httpx.post(url, json=body, headers=headers, trust_env=False).raise_for_status()
    return provider.settled_stats()


def python_of(who: Contestant) -> "str | NotInstalled":
    """The interpreter of its environment, which is made where it is not there yet."""
    if not who.packages:
        return sys.executable
    wanted = [each.format(litellm=version("litellm")) for each in who.packages]
    name = hashlib.sha256(json.dumps([sys.version, *wanted]).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "prefect-governor" / "benchmarks" / f"{who.module}-{name}"
    python = folder / "bin" / "python"
    if (folder / "whole").exists():
        return str(python)
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        return NotInstalled("there is no uv on PATH; `./run` brings its own")
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *wanted],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
            return NotInstalled(said[:160])
    (folder / "whole").touch()
    return str(python)


def _paths() -> list[str]:
    """What this interpreter was told to import from."""
    return [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]


def row(line: Line) -> str:
    if line.problem is not None:
        return f"{line.scenario:7} {line.who:30} {line.problem}"
    wall = "        -" if line.wall is None else f"{line.wall:7.2f} x"
    bill = "" if line.bill is None else f"  bill {line.bill:5.2f} x"
    return (
        f"{line.scenario:7} {line.who:30} answered {line.answered:4} of {line.calls}"
        f"  429s {line.refused:5}  open {line.most_open:4}  wall {wall}{bill}"
    )


if __name__ == "__main__":
    main()
