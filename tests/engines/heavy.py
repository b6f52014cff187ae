"""`python -m tests.engines.heavy '{"engine": "dask", …}'`: a flow whose tasks compute and ask a
model, on an engine; what became of each, as JSON.

A program of its own, as a user's is: the cluster's processes are its children, and end with it.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from prefect import flow, task
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run

Engine = Literal["dask", "ray", "ours"]
# How a task comes under the governor: by a decorator of its own, by the block of code that the
# flow submits it in, or not at all.
How = Literal["decorated", "flow", "free"]

MODEL = "gpt-4o-mini"
PROCESSES = 2


@dataclass(frozen=True)
class Order:
    """What the program is told. `places` are how many tasks may run at once, over all processes;
    `busy_seconds` is what each computes before it asks, in seconds of a core."""

    engine: Engine
    items: int
    governor: str
    how: How = "decorated"
    places: int = 8
    busy_seconds: float = 0.01


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    with tasks_run_on(order) as runner:
        told = flow_of(order, runner)()
    print(json.dumps(told), flush=True)
    if order.engine == "ray":
        import ray

        ray.shutdown()


@contextmanager
def tasks_run_on(order: Order) -> Iterator[Any]:
    """The task runner of an engine, on a cluster of this machine that is there before the flow."""
    if order.engine == "dask":
        from distributed import LocalCluster
        from prefect_dask import DaskTaskRunner

        with LocalCluster(
            n_workers=PROCESSES,
            threads_per_worker=order.places // PROCESSES,
            processes=True,
            dashboard_address=":0",
        ) as cluster:
            yield DaskTaskRunner(address=cluster.scheduler_address)
    elif order.engine == "ray":
        import ray
        from prefect_ray import RayTaskRunner

        # A process a task at a time.
        ray.init(num_cpus=order.places, include_dashboard=False, log_to_driver=False)
        yield RayTaskRunner()
        ray.shutdown()
    else:
        from prefect_governor import GovernedTaskRunner

        yield GovernedTaskRunner(max_threads=order.places)


def flow_of(order: Order, runner: Any) -> Any:
    """The flow, and its task: made here, so that they go to the workers by value, as what stands in
    a user's own program does."""
    from prefect_governor import governed

    url = os.environ["OPENAI_API_BASE"] + "/chat/completions"

    def review(at: int) -> int:
        import httpx

        end = time.thread_time() + order.busy_seconds
        while time.thread_time() < end:
            pass
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"item {at}: who pays, and how much?"}],
            "max_tokens": 20,
        }
        headers = {"authorization": "Bearer sk-engines", "x-test-tag": f"{os.getpid()}/{at}"}
        reply = httpx.post(url, json=body, headers=headers, timeout=600)
        if reply.status_code != 200:
            raise RuntimeError(f"{reply.status_code} {reply.text}")
        return at

    decorated = governed(order.governor)(review) if order.how == "decorated" else review
    heavy = task(name="review", tags=["llm"], persist_result=True)(decorated)

    @flow(name=f"heavy-on-{order.engine}", task_runner=runner)
    def review_all() -> dict[str, Any]:
        began = time.monotonic()
        with _around(order):
            futures = [heavy.submit(at) for at in range(order.items)]
            ends = [_end(each) for each in futures]
        return {
            "ends": ends,
            "seconds": time.monotonic() - began,
            "flow_run": str(flow_run.get_id()),
        }

    return review_all


def _around(order: Order) -> AbstractContextManager[Any]:
    if order.how != "flow":
        return nullcontext()
    from prefect_governor import Governor

    governor: Any = Governor.load(order.governor)
    return governor  # type: ignore[no-any-return]


def _end(future: PrefectFuture[Any]) -> dict[str, Any]:
    """How a task ended, as whoever waits for it is told."""
    try:
        return {"result": future.result(), "reason": None}
    except Exception as error:
        return {"result": None, "reason": f"{type(error).__name__}: {error}"[:300]}


if __name__ == "__main__":
    main()
