"""What of a plan may start now, given what has finished. Pure: it starts nothing itself.

A task may start the moment its own dependencies are done, and while nobody writes what it writes:
there are no waves. Among those that may start, the order is the plan's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from prefect_governor.flows.deep_research.plan.plan import PlanTask, find_cycle

End = Literal["succeeded", "failed", "over_budget", "not_started", "skipped"]

_WHY: Mapping[End, str] = {
    "failed": "failed",
    "over_budget": "was over budget",
    "not_started": "did not start",
    "skipped": "was skipped",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a task, and why where it did not succeed."""

    state: End
    reason: str | None = None


@dataclass
class Schedule:
    """The state of a plan under way.

    `start` what `ready` names, `finish` what ended; both raise ValueError for what is not so. Every
    task ends once: `ended` holds them all when `over` is true.
    """

    _tasks: dict[str, PlanTask] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    _running: dict[str, None] = field(default_factory=dict)
    _missing: dict[str, set[str]] = field(default_factory=dict)
    _followers: dict[str, list[str]] = field(default_factory=dict)
    _writers: dict[str, str] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    _place: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Iterable[PlanTask]) -> "Schedule":
        schedule = cls()
        schedule.add(tasks)
        return schedule

    @property
    def tasks(self) -> tuple[PlanTask, ...]:
        """In the plan's order, those that were added later last."""
        return tuple(self._tasks.values())

    @property
    def running(self) -> tuple[str, ...]:
        return tuple(self._running)

    def tasks_ended(self) -> list[str]:
        """In the plan's order, whichever ended first."""
        return [task_id for task_id in self._tasks if task_id in self.ended]

    @property
    def over(self) -> bool:
        return len(self.ended) == len(self._tasks)

    def add(self, tasks: Iterable[PlanTask]) -> None:
        """More tasks (checked by `check_plan`), which may depend on any that are there.

        Raises ValueError, and adds nothing, for those that could never start: every task of a
        schedule ends.
        """
        added = list(tasks)
        there = self._tasks.keys() | {task.id for task in added}
        lost = {need for task in added for need in task.depends_on} - there
        cycle = find_cycle(added)
        if lost or cycle or len(there) < len(self._tasks) + len(added):
            why = f"nothing has the id {min(lost)!r}" if lost else "an id stands twice"
            raise ValueError(f"these tasks could not all end: {' -> '.join(cycle) or why}")
        for task in added:
            self._place[task.id] = len(self._tasks)
            self._tasks[task.id] = task
        for task in added:
            needs = set(task.depends_on)
            self._missing[task.id] = {need for need in needs if need not in self.ended}
            for need in needs:
                self._followers.setdefault(need, []).append(task.id)
            self._look(task.id)

    def ready(self) -> list[str]:
        """What may start now, in the plan's order: no two of them write the same, nor what a
        running task writes."""
        claimed = set(self._writers)
        found: list[str] = []
        for task_id in sorted(self._open, key=self._place.__getitem__):
            writes = self._tasks[task_id].writes
            if claimed.isdisjoint(writes):
                claimed.update(writes)
                found.append(task_id)
        return found

    def start(self, task_id: str) -> PlanTask:
        """Raises ValueError where it may not start."""
        task = self._tasks[task_id]
        if task_id not in self._open or any(key in self._writers for key in task.writes):
            raise ValueError(f"task {task_id!r} may not start now")
        self._open.remove(task_id)
        self._running[task_id] = None
        for key in task.writes:
            self._writers[key] = task_id
        return task

    def finish(self, task_id: str, state: End, reason: str | None = None) -> list[str]:
        """A running task ended. Returns the tasks that are skipped for it, however far down."""
        if task_id not in self._running:
            raise ValueError(f"task {task_id!r} is not running")
        del self._running[task_id]
        for key in self._tasks[task_id].writes:
            self._writers.pop(key, None)
        return self._end(task_id, Ended(state, reason))

    def cancel(self, task_id: str, reason: str, *, state: End = "not_started") -> list[str]:
        """A task that has not started will not. Returns what is skipped for it. Raises ValueError
        where it runs or has ended."""
        if task_id in self._running or task_id in self.ended or task_id not in self._tasks:
            raise ValueError(f"task {task_id!r} cannot be cancelled: it has started")
        self._open.discard(task_id)
        return self._end(task_id, Ended(state, reason))

    def stop(self, reason: str) -> None:
        """Nothing more starts: all that has not started ends so; what runs may finish."""
        for task_id in self._tasks:
            if task_id not in self.ended and task_id not in self._running:
                self._open.discard(task_id)
                self.ended[task_id] = Ended("not_started", reason)

    def inputs(self, task_id: str) -> tuple[str, ...]:
        """Those of a task's dependencies that succeeded: whose results it receives."""
        return tuple(
            need
            for need in self._tasks[task_id].depends_on
            if need in self.ended and self.ended[need].state == "succeeded"
        )

    def _end(self, task_id: str, ended: Ended) -> list[str]:
        skipped: list[str] = []
        left = [(task_id, ended)]
        while left:
            current, what = left.pop()
            self.ended[current] = what
            for follower in self._followers.get(current, ()):
                if follower in self.ended:
                    continue
                self._missing[follower].discard(current)
                if self._may_lack(follower, current, what):
                    self._look(follower)
                    continue
                self._open.discard(follower)
                skipped.append(follower)
                left.append((follower, Ended("skipped", _reason(current, what))))
                # Seen once, whatever else it depends on.
                self.ended[follower] = left[-1][1]
        return skipped

    def _may_lack(self, task_id: str, need: str, ended: Ended) -> bool:
        return ended.state == "succeeded" or need in self._tasks[task_id].allow_partial

    def _look(self, task_id: str) -> None:
        """Open a task whose dependencies are all done; skip one that was added too late."""
        task = self._tasks[task_id]
        for need in task.depends_on:
            what = self.ended.get(need)
            if what is not None and not self._may_lack(task_id, need, what):
                self._end(task_id, Ended("skipped", _reason(need, what)))
                return
        if not self._missing[task_id]:
            self._open.add(task_id)


def _reason(need: str, ended: Ended) -> str:
    return f"it depends on {need!r}, which {_WHY[ended.state]}"
