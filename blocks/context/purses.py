"""Whose purse a budget "a run" is: the root run's, on which all subflows of it draw, however deep,
in whatever process, and however often one of them is retried."""

import os
import sys
import threading
from collections import OrderedDict

from prefect_governor.blocks.context.scope import current_scope
from prefect_governor.blocks.errors import LedgerUnavailable

# Runs whose root is known here.
REMEMBERED = 4096


class _Roots:
    """Roots of runs; what one is never changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._roots: OrderedDict[str, str] = OrderedDict()

    def get(self, run: str) -> str | None:
        with self._lock:
            return self._roots.get(run)

    def put(self, run: str, root: str) -> None:
        with self._lock:
            self._roots[run] = root
            self._roots.move_to_end(run)
            if len(self._roots) > REMEMBERED:
                self._roots.popitem(last=False)


_roots = _Roots()


def purse_run(run: str | None) -> str | None:
    """The run in whose purse the code here spends; `run` is its own, as `Attribution.run_id` or
    `flow_run_id` has it. The root flow run's, under the name that this has in the ledger; its own
    where the scope says so, or outside of flows.

    A subflow's root is asked of Prefect once, which takes a call of its API or two for each flow
    around it. Raises LedgerUnavailable where it does not answer: another purse would be another
    ceiling.
    """
    here = current_scope.get()
    if run is None or (here is not None and here.own_purse):
        return run
    known = _roots.get(run)
    if known is not None:
        return known
    flow_run, parent = _flow_run()
    if flow_run is None:
        return run
    if parent is None:
        # What goes on with an earlier run has that one's name in the ledger.
        root = run
    else:
        asked = _roots.get(flow_run) or _root_of(flow_run)
        root = _roots.get(asked) or asked
    _roots.put(flow_run, root)
    _roots.put(run, root)
    return root


def spend_as(run: str, root: str | None) -> None:
    """From now on this process spends for `run` in the purse of `root`: a part of a run that other
    processes share spends in that one's."""
    if root is not None:
        _roots.put(run, root)


def _flow_run() -> tuple[str | None, object]:
    """The flow run that the code here is part of, and what it is a subflow of: None where it is
    none, and anything else where that is to be asked."""
    context = sys.modules.get("prefect.context")
    if context is None:
        return None, None
    flow = context.FlowRunContext.get()
    if flow is not None and flow.flow_run is not None:
        return str(flow.flow_run.id), flow.flow_run.parent_task_run_id
    task = context.TaskRunContext.get()
    if task is not None and task.task_run.flow_run_id is not None:
        return str(task.task_run.flow_run_id), "to be asked"
    return None, None


def _root_of(flow_run: str) -> str:
    from prefect.runtime import flow_run as runtime

    try:
        return str(runtime.root_flow_run_id)
    except Exception as error:
        raise LedgerUnavailable(
            f"flow run {flow_run} is part of another, and Prefect does not say of which, so it is"
            f" not known whose budget a run it draws on: {error!r}. Look at PREFECT_API_URL, or"
            " give each its own with governor.activate(own_purse=True)"
        ) from error


def _after_fork() -> None:
    global _roots
    # Somebody may have held its lock.
    _roots = _Roots()


os.register_at_fork(after_in_child=_after_fork)
