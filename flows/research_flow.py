"""`research`: a question, a plan, its sub-agents, and an answer with the lines that hold it."""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from prefect_governor.blocks.claims.task_slots import let_go
from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.figures.figures import (
    chain_figures,
)
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.money.usd import Money
from prefect_governor.flows.agent.corpus import Corpus
from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.deep_research.answer import answer_of
from prefect_governor.flows.deep_research.conductor import (
    Conductor,
    Hands,
    OwnHands,
    ending_of,
    not_succeeded,
)
from prefect_governor.flows.deep_research.lead import lead_plan, plan_name
from prefect_governor.flows.deep_research.outcomes import figures_of, item_reports
from prefect_governor.flows.deep_research.plan.by_rule import BY_RULE, plan_by_rule
from prefect_governor.flows.deep_research.plan.plan import Plan, check_plan
from prefect_governor.flows.deep_research.report import (
    ResearchReport,
    answer_artifact,
    publish_graph,
    publish_plan,
    write_answer,
)
from prefect_governor.flows.deep_research.request import (
    DEFAULT_MAX_ROUNDS,
    DEFAULT_MAX_TASKS,
    check_tools_are_called,
    make_inquiry,
)
from prefect_governor.flows.deep_research.setting_aside import set_aside
from prefect_governor.flows.deep_research.shared.handing import hands_of
from prefect_governor.flows.deep_research.shared.helping import helped
from prefect_governor.flows.deep_research.study import PLAN, Study, current_study
from prefect_governor.flows.deep_research.worth import check_worth, cost_multiple
from prefect_governor.flows.forms.research import RESEARCH
from prefect_governor.flows.forms.shape import shape
from prefect_governor.flows.report.publish import leave, make_report
from prefect_governor.flows.run.advice import advised
from prefect_governor.flows.run.counted import counted_under
from prefect_governor.flows.run.flow import ThisRun, in_thread, ready_flow, this_run
from prefect_governor.flows.run.item_files import ItemFiles
from prefect_governor.flows.run.job import TAG, runtime_for
from prefect_governor.flows.run.log.run_log import RunLog
from prefect_governor.flows.run.outfile import OutFile
from prefect_governor.flows.run.watch import Watch
from prefect_governor.flows.runner import GovernedTaskRunner
from prefect_governor.flows.shards.asked import Asked, asked_for, check_can_be_imported
from prefect_governor.flows.shards.planning import Part
from prefect_governor.flows.web.searching import SEARCH_LIMIT
from prefect_governor.flows.web.settings import NO_SEARCH, WebSettings
from prefect_governor.flows.web.web import Web


@ready_flow(
    name="research",
    task_runner=GovernedTaskRunner(),
    # As in `fan_out`: a partial run must be retryable; what finished is kept by the ledger.
    persist_result=False,
    validate_parameters=False,
)
def research(
    question: str,
    *,
    corpus: list[str] | None = None,
    plan: Any = None,
    folder: str | None = None,
    tools: list[Any] | None = None,
    agent: Any = None,
    web: bool = False,
    allow_hosts: Sequence[str] = (),
    deny_hosts: Sequence[str] = (),
    search: str = "auto",
    search_usd: Money | None = None,
    mcp: Any = None,
    sandbox: str | None = None,
    governor: str | None = None,
    model: str = "auto",
    max_usd: Money | None = None,
    max_total_tokens: int | None = None,
    max_output_tokens: int | None = None,
    max_concurrent: int | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    timeout_seconds: float | None = None,
    min_success: float = 0.0,
    max_tasks: int = DEFAULT_MAX_TASKS,
    max_rounds: int = DEFAULT_MAX_ROUNDS,
    max_cost_multiple: float | None = None,
    accept: Sequence[str] = (),
    processes: int | str | None = None,
    shards: int | None = None,
    deployment: str | None = None,
    part_of: Any = None,
) -> ResearchReport:
    """Answer a question from a corpus: a plan of sub-questions, an agent each, and a synthesis.

    Args:
        question: what is to be found out.
        corpus: files, folders and globs that the agents may search and read.
        plan: a plan in place of the lead's: `{"tasks": [{"id", "objective", "depends_on", …}]}`, or
            the path of a YAML file.
        folder: what `corpus` and `plan` are relative to. Defaults to the working directory.
        tools: what each agent may call beside `search_corpus` and `read`: "python" and "shell",
            programs in a sandbox, in a workspace of the agent's own that has copies of the corpus's
            files in its folder `corpus`; "read" and "search", of what they wrote there; "web", as
            `web` has it; in Python also functions with type hints and a docstring (or
            "package.module:name"). What an agent leaves in its workspace are its task's files.
        agent: a callable in place of our agent (or "package.module:name"): it gets the task, its
            inputs by task id, and the governor's clients, and returns its answer.
        web: the agents may fetch public web pages and PDFs, and search the web where somebody
            searches. The corpus may be empty then.
        allow_hosts: hosts that alone may be reached; `example.org` is it and all below it, with `*`
            it is a pattern. Default: all that are public.
        deny_hosts: hosts that may not be reached, whatever is allowed.
        search: who searches: "brave" (BRAVE_API_KEY), "tavily" (TAVILY_API_KEY), "searxng" (its URL
            in SEARXNG_API_BASE), "auto" for the first of searxng, brave, tavily whose variable is
            set, "off".
        search_usd: what one search costs, reserved before it is made. Defaults to the provider's
            list price: brave $0.005, tavily $0.008, searxng nothing.
        mcp: MCP servers whose tools the agents may call, over HTTP or as programs in a sandbox:
            `{"mcpServers": {"NAME": {"url": "https://…", "headers": {…}}, "OTHER": {"command":
            "python3", "args": ["server.py"], "cwd": "FOLDER", "env": {…}}}}`, or the path of a JSON
            file that holds it. `${NAME}` in it stands for a variable of the environment, which is
            where keys belong. Each agent has sessions of its own.
        sandbox: name of a saved Sandbox block for "python" and "shell", and for servers of `mcp`
            that are programs. Without one the default bounds.
        governor: name of a saved Governor block. Without one the run has a ceiling of its own.
        model: LiteLLM's name, "block:NAME" for a Model block, or "auto".
        max_usd: ceiling of this run, under the governor's; $1.00 where there is no governor.
        max_total_tokens: ceiling of this run in tokens, input and output together.
        max_output_tokens: the most one reply may have. Defaults to the Model block's, or 1,024.
        max_concurrent: calls in flight at once in this run; 20 where there is no governor.
        requests_per_minute: requests of this run in any minute.
        tokens_per_minute: tokens of this run in any minute.
        timeout_seconds: how long one request may take, once it was sent.
        min_success: the share of tasks (0 to 1) that must succeed for the run not to fail.
        max_tasks: the most tasks, those that the lead adds included.
        max_rounds: how often the lead may change the plan while it runs; 0 for never.
        max_cost_multiple: refuse a plan that would cost more than so many times what one agent
            doing all of it would.
        accept: kinds of answers that are taken as they are, with a note, though they did not end
            well: "cut" (at `max_output_tokens`), "filtered", "refused". Else their tasks fail, and
            in place of a synthesis the findings stand one below the other.
        processes: how many processes of this machine share the agents, under the run's one ceiling;
            "auto": as many as bring something. Defaults to this process alone. The lead and the
            synthesis stay here.
        shards: how many flow runs of `deployment` share them, on the workers of a work pool.
        deployment: "flow/deployment" of a `research`, for `shards`.
        part_of: what a run gives its shards.

    Returns:
        Called, the `ResearchReport` of the run, complete or partial.

    Raises:
        ConfigurationError: before anything is spent.
        RunFailed: nothing succeeded, or less than `min_success`; its `report` holds all of it.
    """
    shared = asked_for(shards=shards, deployment=deployment, processes=processes)
    part = Part.of(part_of)
    inquiry = make_inquiry(
        question,
        plan=plan,
        corpus=corpus,
        folder=folder,
        tools=tools or (),
        agent=agent,
        web=web,
        allow_hosts=allow_hosts,
        deny_hosts=deny_hosts,
        search=search,
        search_usd=search_usd,
        mcp=mcp,
        sandbox=sandbox,
        governor=governor,
        model=model,
        max_usd=max_usd,
        max_total_tokens=max_total_tokens,
        max_output_tokens=max_output_tokens,
        max_concurrent=max_concurrent,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        timeout_seconds=timeout_seconds,
        min_success=min_success,
        max_tasks=max_tasks,
        max_rounds=max_rounds,
        max_cost_multiple=max_cost_multiple,
        accept=accept,
    )
    check_tools_are_called(inquiry)
    if shared is not None:
        check_can_be_imported(tools or (), agent)
    here = this_run("research")
    if part is not None:
        here = part.join(here)
    kit = inquiry.kit
    runtime = runtime_for(inquiry, here.kept_as, more=(SEARCH_LIMIT,) if kit.searches else ())
    for tool in kit.own:
        if tool.limit is not None:
            # Refused here by name, before anything is spent, where there is none.
            runtime.limit_named(tool.limit)
    state = state_folder() / "runs" / here.id
    answer_file = here.control.out or state / "report.md"
    files = ItemFiles(answer_file if part is None else Path(part.plan.results))
    if part is None:
        files.sweep()
    with kit.mcp.open():
        study = Study(
            inquiry,
            here.id,
            here.kept_as,
            runtime,
            here.control,
            Corpus(inquiry.corpus),
            state / "findings",
            files,
            # A run that is gone on with has what it retrieved before.
            web=_web(kit.web, here.kept_as),
            # A shard is told what to read.
            records={} if part is not None else runtime.desk.store.read_items(here.kept_as),
        )
        # Servers that cannot be had are told of before anything is spent.
        with scope(Scope(governor=runtime, tags=(TAG,), run_id=here.kept_as)):
            study.check_tools()
        if part is not None:
            report, left_by = helped(study, part)
            return cast(ResearchReport, leave(report, left_by=left_by))
        here.started("research", inquiry, state / "results.jsonl", more=True)
        log = RunLog()
        log.began(
            governor=governor, budgets=chain_figures(runtime, here.kept_as), model=inquiry.model
        )
        token = current_study.set(study)
        try:
            full = here.control.stop.set
            with OutFile(state / "results.jsonl", full=full, goes_on=True) as out, let_go():
                report, left_by = _run(study, here, shared, out, answer_file, log)
                report = here.control.report = advised(
                    report,
                    command="research",
                    most_tokens=inquiry.model.max_output_tokens,
                )
        finally:
            current_study.reset(token)
        log.ended(report)
    answer = [] if report.answer is None else [answer_artifact(study, report.answer)]
    return cast(ResearchReport, leave(report, left_by=left_by, more=answer))


shape(research, RESEARCH)
aresearch = in_thread(research)


def _web(settings: WebSettings | None, kept_as: str) -> Web | None:
    if settings is None:
        return None
    return Web(settings, state_folder() / "runs" / kept_as / "web")


def _run(
    study: Study,
    here: ThisRun,
    shared: Asked | None,
    out: OutFile,
    answer_file: Path,
    log: RunLog,
) -> tuple[ResearchReport, BaseException | None]:
    """The plan, its tasks, the answer and the report; also of a run that is left by an order to end
    or an error, which is given too."""
    began = time.monotonic()
    notes = [f"{name} was left out: {why}" for name, why in study.corpus.unreadable.items()]
    if is_offline(study.inquiry.model.name):
        notes.append(BY_RULE)
    if study.means.web and not study.means.search:
        notes.append(NO_SEARCH)
    own = OwnHands(study)
    made, problem = _planned(study)
    if made is None:
        return _failed(study, out, f"no plan: {problem}", notes, own), None
    expected = check_worth(study.inquiry, made)
    graph = publish_plan(study, made, expected)
    log.knows(len(made.tasks), left_out=study.left_out, kept=_answered_before(study, made))
    with ExitStack() as stack:
        refused = stack.enter_context(set_aside(study, made))
        if refused is not None:
            return _failed(study, out, refused, notes, own), None
        hands = stack.enter_context(
            hands_of(study, here, shared, total=len(made.tasks), results=answer_file)
        )
        watch = Watch(study, key_prefix="research", log=log, limits=hands.limits)
        stack.enter_context(watch)

        def told(ended: Sequence[str]) -> None:
            for item in (items := item_reports(study, conductor, ended)):
                watch.count(item.state)
            out.add(*items)

        conductor = Conductor(study, made, hands, told=told)
        left_by = study.control.conducted(conductor.conduct)
        hands.over()
        notes += conductor.notes
        missing = not_succeeded(conductor.schedule.ended)
        tasks = conductor.schedule.tasks
        written = answer_of(study, tasks, conductor.findings, missing)
        figures = figures_of(study, hands)
    ended = conductor.schedule.ended
    states = {task.id: ended[task.id].state for task in tasks}
    publish_graph(study, graph, tasks, states)
    notes += written.notes
    items = item_reports(study, conductor, (task.id for task in tasks))
    out.finish(items)
    spare = state_folder() / "runs" / study.run_id / "report.md"
    answer_file, unwritten = write_answer(answer_file, written.text, spare=spare)
    notes += unwritten
    picture = watch.keep_picture(state_folder() / "runs" / study.run_id)
    base = make_report(
        items,
        skipped=study.inquiry.skipped,
        run_id=study.run_id,
        min_success=study.inquiry.min_success,
        stopped=study.control.interrupted,
        figures=figures,
        cost_multiple=cost_multiple(study, conductor.findings, written.text),
        notes=[*notes, *([] if shared is None else shared.notes())],
        files=[
            str(answer_file),
            str(out.path),
            *([str(study.files.folder)] if study.files.any else []),
            *([picture] if picture else []),
        ],
        resumable=True,
        picture=picture,
    )
    if written.unwritten is not None and base.outcome == "complete":
        # Every sub-question has its finding, and nobody made an answer of them.
        base = base.model_copy(update={"outcome": "partial", "reason": written.unwritten})
    report = ResearchReport(
        **dict(base),
        question=study.inquiry.question,
        answer=written.text,
        citations=list(written.citations),
        plan=[task.model_dump(mode="json") for task in tasks],
        wall_seconds=round(time.monotonic() - began, 3),
    )
    return report, left_by


def _planned(study: Study) -> tuple[Plan | None, str | None]:
    """The plan that was given, kept, or made; or why there is none."""
    inquiry = study.inquiry
    if inquiry.plan is not None:
        return inquiry.plan, None
    if is_offline(inquiry.model.name):
        return plan_by_rule(inquiry.question), None
    name = plan_name(study)
    record = study.kept(PLAN, name)
    if record is None:
        with counted_under(study.runtime, kept_as=study.kept_as):
            future = lead_plan.submit()
        ending = ending_of(future)
        if ending.state != "succeeded":
            # Where the run was stopped for it, that says what to do.
            return None, study.control.reason or ending.reason
        record = json.dumps(ending.result)
        study.keep_now(PLAN, name, record)
    return check_plan({"tasks": json.loads(record)}), None


def _answered_before(study: Study, plan: Plan) -> int:
    """How many of its tasks have an answer of an earlier attempt."""
    return len({task.id for task in plan.tasks} & {key for key, _ in study.records})


def _failed(
    study: Study, out: OutFile, reason: str, notes: Sequence[str], hands: Hands
) -> ResearchReport:
    """A run that ended before its first sub-agent."""
    out.finish([])
    base = make_report([], run_id=study.run_id, figures=figures_of(study, hands), notes=notes)
    return ResearchReport(
        **{**dict(base), "outcome": "failed", "reason": reason, "resumable": True},
        question=study.inquiry.question,
    )
