"""The command line: thin. It parses, calls a flow, prints. Heavy imports wait until they are
needed, so that `--help` answers at once."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from prefect_governor.blocks.errors import ConfigurationError, GovernorError
from prefect_governor.blocks.home import state_folder

F = TypeVar("F", bound=Callable[..., Any])

USAGE = 2
FAILED = 1
INTERRUPTED = 3

# Newer releases of click raise it where a group is called without a command.
_ASKED_FOR_HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class UsageProblem(click.ClickException):
    """Something given to us is wrong: one line that says what to do, exit 2."""

    exit_code = USAGE

    def show(self, file: Any = None) -> None:
        click.echo(f"prefect-governor: {self.message}", err=True)


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """An option with its PREFECT_GOVERNOR_… variable, shown in `--help`."""
    name = names[0].lstrip("-").replace("-", "_").upper()
    return click.option(*names, envvar=f"PREFECT_GOVERNOR_{name}", show_envvar=True, **settings)


class Teaching(click.Group):
    """A group whose commands turn bad input into one line and exit 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except _ASKED_FOR_HELP:
            raise
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else ctx.command_path
            raise UsageProblem(f"{error.format_message()} (see `{path} --help`)") from None
        except ConfigurationError as error:
            raise UsageProblem(str(error)) from None
        except KeyboardInterrupt:
            click.echo("prefect-governor: interrupted before anything was started", err=True)
            ctx.exit(INTERRUPTED)
        except GovernorError as error:
            click.echo(f"prefect-governor: {error}", err=True)
            ctx.exit(FAILED)
        except OSError as error:
            if not _is_of_the_home(error):
                raise
            raise UsageProblem(
                f"{state_folder()} cannot be used ({error.strerror}): set PREFECT_HOME to a folder"
                " that this user may write"
            ) from None


def _is_of_the_home(error: OSError) -> bool:
    """Whether it is PREFECT_HOME that cannot be used."""
    if error.filename is None:
        return False
    path, home = Path(os.fsdecode(error.filename)), state_folder()
    return path == home or path in home.parents or home in path.parents


@click.group(cls=Teaching, context_settings=_CONTEXT)
@click.version_option(package_name="prefect-governor")
def main() -> None:
    """Run many LLM sub-agents at once on Prefect, under one hard budget.

    As much at once as the system can take, and not one unit more: every model call passes one
    admission for money, slots and rates, shared by all processes.

    \b
    Examples:
      prefect-governor fan-out docs/*.md --ask "What should a reader know first?"
      prefect-governor fan-out tickets.csv --ask "Which team?" --schema team.json --max-usd 2
      prefect-governor budget show llm-team --by model
      prefect-governor server status
      prefect-governor doctor
    """


@main.command("fan-out", context_settings=_CONTEXT)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@option("--ask", help="What each sub-agent answers about its item.", metavar="TEXT")
@option(
    "--schema",
    help="A JSON schema that each answer must validate against.",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
)
@option("--governor", help="A saved Governor block to run under.", metavar="NAME")
@option(
    "--model",
    default="auto",
    show_default=True,
    metavar="M",
    help="LiteLLM's name, block:NAME for a Model block, or auto: the first of a provider's"
    " key, a local Ollama, the offline extractive model.",
)
@option(
    "--max-usd", metavar="X", help="Ceiling of this run in USD. [default without a governor: 1.00]"
)
@option("--max-total-tokens", type=int, metavar="N", help="Ceiling of this run in tokens.")
@option(
    "--max-output-tokens",
    type=int,
    metavar="N",
    help="The most one answer may have. [default: 1024]",
)
@option(
    "--max-concurrent",
    type=int,
    metavar="N",
    help="Calls in flight at once. [default without a governor: 20]",
)
@option("--rpm", type=int, metavar="N", help="Requests in any minute.")
@option("--tpm", type=int, metavar="N", help="Tokens in any minute.")
@option(
    "--timeout-seconds",
    type=float,
    metavar="S",
    help="How long one request may take once it was sent. [default: 120]",
)
@option(
    "--min-success",
    type=float,
    default=0.0,
    show_default=True,
    metavar="F",
    help="Share of items that must succeed for the run not to fail.",
)
@option(
    "--max-cost-multiple",
    type=float,
    metavar="F",
    help="Refuse if it would cost more than F times one agent reading all in one go.",
)
@option(
    "--dry-run", is_flag=True, help="Say what it would do and the most it can cost; call nothing."
)
@option("--yes", is_flag=True, help="Never ask.")
@option("--resume", metavar="RUN", help="Go on with an earlier run. (Comes with a later release.)")
@option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="An item a line as each finishes, in input order at the end.",
)
@option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def fan_out_command(sources: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Ask the same question about each of many items, a sub-agent each.

    SOURCE is a file, a folder, a glob, '-' (a line of stdin an item), or a .jsonl, .csv or .yaml
    file (a row an item; `key` names it). Text of any encoding, PDF, DOCX and HTML are read.

    \b
    Examples:
      prefect-governor fan-out src --ask "What does this module do?"
      prefect-governor fan-out 'reports/**/*.pdf' --ask "Key risks?" --max-usd 2 --out risks.jsonl
      cat urls.txt | prefect-governor fan-out - --ask "Which product is this about?" --json

    \b
    Exit status: 0 complete, 3 partial, 1 failed, 2 usage.
    Ctrl-C once stops starting and finishes what is in flight; twice cancels that too.
    """
    from prefect_governor.flows.command import run_fan_out

    if options["resume"]:
        raise _later(
            "--resume",
            "deploy it (see prefect.yaml): Retry on a deployed run's page pays only for what is"
            " missing",
        )
    if not options["ask"]:
        raise UsageProblem('say what to ask: --ask "What should a reader know first?"')
    if not sources:
        raise UsageProblem("name at least one SOURCE: a file, a folder, a glob, or '-' for stdin")
    sys.exit(run_fan_out(list(sources), as_json=as_json, **options))


@main.group(context_settings=_CONTEXT)
def server() -> None:
    """The background server that is used where no Prefect server is configured."""


@server.command("start")
def server_start() -> None:
    """Find a Prefect server, or start one in the background for this user."""
    from prefect_governor.flows.server import ensure_server

    info = ensure_server(on_progress=_say)
    click.echo(f"{'started' if info.started else 'running'}: {info.ui_url}")


@server.command("stop")
def server_stop() -> None:
    """Stop the background server. A server that you started is left alone."""
    from prefect_governor.flows.server import stop_server

    stopped = stop_server()
    click.echo("there was none" if stopped is None else f"stopped: {stopped.ui_url}")


@server.command("status")
def server_status() -> None:
    """Say which server is used, and whether it answers. Starts nothing."""
    from prefect_governor.flows.server import status

    found = status()
    if found.configured_url:
        click.echo(f"configured: {found.configured_url} (PREFECT_API_URL)")
    if found.server is None:
        click.echo("background server: none; the next command starts one")
        return
    answers = "answers" if found.responding else "does not answer"
    click.echo(f"background server: {found.server.ui_url}, pid {found.server.pid}, {answers}")
    click.echo(f"log: {found.log}")


@main.command("doctor", context_settings=_CONTEXT)
def doctor_command() -> None:
    """Say what is installed, reachable and configured, and what to do next.

    Starts nothing, spends nothing. Exit status: 0 if nothing is a problem, else 1.
    """
    from prefect_governor.flows.doctor import examine

    problems = 0
    for finding in examine():
        click.echo(finding)
        problems += finding.mark == "problem"
    if problems:
        sys.exit(FAILED)


@main.group(context_settings=_CONTEXT)
def budget() -> None:
    """What was spent, by whom, and how much is left."""


@budget.command("show", context_settings=_CONTEXT)
@click.argument("name")
@option(
    "--by",
    type=click.Choice(["flow", "deployment", "task", "tag", "model", "user"]),
    help="Who spent it: a line for each.",
)
@option(
    "--since",
    metavar="WHEN",
    help="Break down what was spent since then, whatever the window: an age (30m, 24h, 7d, 2w) or a"
    " date or time (2026-01-31, 2026-01-31T09:00).",
)
@option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@option("--watch", is_flag=True, help="Go on showing it. (Comes with a later release.)")
def budget_show(
    name: str, by: str | None, since: str | None, as_csv: bool, as_json: bool, watch: bool
) -> None:
    """Show a ceiling, and what of it is spent, unconfirmed, reserved and left.

    NAME is a saved Governor's or Budget's, or local/NAME for `Governor.local(NAME, ...)`. The
    budgets above it are shown with it.

    \b
    Examples:
      prefect-governor budget show llm-team
      prefect-governor budget show llm-team --by tag --since 7d --csv
      prefect-governor budget show local/scratch --json
    """
    if watch:
        raise _later("--watch", "repeat it: `watch prefect-governor budget show ...`")
    from prefect_governor.flows.budget_view import show_budget

    click.echo(show_budget(name, by=by, since=since, as_json=as_json, as_csv=as_csv))


def _later(what: str, instead: str) -> UsageProblem:
    return UsageProblem(f"{what} comes with a later release; until then {instead}")


def _promise(group: click.Group, name: str, instead: str) -> None:
    """A command of a later release, which says so."""

    @group.command(
        name,
        hidden=True,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    @click.pass_context
    def later(_: click.Context) -> None:
        raise _later(f"`{name}`", instead)


def _say(line: str) -> None:
    click.echo(line, err=True)


_promise(main, "research", "ask each document by itself with `fan-out`")
_promise(main, "estimate", "see the most that a run can cost with `fan-out --dry-run`")
_promise(main, "uninstall", "delete the block types in the UI and the limits with `prefect gcl`")
for _name in ("raise", "lower"):
    _promise(
        budget,
        _name,
        "edit the Budget or Governor block in Prefect's UI: running flows see it within seconds",
    )
_promise(budget, "reconcile", "unconfirmed calls stay charged at their bound")

if __name__ == "__main__":
    main(prog_name="prefect-governor")
