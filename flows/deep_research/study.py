"""A research run at work: what its tasks share. The findings are the only memory between agents."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from prefect.context import TaskRunContext

from prefect_governor.blocks.claims.slots import Slot
from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.context.waits import wait_async
from prefect_governor.blocks.machine.stops import under
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.blocks.workspaces.workspace import Workspace
from prefect_governor.flows.agent.callables import source_of
from prefect_governor.flows.agent.corpus import Corpus
from prefect_governor.flows.agent.tools import Tool, corpus_tools
from prefect_governor.flows.deep_research.finding import Finding
from prefect_governor.flows.deep_research.plan.plan import PlanTask
from prefect_governor.flows.deep_research.prompts import Means, agent_messages
from prefect_governor.flows.deep_research.request import Inquiry
from prefect_governor.flows.deep_research.workspace import CORPUS, own_tools
from prefect_governor.flows.mcp.quarters import Quarters
from prefect_governor.flows.run.control import Control
from prefect_governor.flows.run.item_files import ItemFiles
from prefect_governor.flows.run.job import TAG
from prefect_governor.flows.run.naming import by_question, hash_of, name_of, what_of
from prefect_governor.flows.run.outcomes import FINE
from prefect_governor.flows.subagent.workplace import at_bench
from prefect_governor.flows.tools.bench import Bench
from prefect_governor.flows.tools.kit import PROGRAMS
from prefect_governor.flows.tools.snapshots import Snapshots
from prefect_governor.flows.web.tools import web_tools
from prefect_governor.flows.web.web import Web

# Names of what the lead does, in the ledger's items. A task's id holds no colon.
PLAN = "lead:plan"
SYNTHESIS = "lead:synthesis"


@dataclass
class Study:
    """An inquiry in one flow run.

    `kept_as` names the run in the ledger, where it outlives a flow run; `folder` is where findings
    stand as files, `files` are those that its agents leave. `attempts`, `began` (monotonic
    seconds), `waited` (seconds in the queue), `took` (seconds, of those that other processes did),
    `notes`, `lost` (what is said of files that an earlier attempt kept and that are gone) and
    `allocations` (their keys in the ledger, the synthesis's among them) are by task.
    """

    inquiry: Inquiry
    run_id: str
    kept_as: str
    runtime: Runtime
    control: Control
    corpus: Corpus
    folder: Path
    files: ItemFiles
    web: Web | None = None
    tasks: dict[str, PlanTask] = field(default_factory=dict)
    allocations: dict[str, str] = field(default_factory=dict)
    records: Mapping[tuple[str, str], str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    waited: dict[str, float] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    lost: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return len(self.tasks)

    @property
    def models(self) -> tuple[str, ...]:
        return self.inquiry.model.names

    @property
    def left_out(self) -> int:
        return len(self.inquiry.skipped)

    @contextmanager
    def at_work(self, key: str, *, fit: bool = True) -> Iterator[Scope]:
        """The scope of a task's calls, which draw on what is set aside for it; an error that ends
        the run stops it."""
        context = TaskRunContext.get()
        self.attempts[key] = context.task_run.run_count if context else 1
        self.began.setdefault(key, time.monotonic())
        here = Scope(
            governor=self.runtime,
            tags=(TAG,),
            run_id=self.kept_as,
            item=key,
            allocation=self.allocations.get(key),
            fit=fit,
            retry_failed=self.control.retry_failed,
        )
        with scope(here), under(self.control.stop):
            try:
                yield here
            except Exception as error:
                self.control.heed(error)
                raise
            finally:
                self.waited[key] = self.waited.get(key, 0.0) + here.spent.waited_seconds

    def give_back(self, key: str) -> None:
        """What is left of the money that was set aside for a task is anybody's again."""
        if (allocation := self.allocations.pop(key, None)) is not None:
            self.runtime.desk.give_back(allocation).result()

    async def agive_back(self, key: str) -> None:
        """`give_back` for a task itself."""
        if (allocation := self.allocations.pop(key, None)) is not None:
            await wait_async(self.runtime.desk.give_back(allocation))

    @property
    def means(self) -> Means:
        """What the agents may look into."""
        kit = self.inquiry.kit
        return Means(
            corpus=len(self.corpus) > 0 or not (kit.web or kit.mcp or kit.runs_programs),
            web=kit.web is not None,
            search=kit.searches,
            programs=tuple(name for name in kit.names if name in PROGRAMS),
            others=tuple(each.name for each in kit.mcp.offers),
        )

    def check_tools(self) -> None:
        """Raises ConfigurationError where a server cannot be asked for its tools, and where two
        tools have one name."""
        nowhere: Any = None
        kit = self.inquiry.kit
        ours = {tool.name: tool for tool in corpus_tools(self.corpus) if len(self.corpus)}
        if kit.runs_programs:
            ours |= {tool.name: tool for tool in own_tools(kit, nowhere, self.corpus)}
        kit.mcp.check_beside([*ours.values(), *self.web_tools, *kit.own])

    @asynccontextmanager
    async def at_bench(
        self, key: str, quarters: Quarters | None
    ) -> AsyncIterator[tuple[Bench, Snapshots]]:
        """Where a task's agent runs programs, with copies of the corpus's files."""

        def put(workspace: Workspace) -> None:
            workspace.put_files(self.inquiry.files)

        async with at_bench(
            self.inquiry.kit, kept_as=self.kept_as, key=key, put=put, files=self.files,
            quarters=quarters, apart=CORPUS,
        ) as found:  # fmt: skip
            yield found

    @property
    def web_tools(self) -> list[Tool]:
        """The web as tools; none where the run has none. Their calls count under their limits."""
        if self.web is None:
            return []
        return [tool.under(self.slot) for tool in web_tools(self.web, lambda: self.runtime)]

    def line(self, source: str, number: int) -> str:
        """One line of what was retrieved, from 1; empty for what is not there."""
        if source in self.corpus.names or self.web is None:
            return self.corpus.line(source, number)
        return self.web.line(source, number)

    def slot(self, limit: str) -> Slot:
        """A place under one of the run's limits, for a tool."""
        return Slot.of_limit(lambda: self.runtime, limit, tags=(TAG,))

    async def keep(self, key: str, input_hash: str, record: str) -> None:
        """Keep what is finished, durably, so that it is never paid for again."""
        await wait_async(
            self.runtime.desk.write(
                lambda batch: batch.rows.put_item(self.kept_as, key, input_hash, record)
            )
        )

    def keep_now(self, key: str, input_hash: str, record: str) -> None:
        """`keep` for the run's own thread."""
        self.runtime.desk.write(
            lambda batch: batch.rows.put_item(self.kept_as, key, input_hash, record)
        ).result()

    def kept(self, key: str, input_hash: str) -> str | None:
        """What an earlier attempt of this run finished, if its inputs are the same. Where only what
        failed is asked again, what succeeded stands whichever model gave it."""
        record = self.records.get((key, input_hash))
        if record is None and self.control.retry_failed:
            record = next(iter(self._by_question.get((key, what_of(input_hash)), ())), None)
        return record

    @cached_property
    def _by_question(self) -> Mapping[tuple[str, str], Sequence[str]]:
        return by_question(self.records)

    def take_over(self, finding: Finding) -> None:
        """A finding of an earlier attempt has its files here too."""
        if finding.files and (lost := self.files.taken_over(finding.task, finding.files)):
            self.lost[finding.task] = (lost,)

    def kept_finding(self, key: str, input_hash: str) -> Finding | None:
        """What an earlier attempt of this run found. An answer that did not end well is nothing
        that was found, unless such are taken."""
        if (record := self.kept(key, input_hash)) is None:
            return None
        finding = Finding.of_record(record)
        return finding if finding.ended in (FINE, *self.inquiry.accept) else None

    def name_of(self, *what: object) -> str:
        """Names an answer of the run by all that shapes it: what is asked (prompts stand in the
        messages), a slash, and of whom: the model, where it is reached and how long its answer may
        be."""
        asked = hash_of(self._answered_from, *what)
        return name_of(asked, self.inquiry.model)

    @cached_property
    def _answered_from(self) -> str:
        """Names what shapes all answers of the run, whatever is asked: tools and agent by their
        source, what the corpus holds."""
        nowhere: Any = None
        inquiry, kit = self.inquiry, self.inquiry.kit
        return hash_of(
            [(tool.schema, source_of(tool.function)) for tool in kit.own],
            None if inquiry.agent is None else source_of(inquiry.agent),
            self.corpus.digest,
            *([] if kit.web is None else [kit.web.name]),
            *([[tool.schema for tool in kit.mcp.tools]] if kit.mcp else []),
            *([[tool.schema for tool in kit.on(nowhere)]] if kit.runs_programs else []),
        )

    def input_hash(self, task: PlanTask, inputs: Mapping[str, Finding]) -> str:
        """Names all that a task's finding depends on."""
        return self.name_of(
            agent_messages(self.inquiry.question, task, inputs, self.means),
            # More money for a task is no other task.
            task.model_dump(mode="json", exclude={"max_usd"}),
            {name: finding.to_others() for name, finding in inputs.items()},
        )


current_study: ContextVar[Study | None] = ContextVar("prefect_governor_study", default=None)
