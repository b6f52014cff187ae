"""The command line: thin. It parses, calls a flow, prints. Heavy imports wait until they are
needed, so that `--help` answers at once."""

import io
import json
import sys
from typing import Any

import click

from prefect_governor.blocks.machine.files import ERRORS
from prefect_governor.blocks.secrets.exits import scrubbed, scrubbed_value
from prefect_governor.flows.cli.automate import automate
from prefect_governor.flows.cli.budget.commands import budget
from prefect_governor.flows.cli.estimate import Estimate
from prefect_governor.flows.cli.init.options import init_options
from prefect_governor.flows.cli.ledger.commands import ledger
from prefect_governor.flows.cli.publish import publish_command
from prefect_governor.flows.cli.research.commands import research_command
from prefect_governor.flows.cli.terminal.command_line import (
    CONTEXT,
    FAILED,
    Teaching,
    UsageProblem,
    option,
)
from prefect_governor.flows.cli.terminal.options import (
    FAN_OUT,
    RUN,
    Told,
    run_options,
)


@click.group(cls=Teaching, context_settings=CONTEXT)
@click.version_option(package_name="prefect-governor")
def main() -> None:
    """Run many LLM sub-agents at once on Prefect, under one hard budget.

    As much at once as the system can take, and not one unit more: every model call passes one
    admission for money, slots and rates, shared by all processes.

    \b
    Examples:
      prefect-governor init
      prefect-governor fan-out docs/*.md --ask "What should a reader know first?"
      prefect-governor fan-out tickets.csv --ask "Which team?" --max-usd 2
      prefect-governor research "How are retries decided?" --corpus docs
      prefect-governor estimate reports --ask "Key risks?"
      prefect-governor budget show llm-team --by model
      prefect-governor ledger compact --dry-run
      prefect-governor server status
      prefect-governor doctor
    """
    # What a model wrote may hold half a character, which is printed as JSON escapes it.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=ERRORS)


@main.command("fan-out", context_settings=CONTEXT)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@run_options(FAN_OUT[:2], RUN, FAN_OUT[2:])
def fan_out_command(sources: tuple[str, ...], **options: Any) -> None:
    """Ask the same question about each of many items, a sub-agent each.

    SOURCE is a file, a folder, a glob, '-' (a line of stdin an item), or a table such as .csv,
    .jsonl, .xlsx, .yaml (a row an item; `key` names it). Text of any encoding, PDF, office files,
    mail, books, notebooks and HTML are read.

    With --tools a sub-agent works on its item: it calls tools until it knows, within bounds, and a
    folder is one item. The offline model calls none: it quotes.

    \b
    Examples:
      prefect-governor fan-out src --ask "What does this module do?"
      prefect-governor fan-out repos/* --tools python --ask "Do its tests pass?"
      prefect-governor fan-out 'reports/**/*.pdf' --ask "Risks?" --out risks.jsonl
      prefect-governor fan-out --resume last --max-usd 5
      cat lines.txt | prefect-governor fan-out - --ask "Which product?" --json

    \b
    Exit status: 0 complete, 3 partial, 1 failed, 2 usage.
    Ctrl-C once finishes what is in flight, no more; twice ends that too.
    """
    _fan_out(list(sources), options)


@main.command("estimate", cls=Estimate, context_settings=CONTEXT)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@run_options(FAN_OUT[:2], RUN, FAN_OUT[2:])
def estimate_command(sources: tuple[str, ...], **options: Any) -> None:
    """Say what a fan-out would do, cost and take. Makes no call and spends nothing.

    `estimate research QUESTION` does so for a research, with the arguments of `research`
    (`estimate research --help`).

    The same arguments as `fan-out`. Calls, tokens, p50 and p95 of cost and of wall-clock, the cost
    multiple and the bottleneck, from the real inputs, prices and limits and from what past runs of
    the same question cost. A first run of a question is a wide guess, and said to be.

    \b
    Examples:
      prefect-governor estimate src --ask "What does this module do?"
      prefect-governor estimate tickets.csv --ask "Which team?" --schema team.json
      prefect-governor estimate research "How are retries decided?" --corpus docs

    \b
    Exit status: 0, 2 usage.
    """
    _fan_out(list(sources), options | {"dry_run": True})


def _fan_out(sources: list[str], options: dict[str, Any]) -> None:
    from prefect_governor.flows.cli.fan_out import run_fan_out

    if not options["resume"]:
        if not options["ask"]:
            raise UsageProblem('say what to ask: --ask "What should a reader know first?"')
        if not sources:
            raise UsageProblem(
                "name at least one SOURCE: a file, a folder, a glob, or '-' for stdin"
            )
    sys.exit(run_fan_out(sources, Told.of(options)))


@main.group(context_settings=CONTEXT)
def server() -> None:
    """The background server that is used where no Prefect server is configured."""


@server.command("start")
def server_start() -> None:
    """Find a Prefect server, or start one in the background for this user."""
    from prefect_governor.flows.server.server import ensure_server

    info = ensure_server(on_progress=_say)
    click.echo(f"{'started' if info.started else 'running'}: {info.ui_url}")


@server.command("stop")
def server_stop() -> None:
    """Stop the background server. A server that you started is left alone."""
    from prefect_governor.flows.server.server import stop_server

    stopped = stop_server()
    click.echo("there was none" if stopped is None else f"stopped: {stopped.ui_url}")


@server.command("status")
def server_status() -> None:
    """Say which server is used, whether it answers, its version and its log. Starts nothing.

    Exit status: 0 if it answers, else 1.
    """
    from prefect_governor.flows.server.server import status

    found = status()
    said = "does not answer" if found.answer is None else found.answer.in_words
    if found.configured_url:
        click.echo(f"configured: {found.configured_url} (PREFECT_API_URL), {said}")
        said = "answers" if found.responding else "does not answer"
    if found.server is None:
        then = "" if found.configured_url else "; the next command starts one"
        click.echo(f"background server: none{then}")
    else:
        click.echo(f"background server: {found.server.ui_url}, pid {found.server.pid}, {said}")
        click.echo(f"log: {found.log}")
    if not found.answers:
        sys.exit(FAILED)


@main.command("init", context_settings=CONTEXT)
@click.argument("name", default="llm-team", metavar="[NAME]")
@init_options
@option("--yes", is_flag=True, help="Ask nothing: take what is offered.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def init_command(name: str, yes: bool, as_json: bool, **options: Any) -> None:
    """Make what a team begins with: a budget, a governor, a model, a work pool, a deployment of
    `fan-out` and its schedule, all called NAME. Spends nothing.

    Asks five questions; an option answers its question, and what is there already is offered as the
    answer. Run again it changes what is otherwise now, says so, and leaves all else.

    \b
    Examples:
      prefect-governor init
      prefect-governor init reviews --source src --ask "Is it safe?" --max-usd 10
      prefect-governor init --schedule "0 6 * * 1-5" --time-zone Europe/Rome --yes
    """
    from prefect_governor.flows.cli.init.command import run_init

    run_init(name, options, yes=yes, as_json=as_json)


@main.command("doctor", context_settings=CONTEXT)
@option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor_command(as_json: bool) -> None:
    """Say what is installed, reachable and configured, and what to do next.

    A line for each thing, ok, warn or fail, and under it what mends it. Starts nothing, spends
    nothing, and waits half a minute at the most. Exit status: 0 if nothing fails, else 1.
    """
    from prefect_governor.flows.cli.doctor import as_object, examine, worst

    found = []
    for finding in examine():
        found.append(finding)
        if not as_json:
            click.echo(scrubbed(str(finding)))
    if as_json:
        click.echo(json.dumps(scrubbed_value(as_object(found)), ensure_ascii=False))
    if worst(found) == "fail":
        sys.exit(FAILED)


def _say(line: str) -> None:
    click.echo(line, err=True)


@main.command("uninstall", context_settings=CONTEXT)
# Without a variable: one that is set for runs is no consent to this.
@click.option("--yes", is_flag=True, help="Never ask.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def uninstall_command(yes: bool, as_json: bool) -> None:
    """Take out of Prefect what was put there: the limits, the block types with all of their blocks,
    and the background server. Never the ledger, nor what runs left in files.

    Says what it would take, and asks. Of flows that still run under a governor no more calls are
    admitted.

    \b
    Examples:
      prefect-governor uninstall
      prefect-governor uninstall --yes
    """
    from prefect_governor.flows.cli.uninstall import run_uninstall

    run_uninstall(yes=yes, as_json=as_json)


main.add_command(publish_command)
main.add_command(research_command)
main.add_command(budget)
main.add_command(ledger)
main.add_command(automate)
