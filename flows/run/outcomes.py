"""What became of the items of a fan-out: now, and in an earlier attempt of the same run."""

import json
import time
from collections.abc import Collection, Sequence
from concurrent.futures import CancelledError
from decimal import Decimal
from typing import Any

from prefect.futures import PrefectFuture
from prefect.states import Completed

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.figures.figures import ItemFigures, item_figures
from prefect_governor.blocks.machine.stops import STOPPED
from prefect_governor.blocks.money.usd import to_usd
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.flows.report.model import ItemReport, Tokens
from prefect_governor.flows.report.states import Ending, read_endings
from prefect_governor.flows.run.job import Job
from prefect_governor.flows.run.naming import by_question, what_of
from prefect_governor.flows.run.underway import CANCELLED, Run

FINE = "fine"


def stop_reason(job: Job) -> str:
    """Why items of a run that was stopped did not begin."""
    return job.control.stop.reason or STOPPED


def item_reports(job: Job, ended: Sequence[tuple[int, Run]]) -> dict[int, ItemReport]:
    """What became of items that ended, read together."""
    if not ended:
        return {}
    endings = result_of(read_endings([_ended_in(run) for _, run in ended]))
    keys = [job.items[position].key for position, _ in ended]
    figures = item_figures(job.runtime, "item", {"run_id": job.kept_as}, keys)
    return {
        position: _item_report(job, position, ending, figures.get(key))
        for (position, _), ending, key in zip(ended, endings, keys, strict=True)
    }


def _ended_in(run: Run) -> Any:
    """What is told of the end of a task run, or of an item that shared one."""
    if isinstance(run, PrefectFuture):
        return run.state
    if run.cancelled():
        return CancelledError()
    # What it gave may be a list, of which each would be taken for one that ended.
    return run.exception() or Completed(data=run.result())


def _item_report(
    job: Job, position: int, ending: Ending, figures: ItemFigures | None
) -> ItemReport:
    key = job.items[position].key
    began = job.began.get(key)
    reason = ending.reason or job.notes.get(key)
    if job.control.abort.is_set() and ending.state != "succeeded":
        if figures is None:
            return not_started(job, position)
        reason = CANCELLED
    return ItemReport(
        key=key,
        state=ending.state if ending.state != "not_started" or figures is None else "failed",
        reason=reason,
        notes=job.read.get(key, job.items[position].notes),
        result=ending.result,
        **_spent(figures),
        attempts=job.attempts.get(key, 0),
        seconds=None if began is None else _seconds(job, key, began),
        files=job.files.taken(key),
    )


def _seconds(job: Job, key: str, began: float) -> float:
    """How long an item took, without its time in the queue."""
    return round(max(0.0, time.monotonic() - began - job.waited.get(key, 0.0)), 3)


class Past:
    """Items that are paid for: by an earlier attempt of this run, or by another of its processes.

    Args:
        as_they_come: of each item it is read as it comes, and held no longer: for a process that
            has a part of the items. Else all that is kept is read at once.
    """

    def __init__(self, job: Job, *, as_they_come: bool = False) -> None:
        self._job = job
        self._as_they_come = as_they_come
        if not as_they_come:
            self._read()

    def _read(self, keys: Collection[str] | None = None) -> None:
        job = self._job
        kept = job.control.answers_as or job.kept_as
        self._records = job.runtime.desk.store.read_items(kept, keys)
        self._known = {key for key, _ in self._records}
        self._by_question = by_question(self._records) if job.control.retry_failed else {}

    def finished(self, positions: Sequence[int]) -> dict[int, ItemReport]:
        """Those that are, if their inputs are the same."""
        job = self._job
        if not positions:
            return {}
        if self._as_they_come:
            self._read([job.items[position].key for position in positions])
        found: dict[int, dict[str, Any]] = {}
        for position in positions if self._known else ():
            item = job.items[position]
            if item.key not in self._known:
                continue
            try:
                text = job.document(item).text
                record = self._record(item.key, job.input_hash(item, text))
            except ItemFailed:
                continue
            if record is not None:
                found[position] = record
        keys = [job.items[position].key for position in found]
        spent = item_figures(job.runtime, "item", {"run_id": job.kept_as}, keys) if keys else {}
        return {
            position: self._report(key, record, spent.get(key))
            for (position, record), key in zip(found.items(), keys, strict=True)
        }

    def _report(self, key: str, record: dict[str, Any], figures: ItemFigures | None) -> ItemReport:
        files = self._job.files
        lost = files.taken_over(key, record["files"]) if record.get("files") else None
        return ItemReport(
            key=key,
            state="succeeded",
            reason="; ".join(each for each in (record["note"], lost) if each) or None,
            notes=self._job.read.get(key, ()),
            result=record["result"],
            **_spent(figures),
            attempts=1,
            files=files.taken(key),
        )

    def _record(self, key: str, input_hash: str) -> dict[str, Any] | None:
        """What is kept as an item's success, None where nothing is: an answer that did not end well
        is one only where such are taken. Where only what failed is asked again, one that did stands
        whichever model gave it."""
        if (kept := self._records.get((key, input_hash))) is not None:
            record: dict[str, Any] = json.loads(kept)
            return record if record["ended"] in (FINE, *self._job.request.accept) else None
        for kept in self._by_question.get((key, what_of(input_hash)), ()):
            record = json.loads(kept)
            if record["ended"] == FINE:
                return record
        return None


def kept_record(
    result: Any, note: str | None, ended: str | None, files: dict[str, Any] | None
) -> str:
    """What is kept of an item's success; `ended` is how its answer ended, None for by itself,
    `files` where its files are."""
    record = {"result": result, "note": note, "ended": ended or FINE}
    return json.dumps(record if files is None else {**record, "files": files})


def not_started(job: Job, position: int) -> ItemReport:
    """The outcome of an item that never began."""
    item = job.items[position]
    return ItemReport(key=item.key, state="not_started", reason=stop_reason(job), notes=item.notes)


def _spent(figures: ItemFigures | None) -> dict[str, Any]:
    if figures is None:
        return {"usd": Decimal(0), "tokens": Tokens(), "calls": 0}
    return {
        "usd": to_usd(figures.usd_nano),
        "tokens": Tokens(input=figures.input_tokens, output=figures.output_tokens),
        "calls": figures.calls,
    }
