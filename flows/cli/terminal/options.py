"""The options of the commands that run something: one place, so that they are the same."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.cli.terminal.command_line import DEBUG, PARAMETERS, F, option

Option = Callable[[Any], Any]

# What is said of the web, where a run has it, and what it is where nothing is said.
_WEB_UNSAID = {"allow_host": (), "deny_host": (), "search": "auto", "search_usd": None}
# Options that say how sources are read: fields of the flow's `reading`, each with what a value
# makes of it. What is not given is not in it.
_READING: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "encoding": ("encoding", str),
    "no_gitignore": ("gitignore", lambda given: not given),
    "delimiter": ("delimiter", str),
    "text_column": ("text_column", str),
    "key_column": ("key_column", str),
    "as_": ("as", str),
    "skip_bad_rows": ("skip_bad_rows", bool),
}
# What is said of the command and not of the run.
_NOT_PARAMETERS = frozenset(
    {"as_json", "out", "yes", "resume", "retry_failed", "dry_run", "ask_above_usd", "force"}
)


def _debug(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        os.environ[DEBUG] = "1"


def shared_options(flow: str) -> tuple[Option, ...]:
    """Who shares a run of this flow."""
    return (
        option(
            "--processes",
            metavar="N|auto",
            help="How many processes of this machine share the run. [default: one, this one]",
        ),
        option(
            "--shards",
            type=int,
            metavar="N",
            help="With --deployment: how many flow runs of it share the run, on its workers.",
        ),
        option(
            "--deployment",
            metavar="NAME",
            help=f"With --shards: a deployment of the flow `{flow}`, such as {flow}/shard.",
        ),
    )


RUN = (
    option("--governor", help="A saved Governor block to run under.", metavar="NAME"),
    option(
        "--model",
        default="auto",
        show_default=True,
        metavar="M",
        help="LiteLLM's name, block:NAME for a Model block, or auto: the first of a provider's"
        " key, a local Ollama, the offline extractive model.",
    ),
    option(
        "--max-usd",
        metavar="X",
        help="Ceiling of this run in USD. [default without a governor: 1.00]",
    ),
    option("--max-total-tokens", type=int, metavar="N", help="Ceiling of this run in tokens."),
    option(
        "--max-output-tokens",
        type=int,
        metavar="N",
        help="The most one answer may have. [default: 1024]",
    ),
    option(
        "--max-concurrent",
        type=int,
        metavar="N",
        help="Calls in flight at once. [default without a governor: 20]",
    ),
    option("--rpm", type=int, metavar="N", help="Requests in any minute."),
    option("--tpm", type=int, metavar="N", help="Tokens in any minute."),
    option(
        "--timeout-seconds",
        type=float,
        metavar="S",
        help="How long one request may take once it was sent. [default: 120]",
    ),
    option(
        "--min-success",
        type=float,
        default=0.0,
        show_default=True,
        metavar="F",
        help="Share of items that must succeed for the run not to fail.",
    ),
    option(
        "--max-cost-multiple",
        type=float,
        metavar="F",
        help="Refuse if it would cost more than F times one agent reading all in one go.",
    ),
    option(
        "--dry-run",
        is_flag=True,
        help="Say what it would do, cost and take, as `estimate` does; call nothing.",
    ),
    option(
        "--ask-above-usd",
        metavar="X",
        help="Ask first where it may well cost more. [default: 5.00]",
    ),
    option("--yes", is_flag=True, help="Never ask."),
    option(
        "--resume",
        metavar="RUN",
        help="Go on with an earlier run, by its id or 'last': pays only for what is missing. Other"
        " options change what it was asked.",
    ),
    option(
        "--retry-failed",
        is_flag=True,
        help="With --resume: ask those anew whose answer was paid for and bad (cut, filtered,"
        " refused, empty, not in the shape of the schema). What succeeded stands, whichever model"
        " is asked now.",
    ),
    option(
        "--accept",
        multiple=True,
        type=click.Choice(["cut", "filtered", "refused"]),
        help="Take such an answer as it is, with a note. May be given often. [default: it fails]",
    ),
    option(
        "--force",
        is_flag=True,
        help="Let --out replace a file that is there already.",
    ),
    option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_debug,
        help="Show the traceback of an error that nobody expected.",
    ),
    option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table."),
)


WEB = (
    option(
        "--allow-host",
        multiple=True,
        metavar="HOST",
        help="With the web: a host that alone may be reached, with all below it, or a pattern. May"
        " be given often. [default: all that are public]",
    ),
    option(
        "--deny-host",
        multiple=True,
        metavar="HOST",
        help="With the web: a host that may not be reached. May be given often.",
    ),
    option(
        "--search",
        default="auto",
        show_default=True,
        metavar="WHO",
        help="With the web, who searches: searxng, brave, tavily, auto (the first that has its"
        " variable set), off.",
    ),
    option(
        "--search-usd",
        metavar="X",
        help="With the web: what one search costs. [default: brave 0.005, tavily 0.008, searxng 0]",
    ),
)

MCP = (
    option(
        "--mcp",
        type=click.Path(path_type=Path),
        metavar="FILE.json",
        help='MCP servers whose tools may be called: {"mcpServers": {NAME: {"url": …}}}, or'
        ' {"command": …} for a program, which runs in a sandbox.',
    ),
    option(
        "--sandbox",
        help="A saved Sandbox block for programs: python, shell, servers of --mcp.",
        metavar="NAME",
    ),
)


def tools_option(help: str) -> Option:
    """`--tools` of a command; `help` says what they are there."""
    return option(
        "--tools",
        multiple=True,
        metavar="NAME,…",
        callback=lambda context, parameter, given: _names(given),
        help=help,
    )


def _names(given: Sequence[str]) -> tuple[str, ...]:
    """Names that stand together, between commas, or apart."""
    return tuple(name for each in given for part in each.split(",") if (name := part.strip()))


FAN_OUT = (
    option("--ask", help="What each sub-agent answers about its item.", metavar="TEXT"),
    option(
        "--schema",
        help="A JSON schema that each answer must validate against.",
        type=click.Path(path_type=Path),
        metavar="FILE.json",
    ),
    tools_option(
        "What each sub-agent may call: python and shell (programs in a sandbox), read and"
        " search (its item's files), web (public pages, searches), or package.module:function. With"
        " those on files a folder is ONE item, its files copied into the item's workspace."
    ),
    *WEB,
    *MCP,
    option(
        "--encoding",
        metavar="E",
        help="How every text file is encoded, such as cp1252. [default: what the file declares,"
        " UTF-8, or a guess that is said]",
    ),
    option(
        "--no-gitignore",
        is_flag=True,
        help="Read what the .gitignore files of a folder name, too.",
    ),
    option(
        "--items-per-task",
        default="auto",
        show_default=True,
        metavar="N|auto",
        help="How many items share a task run in Prefect: one each up to 200 items, then more and"
        " more, where nobody says. All else stays by item.",
    ),
    *shared_options("fan-out"),
    option(
        "--delimiter",
        metavar="D",
        help="What stands between the fields of a table: ',', ';', '|', tab or another character."
        " [default: told from its rows]",
    ),
    option(
        "--text-column",
        metavar="C",
        help="The column of a table that is asked about. [default: every column, as name: value"
        " lines; a lone `text` or `content` as it stands]",
    ),
    option(
        "--key-column",
        metavar="C",
        help="The column that names a row. [default: `key`, else `id`, else its file and line]",
    ),
    option(
        "--as",
        "as_",
        type=click.Choice(["text", "rows"]),
        help="A file as one text, though it is a table; or as rows, a line each of a .txt or .log."
        " [default: by its name]",
    ),
    option(
        "--skip-bad-rows",
        is_flag=True,
        help="Leave out rows that cannot be read, by name, in place of refusing the file.",
    ),
    option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="FILE.jsonl",
        help="An item a line as each finishes, in input order at the end; '-' is stdout. A file"
        " that is there is replaced with --force alone; one of a run that did not end is gone on"
        " with.",
    ),
)


def run_options(*options: Sequence[Option]) -> Callable[[F], F]:
    """Put these on a command, in their order."""

    def decorate(command: F) -> F:
        for each in reversed([each for some in options for each in some]):
            command = each(command)
        return command

    return decorate


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a command was told: `parameters` of its flow, by the flow's names, `given` the names of
    those that a person gave; the rest is said of the command."""

    parameters: Mapping[str, Any]
    given: frozenset[str]
    as_json: bool
    out: Path | None
    yes: bool
    resume: str | None
    retry_failed: bool
    dry_run: bool
    force: bool
    ask_above_usd: str | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Told":
        """From the running command's options, by their own names. Raises ConfigurationError for
        what is said of an earlier run where none is gone on with."""
        if options["retry_failed"] and options["resume"] is None:
            raise ConfigurationError(
                "--retry-failed goes with --resume RUN: it asks anew what failed in that run"
            )
        idle = _idle(options)
        reading = {
            field: made(options[name])
            for name, (field, made) in _READING.items()
            if options.get(name)
        }
        return cls(
            parameters={
                PARAMETERS.get(name, name): idle.get(name, value)
                for name, value in options.items()
                if name not in _NOT_PARAMETERS and name not in _READING
            }
            | ({"reading": reading} if _READING.keys() & options.keys() else {}),
            given=_given_parameters() - {PARAMETERS.get(name, name) for name in idle},
            **{name: options[name] for name in _NOT_PARAMETERS},
        )


def _idle(options: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of what the environment says of the web, where the running command is given
    none: a variable is for all commands of a machine."""
    if options.get("web") or "web" in options.get("tools", ()):
        return {}
    context = click.get_current_context()
    environment = click.core.ParameterSource.ENVIRONMENT
    return {
        name: default
        for name, default in _WEB_UNSAID.items()
        if context.get_parameter_source(name) is environment
    }


def _given_parameters() -> frozenset[str]:
    """Names, as the flows have them, of the parameters that the running command was given."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    given = {
        "reading" if name in _READING else PARAMETERS.get(name, name)
        for name, value in context.params.items()
        if name not in _NOT_PARAMETERS
        and context.get_parameter_source(name) is not default
        and value not in (None, ())
    }
    return frozenset(
        given | ({"folder"} if {"sources", "corpus", "plan", "mcp"} & given else set())
    )
