"""What a mapped task costs: the default runner's `.map` beside ours, in interleaved pairs.

    python -m tests.benchmarks.overhead [--pairs 5] [--tasks 200] [--kind no-op] [--json]

Three kinds of work: a tagged no-op task; the same with the leanest of Prefect's options (no cache
policy, no result kept), without which nothing of it could be resumed; and a tagged task that makes
one model call to a provider that answers at once, plain LiteLLM under the default runner, governed
under ours. The promise is of the first at 1,000 tasks: `--kind no-op --tasks 1000`. A Prefect
server and the provider are started on loopback, with a `PREFECT_HOME` of their own, and ended.

Both runners run in this process, one after the other in turns, each after the server has recorded
all that the run before it sent: on SQLite the server's recording keeps the next run waiting, and
that is neither runner's doing. The figures:

* `body`: from `.map(..., return_state=True)` to its return, inside the flow.
* `flow`: from the call of the flow to its end and its events sent, less an empty flow's. Flow
  heartbeats are off: their thread makes every flow end on a whole second after its start.
* requests and events are those this process sends to Prefect, counted at httpx and at the events
  client.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.harness import (
    Counts,
    counting,
    drain_events,
    server,
    wait_until_recorded,
)
from tests.provider.process import ProviderProcess

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.task_runners import TaskRunner

KINDS = {"no-op": "no-op task", "lean": "lean no-op task", "call": "item with a model call"}
MODEL = "openai/gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "What is a governor?"}]


@dataclass(frozen=True)
class Run:
    """One flow of `tasks` mapped tasks; times in ms a task, counts a task."""

    runner: str
    body_ms: float
    flow_ms: float
    requests: float
    events: float


def work_of(kind: str, runner: TaskRunner[Any]) -> Any:
    """The task that a runner maps."""
    from prefect import task
    from prefect.cache_policies import NO_CACHE

    from prefect_governor.flows.runner import GovernedTaskRunner

    @task(tags=["llm"])
    async def no_op(item: int) -> int:
        return item

    @task(tags=["llm"], cache_policy=NO_CACHE, persist_result=False)
    async def lean(item: int) -> int:
        return item

    @task(tags=["llm"])
    async def governed(item: int) -> int:
        from prefect_governor import acompletion

        await acompletion(MODEL, MESSAGES, max_tokens=20)
        return item

    @task(tags=["llm"])
    async def plain(item: int) -> int:
        import litellm

        await litellm.acompletion(MODEL, MESSAGES, max_tokens=20)
        return item

    if kind != "call":
        return no_op if kind == "no-op" else lean
    return governed if isinstance(runner, GovernedTaskRunner) else plain


def runners() -> list[TaskRunner[Any]]:
    """The default runner and ours, under a governor that never holds it back."""
    from prefect.task_runners import ThreadPoolTaskRunner

    from prefect_governor import GovernedTaskRunner, Governor, Limit

    governor = Governor.local("benchmark", max_usd=1000, limits=[Limit(max_concurrent=1000)])
    return [ThreadPoolTaskRunner(), GovernedTaskRunner(governor)]


def run_flow(kind: str, runner: TaskRunner[Any], tasks: int) -> tuple[float, float, UUID]:
    """One flow; its body's seconds, the seconds to its end with events sent, and its id."""
    from prefect import flow
    from prefect.context import FlowRunContext

    work = work_of(kind, runner)

    @flow(name="overhead", task_runner=runner)
    def measured() -> tuple[float, UUID]:
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        began = time.perf_counter()
        states = work.map(range(tasks), return_state=True) if tasks else []
        seconds = time.perf_counter() - began
        assert [state.is_completed() for state in states] == [True] * tasks
        return seconds, context.flow_run.id

    began = time.perf_counter()
    body, flow_run_id = measured()
    drain_events()
    return body, time.perf_counter() - began, flow_run_id


def measure(
    kind: str, runner: TaskRunner[Any], tasks: int, counts: Counts, empty_seconds: float
) -> Run:
    before = Counts(counts.requests, counts.events)
    body, whole, flow_run_id = run_flow(kind, runner, tasks)
    sent = Counts(counts.requests - before.requests, counts.events - before.events)
    wait_until_recorded(flow_run_id, tasks)
    return Run(
        runner=type(runner).__name__,
        body_ms=1000 * body / tasks,
        flow_ms=1000 * (whole - empty_seconds) / tasks,
        requests=sent.requests / tasks,
        events=sent.events / tasks,
    )


def measure_pairs(kind: str, pairs: int, tasks: int) -> list[tuple[Run, Run]]:
    """`pairs` times the default runner and ours, in turns; what runs first alternates."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    measured: list[tuple[Run, Run]] = []
    # The thread of a flow's heartbeat makes every flow end on a whole second after its start.
    no_heartbeat = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with no_heartbeat, counting(str(PREFECT_API_URL.value())) as counts:
        for warm in runners():
            wait_until_recorded(run_flow(kind, warm, 10)[2], 10)
        empty = min(run_flow(kind, runners()[0], 0)[1] for _ in range(3))
        for pair in range(pairs):
            both = runners()
            runs: dict[str, Run] = {}
            for runner in both if pair % 2 == 0 else reversed(both):
                run = measure(kind, runner, tasks, counts, empty)
                runs[run.runner] = run
                print(_line(kind, run), file=sys.stderr, flush=True)
            measured.append((runs["ThreadPoolTaskRunner"], runs["GovernedTaskRunner"]))
    return measured


def _line(kind: str, run: Run) -> str:
    return (
        f"  {run.runner:21} body {run.body_ms:6.2f} ms  flow {run.flow_ms:6.2f} ms"
        f"  {run.requests:5.2f} requests  {run.events:4.2f} events  a tagged {KINDS[kind]}"
    )


def summarize(measured: list[tuple[Run, Run]]) -> dict[str, Any]:
    def ratios(figure: str) -> list[float]:
        return [getattr(ours, figure) / getattr(default, figure) for default, ours in measured]

    def medians(side: int) -> dict[str, float]:
        figures = ("body_ms", "flow_ms", "requests", "events")
        return {
            figure: round(statistics.median(getattr(pair[side], figure) for pair in measured), 3)
            for figure in figures
        }

    return {
        "default": medians(0),
        "ours": medians(1),
        "body_ratios": [round(ratio, 3) for ratio in ratios("body_ms")],
        "flow_ratios": [round(ratio, 3) for ratio in ratios("flow_ms")],
        "body_ratio": round(statistics.median(ratios("body_ms")), 3),
        "flow_ratio": round(statistics.median(ratios("flow_ms")), 3),
    }


def report(kind: str, summary: dict[str, Any], pairs: int, tasks: int) -> str:
    default, ours = summary["default"], summary["ours"]
    lines = [f"a tagged {KINDS[kind]}, medians of {pairs} pairs of {tasks} tasks"]
    for figure, unit in (("body", "ms"), ("flow", "ms")):
        of_pairs = ", ".join(f"{ratio:.2f}" for ratio in summary[f"{figure}_ratios"])
        lines.append(
            f"  {figure:8} default {default[f'{figure}_ms']:7.2f} {unit}"
            f"   ours {ours[f'{figure}_ms']:7.2f} {unit}"
            f"   ratio {summary[f'{figure}_ratio']:.3f}  (pairs: {of_pairs})"
        )
    for figure in ("requests", "events"):
        lines.append(f"  {figure:8} default {default[figure]:7.2f}      ours {ours[figure]:7.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.overhead")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--kind", choices=KINDS, action="append", help="default: all of them")
    parser.add_argument("--json", action="store_true", help="print the figures as one object")
    options = parser.parse_args()
    measured: dict[str, list[tuple[Run, Run]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="overhead-") as folder,
        server(Path(folder)) as api,
        ProviderProcess(output_tokens=5) as provider,
    ):
        # Read when Prefect and LiteLLM are imported, which is why no import of them stands above.
        os.environ.update(
            PREFECT_API_URL=api,
            PREFECT_HOME=folder,
            PREFECT_LOGGING_LEVEL="ERROR",
            DO_NOT_TRACK="1",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            OPENAI_API_BASE=provider.api_base,
            OPENAI_API_KEY="sk-benchmark",
        )
        for kind in options.kind or KINDS:
            measured[kind] = measure_pairs(kind, options.pairs, options.tasks)
    if options.json:
        print(json.dumps({KINDS[kind]: _json(pairs) for kind, pairs in measured.items()}))
        return
    for kind, pairs in measured.items():
        print(report(kind, summarize(pairs), options.pairs, options.tasks))


def _json(pairs: list[tuple[Run, Run]]) -> dict[str, Any]:
    return {**summarize(pairs), "pairs": [[asdict(run) for run in pair] for pair in pairs]}


if __name__ == "__main__":
    main()
