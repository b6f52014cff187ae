"""The sub-agent of a research run: one task of the plan, one finding."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import task as prefect_task

from prefect_governor.blocks.claims.slots import alone
from prefect_governor.blocks.errors import BadAnswer, ItemFailed
from prefect_governor.blocks.machine.stops import check_not_stopped
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.flows.agent.evidence import Evidence, check_citations, merged
from prefect_governor.flows.agent.loop import Trace, run_agent
from prefect_governor.flows.agent.offline import MOST_PASSAGES, excerpt_messages, is_offline
from prefect_governor.flows.agent.showing import Citing, Told
from prefect_governor.flows.agent.tools import (
    Tool,
    corpus_tools,
    noting,
    tool_of,
    tools_of,
)
from prefect_governor.flows.deep_research.clients import TaskGovernor
from prefect_governor.flows.deep_research.finding import MOST_IN_PROMPT, Finding, Reference
from prefect_governor.flows.deep_research.plan.plan import PlanTask
from prefect_governor.flows.deep_research.prompts import agent_messages
from prefect_governor.flows.deep_research.request import BOUNDS
from prefect_governor.flows.deep_research.study import Study, current_study
from prefect_governor.flows.deep_research.workspace import own_tools
from prefect_governor.flows.report.model import json_value
from prefect_governor.flows.run.job import TAG
from prefect_governor.flows.run.naming import hash_of
from prefect_governor.flows.run.outcomes import FINE
from prefect_governor.flows.subagent.asking import ModelAnswer, ask_model
from prefect_governor.flows.subagent.keeping import (
    KeptInLedger,
    KeptOnBench,
    place_of,
    read_records,
)
from prefect_governor.flows.subagent.retrying import RETRYING
from prefect_governor.flows.subagent.turns import Turns
from prefect_governor.flows.subagent.workplace import snapshots_of
from prefect_governor.flows.tools.bench import Bench
from prefect_governor.flows.tools.snapshots import Snapshots


@prefect_task(name="research-agent", task_run_name="{key}", tags=[TAG], **RETRYING)
async def research_agent(key: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Answer one task of the plan. `inputs` are references to what it depends on.

    Returns a reference to its finding. Raises BadAnswer for an answer that did not end well;
    CallRefused and the provider's own errors as they come.
    """
    study = current_study.get()
    assert study is not None, "research_agent runs in a research run only"
    plan_task = study.tasks[key]
    with study.at_work(key):
        check_not_stopped()
        given = {name: await asyncio.to_thread(_read, ref) for name, ref in inputs.items()}
        # Other runs may write the same; within this one the schedule sees to it.
        async with alone(study.runtime, plan_task.writes):
            finding = await _find(study, plan_task, given)
            await study.keep(key, study.input_hash(plan_task, given), finding.to_record())
        if study.inquiry.kit.runs_programs:
            # Not before: whoever went on without its finding would run its programs again.
            await asyncio.to_thread(snapshots_of(study.kept_as, key).remove)
    return (await asyncio.to_thread(Reference.to, finding, study.folder)).to_json()


async def _find(study: Study, task: PlanTask, inputs: Mapping[str, Finding]) -> Finding:
    evidence = Evidence()
    notes: list[str] = []
    if missing := [name for name in task.depends_on if name not in inputs]:
        notes.append(f"answered without {', '.join(map(repr, missing))}, which did not succeed")
    # Answers that are taken though they did not end well.
    taken: list[ModelAnswer] = []
    if study.inquiry.agent is not None:
        answer = await _by_own_agent(study, task, inputs, evidence, notes)
    elif is_offline(study.inquiry.model.name):
        answer = await _by_rule(study, task, evidence, taken)
    else:
        answer = await _by_agent(study, task, inputs, evidence, notes, taken)
    checked = check_citations(scrubbed(answer), evidence)
    notes += [*dict.fromkeys(each.note for each in taken if each.note), *checked.notes]
    study.notes[task.id] = notes
    ended = taken[-1].ending.kind if taken else FINE
    files = study.files.record(task.id)
    return Finding(task.id, checked.text, evidence.to_json(), tuple(notes), ended, files)


async def _by_agent(
    study: Study,
    task: PlanTask,
    inputs: Mapping[str, Finding],
    evidence: Evidence,
    notes: list[str],
    taken: list[ModelAnswer],
) -> str:
    # Of the results that it may use, what stands in its prompt.
    evidence.update(merged(each.as_told(MOST_IN_PROMPT).lines for each in inputs.values()))
    trace = Trace()
    turns = Turns(study.inquiry.model, accept=study.inquiry.accept)
    async with _at_work(study, task) as (place, served):
        answer = await run_agent(
            agent_messages(study.inquiry.question, task, inputs, study.means),
            tools_of([*_our_tools(study, task, inputs, place), *_their_tools(study, served)]),
            turns,
            bounds=BOUNDS[task.effort],
            evidence=evidence,
            trace=trace,
            keeping=await _keeping(study, task, inputs, place),
        )
    taken += turns.taken
    if trace.stopped_by is not None:
        notes.append(f"it had to answer at the bound of its {trace.stopped_by}")
    notes += place.notes
    return answer


@dataclass(frozen=True)
class _Place:
    """Where an agent works: the tools `on_bench` on a bench of its own, where it runs programs."""

    bench: Bench | None = None
    snapshots: Snapshots | None = None
    on_bench: tuple[Tool, ...] = ()

    @property
    def notes(self) -> list[str]:
        return [] if self.bench is None else self.bench.notes

    def in_turn(self, tool: Tool) -> Tool:
        """A tool for whoever calls it as it is: those on the bench have their turns."""
        bench, function = self.bench, tool.function
        if bench is None or tool not in self.on_bench:
            return tool

        @functools.wraps(function)
        async def call(*args: Any, **values: Any) -> Any:
            async with bench.turn:
                return await function(*args, **values)

        return replace(tool, function=call)


@asynccontextmanager
async def _at_work(study: Study, task: PlanTask) -> AsyncIterator[tuple[_Place, list[Tool]]]:
    """The agent's place, and the tools of the servers that it has sessions with."""
    kit = study.inquiry.kit
    quarters = kit.mcp.quarters(programs=kit.runs_programs)
    async with kit.mcp.agent(quarters) as served:
        if not kit.runs_programs:
            yield _Place(), served
            return
        async with study.at_bench(task.id, quarters) as (bench, snapshots):
            yield _Place(bench, snapshots, tuple(own_tools(kit, bench, study.corpus))), served


async def _keeping(
    study: Study, task: PlanTask, inputs: Mapping[str, Finding], place: _Place
) -> KeptInLedger:
    kept, name = place_of(study.kept_as, task.id), study.input_hash(task, inputs)
    if place.bench is None or place.snapshots is None:
        return KeptInLedger(
            study.runtime, kept, name, await read_records(study.runtime, kept, name)
        )
    name = hash_of(name, study.inquiry.kit.ran_in)
    return KeptOnBench(
        study.runtime, kept, name, await read_records(study.runtime, kept, name),
        bench=place.bench, snapshots=place.snapshots,
        on_bench={tool.name for tool in place.on_bench},
    )  # fmt: skip


def _our_tools(
    study: Study, task: PlanTask, inputs: Mapping[str, Finding], place: _Place
) -> list[Tool]:
    own = {tool.name: tool for tool in place.on_bench}
    corpus = corpus_tools(study.corpus, within=task.sources) if len(study.corpus) else []
    tools = [*own.values(), *(tool for tool in corpus if tool.name not in own), *study.web_tools]
    if inputs:

        def read_result(task: str) -> Citing:
            """The whole result of a task that yours depends on."""
            if task not in inputs:
                raise LookupError(f"your task depends on: {', '.join(inputs)}")
            return Citing(inputs[task].answer, inputs[task].shown)

        tools.append(tool_of(read_result))
    return tools


def _their_tools(study: Study, served: Sequence[Tool]) -> list[Tool]:
    return [tool.under(study.slot) for tool in (*study.inquiry.kit.own, *served)]


async def _by_rule(
    study: Study, task: PlanTask, evidence: Evidence, taken: list[ModelAnswer]
) -> str:
    # The first search indexes the corpus.
    found = await asyncio.to_thread(
        study.corpus.search, task.objective, within=task.sources, most=MOST_PASSAGES, around=0
    )
    if not found:
        raise ItemFailed("nothing in the corpus shares a word with the question")
    for each in found:
        evidence.add(each.source, each.first, each.last)
    answer = await ask_model(
        study.inquiry.model,
        excerpt_messages(task.objective, found),
        accept=study.inquiry.accept,
    )
    if answer.note is not None:
        taken.append(answer)
    return answer.text


async def _by_own_agent(
    study: Study,
    task: PlanTask,
    inputs: Mapping[str, Finding],
    evidence: Evidence,
    notes: list[str],
) -> str:
    """An agent of the user's own. The lines that it may cite are those that the inputs cite, those
    that its governor's tools showed it, and those it names itself:
    `{"answer": …, "evidence": {source: [[first, last]]}}`."""
    agent = study.inquiry.agent
    assert agent is not None
    answers = {name: finding.answer for name, finding in inputs.items()}
    evidence.update(merged(finding.as_told().lines for finding in inputs.values()))

    def note(told: Told) -> None:
        evidence.update(told.lines)

    async with _at_work(study, task) as (place, served):
        ours, theirs = _our_tools(study, task, inputs, place), _their_tools(study, served)
        tools_of([*ours, *theirs])
        governor = TaskGovernor(
            [
                *(noting(place.in_turn(tool), note) for tool in ours),
                *(tool.function for tool in theirs),
            ]
        )
        if inspect.iscoroutinefunction(agent):
            result = await agent(task, answers, governor)
        else:
            result = await asyncio.to_thread(agent, task, answers, governor)
            if inspect.isawaitable(result):
                result = await result
    notes += place.notes
    if isinstance(result, Mapping) and "answer" in result:
        evidence.update(Evidence.of_json(result.get("evidence") or {}))
        result = result["answer"]
    text = result if isinstance(result, str) else str(json_value(result))
    if not text.strip():
        raise BadAnswer("empty", "the agent answered with nothing")
    return text


def _read(reference: Mapping[str, Any]) -> Finding:
    return Finding.of_record(Path(reference["file"]).read_text(encoding="utf-8"))
