"""A sub-agent that works with tools on its item: the loop, and what becomes of its answer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect_governor.blocks.claims.slots import Slot
from prefect_governor.blocks.errors import BadAnswer, ConfigurationError, ItemFailed
from prefect_governor.flows.agent.corpus import Corpus
from prefect_governor.flows.agent.evidence import Evidence, check_citations
from prefect_governor.flows.agent.keeping import Keeping
from prefect_governor.flows.agent.loop import Bounds, Trace, run_agent
from prefect_governor.flows.agent.offline import MOST_PASSAGES, excerpt_messages
from prefect_governor.flows.agent.tools import Tool, tools_of
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.parts import parts_beside
from prefect_governor.flows.mcp.quarters import Quarters
from prefect_governor.flows.run.job import TAG, Job
from prefect_governor.flows.run.naming import hash_of
from prefect_governor.flows.subagent.asking import ModelAnswer, read_or_repair, unreadable_by
from prefect_governor.flows.subagent.keeping import (
    KeptInLedger,
    KeptOnBench,
    place_of,
    read_records,
)
from prefect_governor.flows.subagent.prompt import Message, repair_messages
from prefect_governor.flows.subagent.tool_prompt import combining_tool_messages, tool_messages
from prefect_governor.flows.subagent.turns import Turns
from prefect_governor.flows.subagent.workplace import at_bench, put_item

# How much one item's agent may do: as much as an agent of a research whose effort nobody named.
BOUNDS = Bounds()
# Lines of a file that nobody searched for.
_BEGINNING = 20
OFFLINE = (
    "the offline model calls no tools: files and rows were answered with quotes of their text,"
    " folders with quotes of the passages that a search of them found"
)


async def answer_with_tools(job: Job, item: Item, text: str, answered_from: str) -> Any:
    """The answer of an item's agent. `answered_from` names all that it depends on.

    Raises ItemFailed where its files do not fit its workspace, before anything is spent, and for an
    agent whose programs keep meeting their bounds; BadAnswer for an answer that did not end well or
    does not validate; CallRefused and the provider's own errors as they come.
    """
    kit = job.request.kit
    assert kit is not None, "an item without tools is asked about once"
    slot = _slot(job)
    beside = [tool.under(slot) for tool in kit.beside(job.web, lambda: job.runtime)]
    quarters = kit.mcp.quarters(programs=kit.runs_programs)
    async with kit.mcp.agent(quarters) as served:
        return await _answered(job, item, text, answered_from, [*beside, *served], quarters)


async def _answered(
    job: Job,
    item: Item,
    text: str,
    answered_from: str,
    beside: Sequence[Tool],
    quarters: Quarters | None,
) -> Any:
    kit = job.request.kit
    assert kit is not None
    place = place_of(job.kept_as, item.key)
    told_from = hash_of(answered_from, kit.ran_in)
    records = await read_records(job.runtime, place, told_from)
    if not kit.works_on_files:
        agent = _Agent(job, item, beside, KeptInLedger(job.runtime, place, told_from, records))
        value = await agent.answer(text)
        _note(job, item, agent.notes)
        return value
    async with at_bench(
        kit, kept_as=job.kept_as, key=item.key, put=lambda workspace: put_item(workspace, item),
        files=job.files, quarters=quarters,
    ) as (bench, snapshots):  # fmt: skip
        ours = kit.on(bench)
        keeping = KeptOnBench(
            job.runtime, place, told_from, records,
            bench=bench, snapshots=snapshots, on_bench={tool.name for tool in ours},
        )  # fmt: skip
        agent = _Agent(job, item, [*ours, *beside], keeping)
        value = await agent.answer(text)
        _note(job, item, [*agent.notes, *bench.notes])
        return value


def _note(job: Job, item: Item, notes: Sequence[str]) -> None:
    if notes:
        job.notes[item.key] = "; ".join(notes)


def _slot(job: Job) -> Any:
    def slot(limit: str) -> Slot:
        return Slot.of_limit(lambda: job.runtime, limit, tags=(TAG,))

    return slot


class _Agent:
    """One item's, over the parts of a text that is too long for one reading: what it may do counts
    for all of them together."""

    def __init__(self, job: Job, item: Item, tools: Sequence[Tool], keeping: Keeping) -> None:
        request = job.request
        assert request.kit is not None
        self._job, self._item = job, item
        self._request = request
        self._tools = tools_of(tools)
        self._keeping = keeping
        self._schema = request.shape.schema if request.shape else None
        self._workspace = request.kit.works_on_files
        self._trace = Trace()
        self._evidence = Evidence()
        self._removed: list[str] = []
        self._taken: list[ModelAnswer] = []

    @property
    def notes(self) -> list[str]:
        """What is to be said of an answer that is taken."""
        bound = self._trace.stopped_by
        said = [f"it had to answer at the bound of its {bound}"] if bound else []
        return [*dict.fromkeys(str(each.note) for each in self._taken), *said, *self._removed]

    async def answer(self, text: str) -> Any:
        item, request = self._item, self._request
        if item.folder is None:
            # It stands in the prompt: whoever cites a line of it was shown it.
            lines = text.count("\n") + 1
            for name in {item.key, Path(item.source).name if item.source else item.key}:
                self._evidence.add(name, 1, lines)
        parts = await parts_beside(request.model, text)
        source = f"the files of {item.key}" if item.folder is not None else item.key
        if len(parts) == 1:
            return await self._ask(self._messages(source, text))
        answers = []
        for at, part in enumerate(parts, start=1):
            answer = await self._ask(self._messages(f"{source} (part {at} of {len(parts)})", part))
            answers.append(answer if isinstance(answer, str) else json.dumps(answer))
        return await self._ask(
            combining_tool_messages(
                request.ask, source=source, answers=answers, schema=self._schema,
                workspace=self._workspace,
            )
        )  # fmt: skip

    def _messages(self, source: str, text: str) -> list[Message]:
        return tool_messages(
            self._request.ask, source=source, text=text, schema=self._schema,
            workspace=self._workspace,
        )  # fmt: skip

    async def _ask(self, messages: list[Message]) -> Any:
        """One answer, read by the run's schema if it has one, with one repair turn, and with no
        citation of what was never shown."""
        request, job = self._request, self._job
        shape = request.shape

        def fell_back() -> None:
            job.fell_back += 1

        turns = Turns(
            request.model,
            accept=request.accept,
            fell_back=fell_back,
            unusable=unreadable_by(shape.read) if shape else lambda text: False,
        )
        text = await run_agent(
            messages,
            self._tools,
            turns,
            bounds=BOUNDS,
            evidence=self._evidence,
            trace=self._trace,
            keeping=self._keeping,
        )
        last = turns.last
        assert last is not None, "an answer was asked for"
        value: Any = text
        if shape is not None:

            async def again(repaired: Sequence[Message]) -> ModelAnswer:
                return await turns.answer_to(repaired, [t.schema for t in self._tools.values()])

            value, last = await read_or_repair(
                last,
                self._trace.said,
                again,
                read=shape.read,
                repair=repair_messages,
                wrong="the answer does not validate",
                most_tokens=request.model.max_output_tokens,
            )
        if last.note is not None:
            self._taken.append(last)
            job.endings[self._item.key] = last.ending.kind
        return self._cited(value)

    def _cited(self, value: Any) -> Any:
        """A value without citations of what was never shown. Raises BadAnswer where it is not of
        the run's schema without them."""
        checked = self._checked(value)
        shape = self._request.shape
        if shape is not None and checked != value:
            try:
                shape.read(json.dumps(checked))
            except ValueError as problems:
                why = f"without {', '.join(self._removed)} the answer does not validate: {problems}"
                raise BadAnswer("schema", why) from None
        return checked

    def _checked(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._checked(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._checked(each) for each in value]
        if not isinstance(value, str):
            return value
        checked = check_citations(value, self._evidence)
        self._removed += [note for note in checked.notes if note not in self._removed]
        return checked.text


def quoting_messages(ask: str, item: Item) -> list[Message]:
    """What the offline model is asked about a folder: the passages that a search of it finds, or,
    for a question that shares no word with it, how its first files begin. Blocking.

    Raises ItemFailed where nothing in it can be read.
    """
    assert item.folder is not None, "a text is quoted as it is"
    try:
        corpus = Corpus.of(["."], folder=item.folder)
    except ConfigurationError as error:
        raise ItemFailed(str(error)) from None
    passages = corpus.search(ask, most=MOST_PASSAGES, around=0)
    if not passages:
        passages = [corpus.read(name, last=_BEGINNING) for name in corpus.names[:MOST_PASSAGES]]
    if not passages:
        raise ItemFailed("none of the folder's files can be read")
    return excerpt_messages(ask, passages)
