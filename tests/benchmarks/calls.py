"""What an item costs, by layer, in CPU and wall: where it goes, and what is promised of it.

    python -m tests.benchmarks.calls [--rounds 5] [--in-flight 20 --in-flight 200] [--only fan_out]

A row for each layer of `layers.py` at each width: CPU is that of the process that does the items
(all its threads), in ms an item; the provider's and the Prefect server's stand in columns of their
own, as they are processes of their own, on loopback, with a `PREFECT_HOME` of their own. The
server's is counted until all that was sent to it is recorded and it rests. The floors run in one
process and ours in another, in turns, each round all of them; figures are medians of the rounds.

A second pass samples ours (`sampling.py`): CPU by thread, and by room of ours or library, in ms an
item. Its figures are shares of a run that is being looked at, so a little above the first pass's.
The ratios of "an item is cheap" come last, medians of each round's own.

A call of the provider has no latency: what is measured is work. `--calls` items of the layers that
only call, `--tasks` of those that are task runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.benchmarks.harness import promise, served, wait_until_recorded
from tests.benchmarks.layers import FLOORS, KEY, OURS, TASKS, Asked, Took
from tests.benchmarks.sampling import Sampler
from tests.provider.process import ProviderProcess

LAYERS = {**FLOORS, **OURS}
# The server writes events in batches, the last of them some seconds later.
REST_SECONDS, AT_REST = 6.0, 0.05
WARM = 10


@dataclass(frozen=True)
class Figures:
    """CPU and wall in ms an item; of the server None where nothing is sent to it."""

    cpu: float
    wall: float
    provider: float
    server: float | None


@dataclass(frozen=True)
class Sampled:
    """CPU in ms an item."""

    threads: dict[str, float]
    rooms: dict[str, float]
    functions: dict[str, float]


Rounds = dict[tuple[str, int], list[Figures]]


class Worker:
    """A process that does items, and what it and the others use meanwhile."""

    def __init__(self, environment: dict[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._told, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, environment), daemon=True)
        self._process.start()
        theirs.close()

    def did(self, layer: str, asked: Asked) -> Took:
        took = self._ask(layer, asked, sampled=False)
        assert isinstance(took, Took)
        return took

    def sampled(self, layer: str, asked: Asked) -> Sampled:
        sampled = self._ask(layer, asked, sampled=True)
        assert isinstance(sampled, Sampled)
        return sampled

    def _ask(self, layer: str, asked: Asked, *, sampled: bool) -> Took | Sampled:
        self._told.send((layer, asked, sampled))
        try:
            answer: Took | Sampled = self._told.recv()
        except EOFError:
            raise SystemExit(f"the process that did {layer!r} ended; see above") from None
        return answer

    def end(self) -> None:
        self._told.close()
        self._process.join(30)
        if self._process.is_alive():
            self._process.kill()


def _work(told: Connection, environment: dict[str, str]) -> None:
    # Read when Prefect and LiteLLM are imported.
    os.environ.update(environment)
    while True:
        try:
            layer, asked, sampled = told.recv()
        except EOFError:
            return
        if not sampled:
            took = LAYERS[layer](asked)
            if took.flow_run_id is not None:
                wait_until_recorded(took.flow_run_id, asked.count)
            told.send(took)
            continue
        with Sampler() as sampler:
            LAYERS[layer](asked)
        done = asked.count + (0 if layer in TASKS else asked.width)
        told.send(
            Sampled(
                *(
                    {
                        name: 1000 * spent / done
                        for name, spent in sorted(found.items(), key=lambda each: -each[1])
                    }
                    for found in (sampler.threads, sampler.rooms, sampler.functions)
                )
            )
        )


class Bench:
    """The processes, and a turn of a layer among them."""

    def __init__(
        self, stack: ExitStack, home: Path, *, calls: int, tasks: int, server: bool
    ) -> None:
        self._calls, self._tasks = calls, tasks
        api = ""
        if server:
            api, self._server = stack.enter_context(served(home))
        self._provider = stack.enter_context(ProviderProcess(output_tokens=5))
        environment = {
            "PREFECT_API_URL": api, "PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": KEY,
            "OPENAI_API_BASE": self._provider.api_base,
        }  # fmt: skip
        self._workers = {True: Worker(environment), False: Worker(environment)}
        for worker in self._workers.values():
            stack.callback(worker.end)

    def _asked(self, layer: str, width: int) -> Asked:
        return Asked(self._provider.api_base, self._tasks if layer in TASKS else self._calls, width)

    def warm(self, layer: str) -> None:
        self._workers[layer in FLOORS].did(layer, Asked(self._provider.api_base, WARM, WARM))
        if layer in TASKS:
            self._rest()

    def turn(self, layer: str, width: int) -> Figures:
        asked = self._asked(layer, width)
        provider = cpu_seconds(self._provider.pid)
        server = cpu_seconds(self._server) if layer in TASKS else 0.0
        took = self._workers[layer in FLOORS].did(layer, asked)
        if layer in TASKS:
            self._rest()
        calls = asked.count + (0 if layer in TASKS else width)
        return Figures(
            cpu=1000 * took.cpu / asked.count,
            wall=1000 * took.wall / asked.count,
            provider=1000 * (cpu_seconds(self._provider.pid) - provider) / calls,
            server=1000 * (cpu_seconds(self._server) - server) / calls if layer in TASKS else None,
        )

    def sampled(self, layer: str, width: int) -> Sampled:
        sampled = self._workers[False].sampled(layer, self._asked(layer, width))
        if layer in TASKS:
            self._rest()
        return sampled

    def _rest(self) -> None:
        """Return once the server has done what was sent to it."""
        before = cpu_seconds(self._server)
        while True:
            time.sleep(REST_SECONDS)
            now = cpu_seconds(self._server)
            if now - before < AT_REST * REST_SECONDS:
                return
            before = now


def cpu_seconds(pid: int) -> float:
    """What a process and its children have used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = sum(int(each) for each in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return used + sum(cpu_seconds(int(child)) for child in children)


def table(rounds: Rounds) -> list[str]:
    lines = [
        "| medians, ms an item | in flight | CPU | wall | provider's CPU | server's CPU |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for (layer, width), figures in rounds.items():
        server = [each.server for each in figures if each.server is not None]
        lines.append(
            f"| {layer} | {width} | {statistics.median(each.cpu for each in figures):.2f}"
            f" | {statistics.median(each.wall for each in figures):.2f}"
            f" | {statistics.median(each.provider for each in figures):.2f}"
            f" | {f'{statistics.median(server):.1f}' if server else ''} |"
        )
    return lines


def breakdown(layer: str, width: int, sampled: Sampled, functions: int) -> list[str]:
    def shown(found: dict[str, float]) -> str:
        return ", ".join(f"{name} {ms:.2f}" for name, ms in found.items() if ms >= 0.03)

    lines = [f"{layer}, {width} in flight, CPU in ms an item:"]
    lines += [f"  threads: {shown(sampled.threads)}", f"  rooms: {shown(sampled.rooms)}"]
    for name, ms in list(sampled.functions.items())[:functions]:
        lines.append(f"  {ms:8.3f}  {name}")
    return lines


def promises(rounds: Rounds, widths: list[int]) -> list[str]:
    """Each ratio that is promised, of the layers that were measured."""
    httpx, alone = "httpx under async_http_client()", "LiteLLM alone"
    empty, mapped, whole = TASK_ROWS = (
        "an empty task under our runner", "a mapped task with acompletion", "fan_out, an item",
    )  # fmt: skip
    assert set(TASK_ROWS) == TASKS
    lines = []
    for width in widths:
        cpu: dict[str, list[float]] = defaultdict(list)
        for (layer, at), figures in rounds.items():
            if at == width:
                cpu[layer] = [each.cpu for each in figures]
        together = [a + b + 1 for a, b in zip(cpu[alone], cpu[empty], strict=False)]
        for what, ours, floor, most in (
            ("acompletion ÷ LiteLLM alone", cpu["governor.acompletion"], cpu[alone], 1.3),
            ("async_http_client ÷ LiteLLM's transport", cpu[httpx],
             cpu["LiteLLM's transport, same request"], 1.2),
            ("OpenAI's SDK over async_http_client ÷ over LiteLLM's transport",
             cpu["OpenAI's SDK over async_http_client()"],
             cpu["OpenAI's SDK over LiteLLM's transport"], 1.2),
            ("mapped call ÷ (LiteLLM alone + empty task + 1 ms)", cpu[mapped], together, 1.0),
            ("fan_out ÷ (LiteLLM alone + empty task + 1 ms)", cpu[whole], together, 1.15),
        ):  # fmt: skip
            if ours and floor:
                ratio = statistics.median(a / b for a, b in zip(ours, floor, strict=True))
                lines.append(_promise(what, width, ratio, most))
        if cpu[empty]:
            median = statistics.median(cpu[empty])
            lines.append(_promise("an empty task, ms of CPU", width, median, 3.0))
        of_server = [each.server for each in rounds.get((whole, width), ()) if each.server]
        if of_server:
            median = statistics.median(of_server)
            lines.append(_promise("fan_out, the server's CPU in ms", width, median, 3.0))
    return lines


def _promise(what: str, width: int, figure: float, most: float) -> str:
    return promise(f"{what}, {width} in flight", figure, most)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.calls")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, action="append", help="default: 20 and 200")
    parser.add_argument("--calls", type=int, default=600)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--only", action="append", default=[], help="layers that hold this text")
    parser.add_argument("--functions", type=int, default=0, help="of the breakdown, so many lines")
    parser.add_argument("--no-breakdown", action="store_true")
    options = parser.parse_args()
    widths = options.in_flight or [20, 200]
    layers = [
        layer for layer in LAYERS if not options.only or any(text in layer for text in options.only)
    ]
    rounds: Rounds = defaultdict(list)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="calls-")))
        server = not TASKS.isdisjoint(layers)
        bench = Bench(stack, home, calls=options.calls, tasks=options.tasks, server=server)
        for layer in layers:
            bench.warm(layer)
        for number in range(options.rounds):
            for width in widths:
                # What runs first alternates.
                for layer in layers if number % 2 == 0 else reversed(layers):
                    rounds[layer, width].append(bench.turn(layer, width))
        ordered = {(layer, at): rounds[layer, at] for layer in layers for at in widths}
        print("\n".join(table(ordered)), flush=True)
        if not options.no_breakdown:
            for layer in [each for each in layers if each in OURS]:
                for width in widths:
                    sampled = bench.sampled(layer, width)
                    print("\n".join(breakdown(layer, width, sampled, options.functions)))
        print("\n".join(promises(ordered, widths)), flush=True)


if __name__ == "__main__":
    main()
