"""`prefect-governor research`: its arguments, what is checked first, and the run."""

import sys
from pathlib import Path
from typing import Any

import click

from prefect_governor.flows.cli.terminal.command_line import (
    CONTEXT,
    Command,
    UsageProblem,
    option,
)
from prefect_governor.flows.cli.terminal.options import (
    MCP,
    RUN,
    WEB,
    Told,
    run_options,
    shared_options,
    tools_option,
)

COMMAND = "research"
_RESEARCH = (
    option(
        "--corpus",
        multiple=True,
        metavar="DIR|GLOB",
        help="Files, folders and globs that the agents search and read. May be given often.",
    ),
    tools_option(
        "What the agents may call besides: python and shell (programs in a sandbox, in a workspace"
        " of the agent's own with copies of the corpus's files), read and search (what those wrote"
        " there too), web (as --web), or package.module:function."
    ),
    option("--web", is_flag=True, help="The agents may read public web pages, and search the web."),
    *WEB,
    *MCP,
    option(
        "--plan",
        type=click.Path(path_type=Path),
        metavar="plan.yaml",
        help="A plan in place of the lead's: tasks: [{id, objective, depends_on: [], writes: []}]",
    ),
    option("--max-tasks", type=int, metavar="N", help="The most sub-questions. [default: 20]"),
    option(
        "--max-rounds",
        type=int,
        metavar="N",
        help="How often the lead may change the plan while it runs. [default: 2]",
    ),
    *shared_options(COMMAND),
)
_OUT = (
    option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="report.md",
        help="Where the answer goes. [default: beside the run's results]",
    ),
)


@click.command(COMMAND, cls=Command, context_settings=CONTEXT)
@click.argument("question", required=False)
@run_options(_RESEARCH, RUN, _OUT)
def research_command(question: str | None, **options: Any) -> None:
    """Answer a question from a corpus: sub-questions in parallel, an answer with its sources.

    A lead agent cuts the question into sub-questions. Those that depend on nothing run at once,
    the others as soon as what they need is there; agents search and read the corpus; the answer
    cites the lines that hold it and names what could not be found.

    With --web the agents read public web pages and PDFs, and search the web where one of
    SEARXNG_API_BASE, BRAVE_API_KEY and TAVILY_API_KEY is set; no address that is not public is
    reached.

    Without a key and without a local Ollama the offline model plans by rule: the question is cut
    where it is cut already (at a '?', a ';', a new line), each part is asked of the files that a
    search finds, and the answers are quotes.

    \b
    Examples:
      prefect-governor research "How are retries decided?" --corpus docs
      prefect-governor research "Who pays?" --corpus 'deals/**/*.pdf' --max-usd 2
      prefect-governor research "What changed?" --plan plan.yaml --corpus notes
      prefect-governor research "Who sold most?" --corpus sales --tools python
      prefect-governor research "What is new in HTTP/3?" --web --out report.md
      prefect-governor research --resume last

    \b
    Exit status: 0 complete, 3 partial, 1 failed, 2 usage.
    Ctrl-C once finishes what is in flight, no more; twice ends that too.
    """
    _research(question, options)


@click.command(COMMAND, cls=Command, context_settings=CONTEXT)
@click.argument("question", required=False)
@run_options(_RESEARCH, RUN, _OUT)
def research_estimate(question: str | None, **options: Any) -> None:
    """Say what a research would do, cost and take. Makes no call and spends nothing.

    The same arguments as `research`. Tasks, calls, tokens, p50 and p95 of cost and of time, and the
    cost multiple, from the plan where one is given, from a guess where the lead makes it.

    \b
    Examples:
      prefect-governor estimate research "How are retries decided?" --corpus docs
      prefect-governor estimate research "Who pays?" --plan p.yaml --corpus deals

    \b
    Exit status: 0, 2 usage.
    """
    _research(question, options | {"dry_run": True})


def _research(question: str | None, options: dict[str, Any]) -> None:
    from prefect_governor.flows.cli.research.command import run_research

    if not question and not options["resume"]:
        raise UsageProblem('say what is to be found out: research "How are retries decided?"')
    sys.exit(run_research(question, Told.of(options)))
